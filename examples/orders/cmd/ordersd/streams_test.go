package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

// event is one as any of the transports tells it.
type event struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	OrderID   string `json:"order_id"`
	CreatedBy string `json:"created_by"`
	At        string `json:"at"`
}

// follower is a client of one of the streams.
type follower interface {
	// next returns the next event.
	next() (event, error)
	close()
}

// follow begins to follow an owner's orders after an event, or from now on.
type follow func(r *running, token, since string) (follower, error)

var follows = map[string]follow{"sse": followSSE, "websocket": followWebSocket, "grpc": followGRPC, "grpc live": followLive}

// sse reads Server-Sent Events as they are on the wire.
type sse struct {
	res  *http.Response
	text *bufio.Scanner
	left []string // lines that belong to no event
}

// refused is an answer that is no stream.
type refused struct {
	status int
	body   string
}

func (r *refused) Error() string { return fmt.Sprint(r.status, " ", r.body) }

func followSSE(r *running, token, since string) (follower, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.addr+"/orders/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", token)
	if since != "" {
		req.Header.Set("Last-Event-ID", since)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, err := io.ReadAll(res.Body)
		return nil, errors.Join(&refused{res.StatusCode, string(body)}, err, res.Body.Close())
	}
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		return nil, fmt.Errorf("the stream is %s", kind)
	}
	return &sse{res: res, text: bufio.NewScanner(res.Body)}, nil
}

func (s *sse) next() (e event, err error) {
	var id, kind string
	for s.text.Scan() {
		name, value, _ := strings.Cut(s.text.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return e, err
			}
			if e.ID != id || e.Kind != kind {
				return e, fmt.Errorf("the event %s %s holds %+v", id, kind, e)
			}
			return e, nil
		case "":
		default:
			s.left = append(s.left, s.text.Text())
		}
	}
	return e, errors.Join(io.EOF, s.text.Err())
}

func (s *sse) close() { _ = s.res.Body.Close() }

type socket struct{ *websocket.Conn }

// update is what comes through a WebSocket.
type update struct {
	Event  *event `json:"event"`
	Filter *struct {
		Kinds   []string `json:"kinds"`
		OrderID string   `json:"order_id"`
	} `json:"filter"`
}

func followWebSocket(r *running, token, since string) (follower, error) {
	u := url.URL{Scheme: "ws", Host: r.addr, Path: "/orders/live"}
	if since != "" {
		u.RawQuery = url.Values{"since": {since}}.Encode()
	}
	conn, res, err := websocket.DefaultDialer.DialContext(r.t.Context(), u.String(), http.Header{"Authorization": {token}})
	if err != nil && res != nil {
		body, _ := io.ReadAll(res.Body)
		return nil, &refused{res.StatusCode, string(body)}
	}
	if err != nil {
		return nil, err
	}
	return socket{conn}, nil
}

func (s socket) next() (event, error) {
	for {
		var u update
		if err := s.ReadJSON(&u); err != nil {
			return event{}, err
		}
		if u.Event != nil {
			return *u.Event, nil
		}
	}
}

func (s socket) close() { _ = s.Conn.Close() }

type call struct {
	grpc.ClientStream
	receive func() (*orderspb.OrderEvent, error)
	cancel  context.CancelFunc
}

func (c *call) next() (event, error) {
	e, err := c.receive()
	return event{e.GetId(), e.GetKind(), e.GetOrderId(), e.GetCreatedBy(), e.GetAt()}, err
}

func (c *call) close() { c.cancel() }

// calling returns a client for gRPC, and the context of a call with a token.
func calling(r *running, token string, more ...string) (orderspb.OrdersClient, context.Context, context.CancelFunc, error) {
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, nil, err
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(r.t.Context(), append(more, "authorization", token)...))
	return orderspb.NewOrdersClient(conn), ctx, cancel, nil
}

func followGRPC(r *running, token, since string) (follower, error) {
	client, ctx, cancel, err := calling(r, token)
	if err != nil {
		return nil, err
	}
	req := &orderspb.WatchOrdersRequest{}
	if since != "" {
		req.Since = &since
	}
	stream, err := client.WatchOrders(ctx, req)
	return &call{stream, func() (*orderspb.OrderEvent, error) {
		e, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return &orderspb.OrderEvent{Id: e.Id, Kind: e.Kind, OrderId: e.OrderId, CreatedBy: e.CreatedBy, At: e.At}, nil
	}, cancel}, err
}

