package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/aguada-dev/aguada/prove/model"
)

// The two services of reflection, whose messages are the same on the wire.
const (
	Reflection      = "grpc.reflection.v1.ServerReflection"
	ReflectionAlpha = "grpc.reflection.v1alpha.ServerReflection"
)

// schemaKey is the lab's key of the descriptors of one gRPC service.
type schemaKey string

// Method returns the descriptor of the method, as the service tells it by
// reflection. The shared process is asked once for each service.
func (c *Client) Method(ctx context.Context, m *model.Method) (protoreflect.MethodDescriptor, error) {
	service, name, ok := strings.Cut(m.GRPC.Method, "/")
	if !ok {
		return nil, fmt.Errorf("the contract's gRPC method %q has no service", m.GRPC.Method)
	}
	v, err := c.lab.Keep(schemaKey(service), func() (any, error) { return c.describe(ctx, service) })
	if err != nil {
		return nil, err
	}
	d, ok := v.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("the descriptor of %s is a %T", service, v)
	}
	if found := d.Methods().ByName(protoreflect.Name(name)); found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("the service %s has no method %s", service, name)
}

// describe asks for the descriptor of a service.
func (c *Client) describe(ctx context.Context, service string) (protoreflect.ServiceDescriptor, error) {
	files, err := c.files(ctx, Reflection, service)
	if status.Code(err) == codes.Unimplemented {
		files, err = c.files(ctx, ReflectionAlpha, service)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the descriptor of %s by reflection: %w", service, err)
	}
	registry, err := protodesc.NewFiles(files)
	if err != nil {
		return nil, fmt.Errorf("read the descriptor of %s: %w", service, err)
	}
	d, err := registry.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("read the descriptor of %s: %w", service, err)
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no service", service)
	}
	return s, nil
}

// maxFiles bounds how many files a service may name as its descriptors.
const maxFiles = 500

// files returns the file that declares the symbol, and all that it imports.
func (c *Client) files(ctx context.Context, reflection, symbol string) (*descriptorpb.FileDescriptorSet, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	s, err := c.Open(ctx, reflection+"/ServerReflectionInfo", nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	set, known := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	requests := []*v1.ServerReflectionRequest{{MessageRequest: &v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}}}
	for len(requests) > 0 {
		got, err := ask(s, requests[0])
		if err != nil {
			return nil, err
		}
		requests = requests[1:]
		for _, f := range got {
			if known[f.GetName()] {
				continue
			}
			known[f.GetName()] = true
			set.File = append(set.File, f)
		}
		if len(set.File) > maxFiles {
			return nil, fmt.Errorf("more than %d files", maxFiles)
		}
		if len(requests) == 0 {
			requests = missing(set, known)
		}
	}
	return set, nil
}

// missing returns requests for the imports that are not there. Files that the
// prover has itself, such as google/protobuf/any.proto, need not come.
func missing(set *descriptorpb.FileDescriptorSet, known map[string]bool) []*v1.ServerReflectionRequest {
	var all []*v1.ServerReflectionRequest
	asked := map[string]bool{}
	for i := 0; i < len(set.File); i++ {
		for _, name := range set.File[i].Dependency {
			if known[name] || asked[name] {
				continue
			}
			asked[name] = true
			if own, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil && strings.HasPrefix(name, "google/protobuf/") {
				known[name] = true
				set.File = append(set.File, protodesc.ToFileDescriptorProto(own))
				continue
			}
			all = append(all, &v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_FileByFilename{FileByFilename: name}})
		}
	}
	return all
}

// ask sends one request and reads the files of the answer.
func ask(s *Stream, r *v1.ServerReflectionRequest) ([]*descriptorpb.FileDescriptorProto, error) {
	text, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	_ = s.Send(text) // what went wrong is in the status
	if text, err = s.Receive(); err != nil {
		return nil, err
	}
	var answer v1.ServerReflectionResponse
	if err := proto.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if e := answer.GetErrorResponse(); e != nil {
		return nil, errors.New(e.GetErrorMessage())
	}
	var files []*descriptorpb.FileDescriptorProto
	for _, raw := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, f); err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, errors.New("the answer holds no file")
	}
	return files, nil
}

// Reflects reports how a request for the list of services is answered: OK where
// reflection is on.
func (c *Client) Reflects(ctx context.Context, reflection string) (*Reply, error) {
	text, err := proto.Marshal(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_ListServices{ListServices: "*"}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := c.Open(ctx, reflection+"/ServerReflectionInfo", nil, grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_ = s.Send(text)
	_ = s.CloseSend()
	return s.End(1), nil
}
