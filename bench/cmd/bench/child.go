package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/aguada-dev/aguada/bench/layer"
)

const (
	childFlag = "-child"
	// patience is how long a child may take to start or to stop.
	patience = 20 * time.Second
	// batch is how many calls are made between two looks at the clock.
	batch = 16
)

// order is what the parent asks of a child, one JSON line each. The end of its
// input stops the child.
type order struct {
	Verb string
	// For is how long to call the handler; 0 asks for Usage only.
	For time.Duration
	// Calls, if not 0, is how often to call it instead.
	Calls int
	// Answer asks for the answer to one call.
	Answer bool
}

// reply is a child's answer to an order, and its first and last word.
type reply struct {
	Err    string `json:",omitempty"`
	Addr   string
	Tokens []string
	Usage  Usage
	Calls  int
	Answer Answer
}

// Usage is what a process has used.
type Usage struct {
	Wall, CPU time.Duration
	Allocs    uint64
	Bytes     uint64
}

// Answer is what a handler answered.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// usage reads the counters of this process.
func usage() (Usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{
		Wall: time.Since(born), CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Allocs: m.Mallocs, Bytes: m.TotalAlloc,
	}, nil
}

var born = time.Now()

// sub returns what was used between two readings.
func (u Usage) sub(v Usage) Usage {
	return Usage{Wall: u.Wall - v.Wall, CPU: u.CPU - v.CPU, Allocs: u.Allocs - v.Allocs, Bytes: u.Bytes - v.Bytes}
}

// child serves one layer and does what its parent orders.
func child(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
	var spec layer.Spec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("read layer: %w", err)
	}
	l, err := layer.Start(ctx, spec)
	if err != nil {
		return err
	}
	err = obey(l, json.NewDecoder(stdin), json.NewEncoder(stdout))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/2)
	defer cancel()
	if end := l.Stop(ctx); !spec.Dead {
		err = errors.Join(err, end)
	}
	return err
}

func obey(l *layer.Layer, in *json.Decoder, out *json.Encoder) error {
	direct := map[string]*layer.Direct{}
	for _, verb := range layer.Verbs {
		d, err := l.Direct(verb)
		if err != nil {
			return err
		}
		direct[verb] = d
	}
	if err := out.Encode(reply{Addr: l.Addr, Tokens: l.Tokens()}); err != nil {
		return err
	}
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		r, err := do(direct[o.Verb], o)
		if err != nil {
			r.Err = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

func do(d *layer.Direct, o order) (r reply, err error) {
	if o.Answer {
		r.Answer.Status, r.Answer.ContentType, r.Answer.Body = d.Answer()
		return r, nil
	}
	before, err := usage()
	if err != nil || o.For == 0 && o.Calls == 0 {
		return reply{Usage: before}, err
	}
	end := time.Now().Add(o.For)
	for o.Calls > r.Calls || o.Calls == 0 && time.Now().Before(end) {
		for range batch {
			if err := d.Serve(); err != nil {
				return r, err
			}
		}
		r.Calls += batch
	}
	after, err := usage()
	r.Usage = after.sub(before)
	return r, err
}

// process is a child as its parent sees it.
type process struct {
	spec   layer.Spec
	addr   string
	tokens []string
	calls  int // all requests that it has answered

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	orders *json.Encoder
}

// spawn starts a child, on the given core if it is not negative.
func spawn(ctx context.Context, spec layer.Spec, core int, log io.Writer) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start layer: %w", err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("start layer: %w", err)
	}
	args := pinned(core, exe, childFlag, string(text))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, layer.Environment(spec)...)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start layer: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start layer: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start layer: %w", err)
	}
	p := &process{spec: spec, cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out)), orders: json.NewEncoder(in)}
	first, err := p.hear()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start layer %s: %w", spec.Name, err), p.stop())
	}
	p.addr, p.tokens = first.Addr, first.Tokens
	return p, nil
}

func (p *process) hear() (reply, error) {
	var r reply
	if err := p.out.Decode(&r); err != nil {
		return r, err
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	p.calls += r.Calls
	return r, nil
}

// do gives an order and waits until it is done.
func (p *process) do(o order) (reply, error) {
	if err := p.orders.Encode(o); err != nil {
		return reply{}, fmt.Errorf("layer %s: %w", p.spec.Name, err)
	}
	r, err := p.hear()
	if err != nil {
		err = fmt.Errorf("layer %s: %w", p.spec.Name, err)
	}
	return r, err
}

// stop ends the child, which delivers what it has to tell, and waits for it.
func (p *process) stop() error {
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.in.Close() // the child notices
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("stop layer %s: %w", p.spec.Name, err)
	}
	return nil
}