func followLive(r *running, token, since string) (follower, error) {
	var more []string
	if since != "" {
		more = []string{"since", since}
	}
	client, ctx, cancel, err := calling(r, token, more...)
	if err != nil {
		return nil, err
	}
	stream, err := client.Live(ctx)
	return &call{stream, func() (*orderspb.OrderEvent, error) {
		for {
			u, err := stream.Recv()
			if err != nil || u.Event != nil {
				return u.GetEvent(), err
			}
		}
	}, cancel}, err
}

// expect waits for events of the kinds, and returns them. Events alive are not
// among them.
func expect(t *testing.T, f follower, kinds ...string) (events []event) {
	t.Helper()
	for len(events) < len(kinds) {
		e, err := f.next()
		if err != nil {
			t.Fatalf("after %v: %v", events, err)
		}
		if e.Kind == "alive" {
			continue
		}
		if _, err := time.Parse(time.RFC3339, e.At); err != nil || e.Kind != kinds[len(events)] || e.ID != e.OrderID+"."+e.Kind {
			t.Fatalf("after %v comes %+v, want %s", events, e, kinds[len(events)])
		}
		events = append(events, e)
	}
	return events
}

// place places an order and returns its identifier.
func (r *running) place(subject string) string {
	r.t.Helper()
	res, text := r.call("POST", "/orders", "Authorization", r.token(subject, "api:write"),
		[]byte(`{"customer_id":"c1","currency":"EUR","items":[{"sku":"TEA","quantity":1,"unit_price_cents":5}]}`))
	var o struct{ ID string }
	if err := json.Unmarshal([]byte(text), &o); err != nil || res.StatusCode != http.StatusCreated {
		r.t.Fatal(res.StatusCode, text, err)
	}
	return o.ID
}

func (r *running) cancel(subject, id string) {
	r.t.Helper()
	if res, text := r.call("POST", "/orders/"+id+"/cancel", "Authorization", r.token(subject, "api:write"), nil); res.StatusCode != http.StatusOK {
		r.t.Fatal(res.StatusCode, text)
	}
}

// Every stream tells the same of the same orders, to those who may know, and
// goes on after each event where another one left off.
func TestStreamsAgree(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { start(t, "SHIP_AFTER=1h").streamsAgree() })
	t.Run("postgres", func(t *testing.T) { start(t, "SHIP_AFTER=1h", "DATABASE_URL="+pgtest.URL(t)).streamsAgree() })
}

