// Command shopd stands for a service: it listens, is ready, checks tokens
// against the key set that it is given, and stops cleanly.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"example.test/shop/gen/production"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /greeting", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, production.Greeting) })
	mux.HandleFunc("GET /environment", func(w http.ResponseWriter, _ *http.Request) {
		env := os.Environ()
		slices.Sort(env)
		fmt.Fprintln(w, strings.Join(env, "\n"))
	})
	mux.HandleFunc("GET /die", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "shopd: the till is empty")
		os.Exit(3)
	})
	mux.HandleFunc("POST /orders", create)
	server := &http.Server{Addr: os.Getenv("HTTP_ADDR"), Handler: mux}
	go func() {
		<-ctx.Done()
		server.Shutdown(context.Background())
	}()
	fmt.Println(`{"msg":"started"}`, "LOG_FORMAT="+os.Getenv("LOG_FORMAT"))
	serve := server.ListenAndServe
	if cert := os.Getenv("TLS_CERT_FILE"); cert != "" {
		serve = func() error { return server.ListenAndServeTLS(cert, os.Getenv("TLS_KEY_FILE")) }
	}
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "shopd:", err)
		os.Exit(1)
	}
	fmt.Println(`{"msg":"stopped cleanly"}`)
}

func create(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := verify(token); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "uri=%s\nshop=%s\ntype=%s\nbody=%s\n", r.RequestURI, r.Header.Get("X-Shop"), r.Header.Get("Content-Type"), body)
}

func verify(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a token")
	}
	answer, err := http.Get(os.Getenv("AUTH_JWKS_URL"))
	if err != nil {
		return err
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var set struct {
		Keys []struct{ Kid, Crv, X, Y, D string }
	}
	if err := json.Unmarshal(content, &set); err != nil || len(set.Keys) != 1 || set.Keys[0].D != "" {
		return errors.New("key set is not one public key")
	}
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(set.Keys[0].X), Y: number(set.Keys[0].Y)}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return errors.New("not a signature")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return errors.New("wrong signature")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Scope string
		Aud        any
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return err
	}
	if claims.Iss != os.Getenv("AUTH_ISSUER") || !strings.Contains(fmt.Sprint(claims.Aud), os.Getenv("AUTH_AUDIENCE")) {
		return fmt.Errorf("issuer %q or audience %v", claims.Iss, claims.Aud)
	}
	if !slices.Contains(strings.Fields(claims.Scope), "api:write") {
		return fmt.Errorf("scope %q", claims.Scope)
	}
	return nil
}

func number(s string) *big.Int {
	raw, _ := base64.RawURLEncoding.DecodeString(s)
	return new(big.Int).SetBytes(raw)
}
