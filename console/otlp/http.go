package otlp

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/console/store"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The media types of OTLP over HTTP.
const (
	protobuf = "application/x-protobuf"
	jsonType = "application/json"
)

func (r *Receiver) serveHTTP(ln net.Listener) {
	mux := http.NewServeMux()
	for path, sig := range map[string]store.Signal{"/v1/traces": store.Traces, "/v1/logs": store.Logs, "/v1/metrics": store.Metrics} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) { r.post(w, req, sig) })
	}
	r.http = &http.Server{
		Handler: mux, TLSConfig: r.cfg.TLS, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: patience + slowest,
		WriteTimeout: patience + slowest + 10*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(r.cfg.Logger.Handler(), slog.LevelWarn),
	}
	r.done.Go(func() {
		var err error
		if r.cfg.TLS != nil {
			err = r.http.ServeTLS(ln, "", "")
		} else {
			err = r.http.Serve(ln)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			r.cfg.Logger.Error("OTLP receiver ended", "protocol", "http", "error", err)
		}
	})
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	code   codes.Code
	text   string
}

func (e *refusal) Error() string { return e.text }

// post answers one request.
func (r *Receiver) post(w http.ResponseWriter, req *http.Request, sig store.Signal) {
	form, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if form != jsonType {
		form = protobuf // of answers too
	}
	rejected, reason, err := r.read(req, sig)
	var refused *refusal
	switch {
	case err == nil:
		write(w, form, http.StatusOK, sig, answer(rejected, reason))
		return
	case errors.As(err, &refused):
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		refused = &refusal{http.StatusServiceUnavailable, codes.Unavailable, err.Error()}
	default:
		refused = &refusal{http.StatusBadRequest, codes.InvalidArgument, err.Error()}
	}
	b, _ := proto.Marshal(&rpcstatus.Status{Code: int32(refused.code), Message: refused.text})
	if form == jsonType {
		b, _ = protojson.Marshal(&rpcstatus.Status{Code: int32(refused.code), Message: refused.text})
	}
	w.Header().Set("Content-Type", form)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(refused.status)
	_, _ = w.Write(b) // the sender may be gone
}

// write answers with a response of OTLP.
func write(w http.ResponseWriter, form string, code int, sig store.Signal, b []byte) {
	if form == jsonType {
		b = responseJSON(sig, b)
	}
	w.Header().Set("Content-Type", form)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(b) //nolint:gosec // the sender may be gone; neither type of answer is HTML, nor may it be taken for that
}

// read reads a request and takes what it holds.
func (r *Receiver) read(req *http.Request, sig store.Signal) (rejected int64, reason string, err error) {
	if err := r.foreign(req); err != nil {
		return 0, "", err
	}
	form, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || form != protobuf && form != jsonType {
		return 0, "", &refusal{http.StatusUnsupportedMediaType, codes.InvalidArgument, "send " + protobuf + " or " + jsonType}
	}
	leave, err := r.enter(req.Context())
	if err != nil {
		return 0, "", err
	}
	defer leave()
	most := int64(MaxRequest)
	if form == jsonType {
		most = maxJSON
	}
	b, err := body(req, most)
	if err != nil {
		return 0, "", err
	}
	if form == jsonType {
		r.text.Lock()
		b, err = fromJSON(sig, b)
		r.text.Unlock()
		if err != nil {
			return 0, "", err
		}
	}
	return r.take(sig, b)
}

// foreign refuses who has no token, or where none is asked for, pages of a
// browser: by their Origin, or by a Host that is a name of theirs.
func (r *Receiver) foreign(req *http.Request) error {
	if all := req.Header.Values("Authorization"); len(all) > 1 || !r.admitted(req.Header.Get("Authorization")) {
		return &refusal{http.StatusUnauthorized, codes.Unauthenticated, "the console's token is missing or wrong: send it as Authorization: Bearer TOKEN"}
	}
	if r.token() != "" {
		return nil
	}
	host, _, err := net.SplitHostPort(req.Host)
	if err != nil {
		host = req.Host
	}
	local := strings.EqualFold(host, "localhost") || net.ParseIP(strings.Trim(host, "[]")) != nil
	if !local || req.Header.Get("Origin") != "" {
		return &refusal{http.StatusForbidden, codes.PermissionDenied, "without a token only programs of this machine may send here"}
	}
	return nil
}

// body reads a body, which decompressed too has at most so many bytes.
func body(req *http.Request, most int64) ([]byte, error) {
	tooLarge := &refusal{http.StatusRequestEntityTooLarge, codes.InvalidArgument, fmt.Sprintf("a request may have %d bytes, decompressed too: send less at once", most)}
	if req.ContentLength > most {
		return nil, tooLarge
	}
	var from io.Reader = http.MaxBytesReader(nil, req.Body, most)
	switch encoding := strings.ToLower(req.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		zip, err := gzip.NewReader(from)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		from = zip
	default:
		return nil, &refusal{http.StatusUnsupportedMediaType, codes.InvalidArgument, "Content-Encoding: send gzip, or none"}
	}
	b, err := io.ReadAll(io.LimitReader(from, most+1))
	var over *http.MaxBytesError
	if errors.As(err, &over) || int64(len(b)) > most {
		return nil, tooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return b, nil
}
