package aguada

import (
	"context"
	"errors"
	"net"

	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/lifecycle"
	"github.com/aguada-dev/aguada/transport"
)

// listeners are the public ones.
type listeners struct {
	http, grpc net.Listener // grpc is nil without gRPC
}

// listen opens the public listeners.
func (a *App) listen(ctx context.Context, cfg *config.Config) (l listeners, err error) {
	if l.http, err = lifecycle.Listen(ctx, cfg.HTTPAddr, "HTTP_ADDR"); err != nil || cfg.GRPCAddr == "" {
		return l, err
	}
	if l.grpc, err = lifecycle.Listen(ctx, cfg.GRPCAddr, "GRPC_ADDR"); err != nil {
		return l, errors.Join(err, l.http.Close())
	}
	return l, nil
}

// close closes listeners that are not served.
func (l listeners) close() error {
	if l.grpc == nil {
		return l.http.Close()
	}
	return errors.Join(l.http.Close(), l.grpc.Close())
}

// serve serves both. The group owns them from then on.
func (l listeners) serve(rt *Runtime, h *HTTP, files *config.TLS) error {
	if l.grpc != nil {
		c := rt.Config
		srv, err := h.GRPC().Server(transport.GRPCConfig{
			TLS: files.Public(), Ready: rt.group.Ready, Reflection: c.GRPCReflection, HandshakeTimeout: c.ReadHeaderTimeout,
			MaxConnectionAge: c.GRPCMaxConnectionAge, MaxConnectionIdle: c.IdleTimeout, MaxHeaderBytes: int(c.MaxHeaderBytes),
		})
		if err != nil {
			return errors.Join(err, l.close())
		}
		if err := rt.group.ServeRPC("grpc", l.grpc, srv, h.GRPC().InFlight); err != nil {
			return errors.Join(err, l.http.Close())
		}
	}
	return rt.group.Serve("http", l.http, rt.server(h, files))
}

// addresses returns where they listen, "" for none.
func (l listeners) addresses() (http, grpc string) {
	if l.grpc != nil {
		grpc = text(l.grpc.Addr())
	}
	return text(l.http.Addr()), grpc
}
