package basic_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
)

// flood logs 200 users in at once, in a process of two processors, and prints how
// many came in and how much memory the process took.
func flood(path string, queue int) error {
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(100)
	u, err := basic.Open(path, basic.Config{Queue: queue, Wait: time.Hour})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	before := peak()
	for i := range 200 {
		wg.Go(func() {
			got := reason(u.Verify(context.Background(), auth.Credential{Username: fmt.Sprintf("user%d", i), Password: "correct horse"}))
			if !strings.HasPrefix(got, "!") {
				got = "in"
			}
			mu.Lock()
			defer mu.Unlock()
			count[got]++
		})
	}
	wg.Wait()
	fmt.Printf("in %d, unavailable %d, others %d, KiB %d\n", count["in"], count["!unavailable"],
		200-count["in"]-count["!unavailable"], peak()-before)
	return nil
}

// peak is the most memory that this process ever held, in KiB.
func peak() int {
	status, _ := os.ReadFile("/proc/self/status")
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

func TestMain(m *testing.M) {
	if path := os.Getenv("FLOOD_USERS_FILE"); path != "" {
		queue, _ := strconv.Atoi(os.Getenv("FLOOD_QUEUE"))
		if err := flood(path, queue); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// 200 logins at once take what Hashing of them take, three times with what is not
// collected yet: on two processors 3 × 2 × 19 MiB, instead of 200 × 19. Whoever does not fit into the
// queue is told at once; nobody is refused for another reason.
func TestFlood(t *testing.T) {
	if runtime.GOOS != "linux" || raced {
		t.Skip("reads /proc, for the memory of the program itself")
	}
	path := filepath.Join(t.TempDir(), "users")
	var text strings.Builder
	hash := hashed(t, "correct horse")
	for i := range 200 {
		fmt.Fprintf(&text, "user%d:%s\n", i, hash)
	}
	write(t, path, text.String())
	const most = (3*2*19 + 16) << 10 // KiB; the rest is the program's own
	for queue, least := range map[int]int{0: 60, 200: 200} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FLOOD_USERS_FILE="+path, fmt.Sprint("FLOOD_QUEUE=", queue), "GOMEMLIMIT=", "GOGC=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var in, unavailable, others, size int
		if _, err := fmt.Sscanf(string(out), "in %d, unavailable %d, others %d, KiB %d\n", &in, &unavailable, &others, &size); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("queue %d: %s", queue, out)
		if in < least || in+unavailable != 200 || others != 0 {
			t.Errorf("queue %d: %s", queue, out)
		}
		if size > most {
			t.Errorf("queue %d: %d KiB, want at most %d", queue, size, most)
		}
	}
}
