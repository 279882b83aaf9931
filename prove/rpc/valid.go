package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
)

// Valid returns a message that the method should serve, of [Client.Values].
func (c *Client) Valid(ctx context.Context, m *model.Method) (*dynamicpb.Message, error) {
	values, err := c.Values(ctx, m)
	if err != nil {
		return nil, err
	}
	return c.Message(ctx, m, values)
}

// Message returns a message of the method with the values (see [Fill]).
func (c *Client) Message(ctx context.Context, m *model.Method, values any) (*dynamicpb.Message, error) {
	d, err := c.Method(ctx, m)
	if err != nil {
		return nil, err
	}
	message := dynamicpb.NewMessage(d.Input())
	if err := Fill(message, values); err != nil {
		return nil, fmt.Errorf("make a message for %s: %w", m.GRPC.Method, err)
	}
	return message, nil
}

// Values returns the attributes of a valid call by name: what HTTP has in path,
// query, header and body, where the method has a route, so that what it names
// has been made before; and else the user's (prove.yaml), what another method of
// the service makes, and the design's example. A body that is no object stands
// alone.
func (c *Client) Values(ctx context.Context, m *model.Method) (any, error) {
	if !m.HTTP() {
		return c.withoutRoute(ctx, m)
	}
	r, err := c.lab.Valid(ctx, c.HTTP, m)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	if r.Body != nil {
		var body any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return nil, fmt.Errorf("read the body of a valid request: %w", err)
		}
		object, ok := body.(map[string]any)
		if !ok {
			return body, nil
		}
		values = object
	}
	path, query, _ := strings.Cut(r.Path, "?")
	for name, v := range wildcards(m.Pattern, path) {
		values[name] = v
	}
	q, _ := url.ParseQuery(query)
	for name, v := range q {
		values[name] = v[0]
	}
	for _, p := range m.Parameters {
		if v := r.Header.Get(p.Name); p.In == "header" && v != "" {
			values[p.Name] = v
		}
	}
	return values, nil
}

func (c *Client) withoutRoute(ctx context.Context, m *model.Method) (any, error) {
	values := map[string]any{}
	if m.Example != nil {
		if body, ok := m.Example.Body.(map[string]any); ok {
			values = maps.Clone(body)
		}
	}
	d, err := c.Method(ctx, m)
	if err != nil {
		return nil, err
	}
	return values, c.made(ctx, m, d.Input(), values)
}

// wildcards returns the values of the wildcards of a pattern in a path.
func wildcards(pattern, path string) map[string]string {
	values := map[string]string{}
	for {
		before, rest, found := strings.Cut(pattern, "{")
		if !found || len(path) < len(before) {
			return values
		}
		path = path[len(before):]
		name, after, _ := strings.Cut(rest, "}")
		end := len(path)
		if i := strings.IndexByte(path, '/'); i >= 0 && !strings.HasPrefix(name, "*") {
			end = i
		}
		if v, err := url.PathUnescape(path[:end]); err == nil {
			values[strings.TrimPrefix(name, "*")] = v
		}
		path, pattern = path[end:], after
	}
}

// made adds the values of fields that name something: the user's, or what
// another method of the service makes.
func (c *Client) made(ctx context.Context, m *model.Method, d protoreflect.MessageDescriptor, values map[string]any) error {
	for i := range d.Fields().Len() {
		name := string(d.Fields().Get(i).Name())
		if _, there := values[name]; there {
			continue
		}
		if v, ok := c.given(m, name); ok {
			values[name] = v
			continue
		}
		if name != "id" && !strings.HasSuffix(name, "_id") {
			continue
		}
		v, err := c.create(ctx, m, name)
		if err != nil {
			return err
		}
		if v != nil {
			values[name] = v
		}
	}
	return nil
}

func (c *Client) given(m *model.Method, name string) (string, bool) {
	for _, id := range []string{m.ID(), "*"} {
		if v, ok := c.lab.Parameters[id][name]; ok {
			return v, true
		}
	}
	return "", false
}

// creators are how methods that make something are called.
var creators = []string{"create", "add", "place", "new", "register", "make"}

// create calls the method of the same service that makes what the field names,
// and returns its id; nil where there is no such method.
func (c *Client) create(ctx context.Context, m *model.Method, field string) (any, error) {
	for _, x := range c.lab.Service.Methods {
		if x.GRPC == nil || x.GRPC.Stream() || x.Service != m.Service || x == m || !creates(x.Name) {
			continue
		}
		d, err := c.Method(ctx, x)
		if err != nil {
			return nil, err
		}
		id := Field(d.Output(), field)
		if id == nil {
			id = Field(d.Output(), "id")
		}
		if id == nil || id.IsList() || id.Message() != nil {
			continue
		}
		message, err := c.Valid(ctx, x)
		if err != nil {
			return nil, err
		}
		md, err := Sign(c.lab, x, lab.Good)
		if err != nil {
			return nil, err
		}
		r := c.Call(ctx, x, md, Encode(message))
		made := dynamicpb.NewMessage(d.Output())
		if !r.OK() || len(r.Messages) != 1 || proto.Unmarshal(r.Messages[0], made) != nil {
			return nil, fmt.Errorf("make what %s names: %s answers %s", field, x.ID(), r)
		}
		return fmt.Sprint(made.Get(id).Interface()), nil
	}
	return nil, nil //nolint:nilnil // there is none
}

func creates(name string) bool {
	for _, verb := range creators {
		if strings.HasPrefix(strings.ToLower(name), verb) {
			return true
		}
	}
	return false
}
