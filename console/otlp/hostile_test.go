package otlp_test

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/console/otlp"
	"github.com/aguada-dev/aguada/console/store"
)

// mutate changes a request here and there: bytes, a piece that is gone, doubled
// or from elsewhere in it.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) < 2 {
			return b
		}
		at := r.IntN(len(b))
		piece := b[at:min(len(b), at+r.IntN(32))]
		switch r.IntN(4) {
		case 0:
			b[at] = byte(r.Uint32())
		case 1:
			b = append(b[:at:at], b[at+len(piece):]...)
		case 2:
			b = append(b[:at:at], append(bytes.Clone(piece), b[at:]...)...)
		case 3:
			copy(b[r.IntN(len(b)):], piece)
		}
	}
	return b
}

// Requests that are nearly right, over gRPC and HTTP, crash nothing and leave
// nothing behind but what the store was given. HOSTILE is for how long; 2s
// unless it says otherwise.
func TestHostileRequests(t *testing.T) {
	lasts := 2 * time.Second
	if d, err := time.ParseDuration(os.Getenv("HOSTILE")); err == nil {
		lasts = d
	}
	r, st := open(t, otlp.Config{})
	client := tracepb.NewTraceServiceClient(dial(t, r))
	random := rand.New(rand.NewPCG(1, 2))
	seeds := map[string][]byte{}
	for path, m := range map[string]proto.Message{"/v1/traces": spans(), "/v1/logs": records(), "/v1/metrics": points()} {
		seeds[path], _ = proto.Marshal(m)
	}
	taken, refused := 0, 0
	before := heap()
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		for path, seed := range seeds {
			body := mutate(random, seed)
			header := map[string]string{"Content-Type": "application/x-protobuf"}
			if random.IntN(4) == 0 {
				header["Content-Type"], body = "application/json", mutate(random, toJSON(t, spans()))
			}
			switch code, _, answer := send(t, r, path, body, header); code {
			case http.StatusOK:
				taken++
			case http.StatusBadRequest:
				refused++
			default:
				t.Fatalf("%s is answered %d: %s", path, code, answer)
			}
		}
		_, err := client.Export(t.Context(), nil, grpc.ForceCodec(raw(mutate(random, seeds["/v1/traces"]))))
		switch status.Code(err) {
		case codes.OK:
			taken++
		case codes.InvalidArgument:
			refused++
		default:
			t.Fatalf("over gRPC: %v", err)
		}
	}
	held, _ := st.Bytes()
	grown := heap() - before - held
	t.Logf("%d were taken, %d refused; %d bytes are held, %d more than before are in use", taken, refused, held, grown)
	if taken == 0 || refused == 0 {
		t.Error("the requests are all taken, or all refused: nothing is tried")
	}
	if grown > 32<<20 {
		t.Errorf("%d bytes stayed behind", grown)
	}
	if c := st.Counts(store.Traces); c.Kept == 0 {
		t.Error("nothing was kept")
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