func (r *running) streamsAgree() {
	t := r.t
	alice, root := r.token("alice", "api:read"), r.token("root", "api:read", "api:admin")
	own, all := map[string]follower{}, map[string]follower{}
	for name, begin := range follows {
		for token, into := range map[string]map[string]follower{alice: own, root: all} {
			f, err := begin(r, token, "")
			if err != nil {
				t.Fatal(name, err)
			}
			t.Cleanup(f.close)
			if e, err := f.next(); err != nil || e.Kind != "alive" || e.ID != "start" {
				t.Fatalf("%s begins with %+v, %v", name, e, err)
			}
			into[name] = f
		}
	}
	first := r.place("alice")
	bobs := r.place("bob")
	r.cancel("alice", first)
	r.place("alice")
	var want []event
	for name, f := range own {
		got := expect(t, f, "placed", "cancelled", "placed")
		if want == nil {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for name, f := range all {
		if got := expect(t, f, "placed", "placed", "cancelled", "placed"); got[1].OrderID != bobs || got[1].CreatedBy != "bob" {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, begin := range follows {
		f, err := begin(r, alice, want[0].ID)
		if err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(want[1:], expect(t, f, "cancelled", "placed")); d != "" {
			t.Errorf("%s resumes with %s", name, d)
		}
		f.close()
	}
}

// What a stream cannot begin with is answered as an error of the transport.
func TestStreamsRefuse(t *testing.T) {
	r := start(t)
	id := r.place("alice") + ".placed"
	bob := r.token("bob", "api:read")
	for _, c := range []struct {
		why, token, since string
		status            int
		code              codes.Code
	}{
		{"somebody else's event", bob, id, 410, codes.OutOfRange},
		{"no such event", bob, "ord_" + strings.Repeat("a", 26) + ".placed", 410, codes.OutOfRange},
		{"no event", bob, "1'--", 400, codes.InvalidArgument},
		{"no token", "", "", 401, codes.Unauthenticated},
		{"no scope", r.token("bob", "api:write"), "", 403, codes.PermissionDenied},
	} {
		for name, begin := range follows {
			f, err := begin(r, c.token, c.since)
			if err == nil {
				_, err = f.next()
				f.close()
			}
			var no *refused
			if strings.HasPrefix(name, "grpc") && status.Code(err) != c.code || !strings.HasPrefix(name, "grpc") && (!errors.As(err, &no) || no.status != c.status) {
				t.Errorf("%s, %s: %v, want %d or %v", name, c.why, err, c.status, c.code)
			}
		}
	}
}

// A client says over either transport what it wants, and gets that.
func TestLiveFilters(t *testing.T) {
	r := start(t, "SHIP_AFTER=1h")
	alice := r.token("alice", "api:read")
	ws, err := followWebSocket(r, alice, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.close()
	conn := ws.(socket).Conn
	rpc, err := followLive(r, alice, "")
	if err != nil {
		t.Fatal(err)
	}
	defer rpc.close()
	stream := rpc.(*call).ClientStream
	for _, f := range []follower{ws, rpc} {
		if _, err := f.next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.WriteJSON(map[string]any{"kinds": []string{"cancelled"}}); err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&orderspb.LiveStreamingRequest{Kinds: []string{"cancelled"}}); err != nil {
		t.Fatal(err)
	}
	var u update
	if err := conn.ReadJSON(&u); err != nil || u.Filter == nil || u.Filter.Kinds[0] != "cancelled" {
		t.Fatalf("%+v, %v", u, err)
	}
	var res orderspb.LiveResponse
	if err := stream.RecvMsg(&res); err != nil || res.Filter == nil || res.Filter.Kinds[0] != "cancelled" {
		t.Fatalf("%+v, %v", &res, err)
	}
	id := r.place("alice")
	r.cancel("alice", id)
	for _, f := range []follower{ws, rpc} {
		if e, err := f.next(); err != nil || e.ID != id+".cancelled" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	// What is no filter ends the stream, and says so.
	if err := conn.WriteJSON(map[string]any{"kinds": []string{"lost"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := ws.next(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("the WebSocket ends with %v", err)
	}
	if err := stream.SendMsg(&orderspb.LiveStreamingRequest{Kinds: []string{"lost"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.next(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("the call ends with %v", err)
	}
	// A client that has no more to say ends the stream well.
	rpc, err = followLive(r, alice, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.next(); err != nil {
		t.Fatal(err)
	}
	if err := rpc.(*call).CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.next(); !errors.Is(err, io.EOF) {
		t.Errorf("the call ends with %v", err)
	}
}

// Followers of one process hear of what happens in another.
func TestStreamsOfReplicas(t *testing.T) {
	url := "DATABASE_URL=" + pgtest.URL(t)
	one, two := start(t, url), start(t, url)
	for name, begin := range follows {
		f, err := begin(one, one.token("alice", "api:read"), "")
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := f.next(); err != nil {
			t.Fatal(name, err)
		}
		id := two.place("alice")
		if got := expect(t, f, "placed"); got[0].OrderID != id {
			t.Errorf("%s: %v", name, got)
		}
		f.close()
	}
}

// A shop that stops ends its streams by their protocols, at once.
func TestStreamsEnd(t *testing.T) {
	r := start(t)
	alice := r.token("alice", "api:read")
	all := map[string][]follower{}
	for name, begin := range follows {
		for range 10 {
			f, err := begin(r, alice, "")
			if err != nil {
				t.Fatal(name, err)
			}
			if _, err := f.next(); err != nil {
				t.Fatal(name, err)
			}
			all[name] = append(all[name], f)
		}
	}
	var reading sync.WaitGroup
	for name, fs := range all {
		for _, f := range fs {
			reading.Go(func() {
				_, err := f.next()
				switch name {
				case "sse":
					if left := f.(*sse).left; !errors.Is(err, io.EOF) || len(left) != 1 || !strings.HasPrefix(left[0], "retry: ") {
						t.Errorf("a stream of events ends with %v, and %q", err, left)
					}
				case "websocket":
					if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
						t.Errorf("a WebSocket ends with %v", err)
					}
				case "grpc":
					if status.Code(err) != codes.Unavailable {
						t.Errorf("a call ends with %v", err)
					}
				default: // whose client may have been done
					if status.Code(err) != codes.Unavailable && !errors.Is(err, io.EOF) {
						t.Errorf("a call ends with %v", err)
					}
				}
			})
		}
	}
	begun := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	reading.Wait()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the shop took %v to stop", took)
	}
}
