package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// cores says where processes run: the core of the layers and that of the load,
// both -1 where they cannot be told apart.
type cores struct {
	layers, load int
	why          string
}

// pin puts this process, which makes the load, onto one core.
func pin(ctx context.Context, wanted bool) cores {
	if !wanted {
		return cores{-1, -1, "not pinned: not asked for"}
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return cores{-1, -1, "not pinned: taskset is not installed; layers and load take time from each other"}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return cores{-1, -1, "not pinned: the allowed cores are unknown"}
	}
	allowed := allowedCores(string(status))
	if len(allowed) < 2 {
		return cores{-1, -1, "not pinned: there is only one core; layers and load take time from each other"}
	}
	c := cores{layers: allowed[0], load: allowed[1]}
	out, err := exec.CommandContext(ctx, "taskset", "-acp", strconv.Itoa(c.load), strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		return cores{-1, -1, "not pinned: " + strings.TrimSpace(string(out))}
	}
	runtime.SetDefaultGOMAXPROCS()
	c.why = fmt.Sprintf("layers pinned to core %d, load and telemetry receiver to core %d", c.layers, c.load)
	return c
}

// allowedCores reads the list of a process's cores, such as 0-3,8.
func allowedCores(status string) (list []int) {
	_, text, _ := strings.Cut(status, "\nCpus_allowed_list:")
	text, _, _ = strings.Cut(text, "\n")
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			return nil
		}
		for i := first; i <= last; i++ {
			list = append(list, i)
		}
	}
	return list
}

// pinned returns the command line that runs args on a core.
func pinned(core int, args ...string) []string {
	if core < 0 {
		return args
	}
	return append([]string{"taskset", "-c", strconv.Itoa(core)}, args...)
}
