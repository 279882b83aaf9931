package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aguada-dev/aguada/policy"
)

const (
	maxLeeway = 5 * time.Minute
	upstream  = "upstream"

	// own is the way out where the service verifies credentials itself.
	own = ", or name the scheme to App.OwnSchemes if the service verifies it itself"
)

// algorithms are those with a private and a public key. With the others
// (HS256) whoever can verify a token can also make one.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// check judges what the types alone do not.
func (l *loader) check(cfg *Config, needs Needs) {
	for _, f := range l.fields {
		if f.ours && l.files[f.name] == "" && blank(l.env[f.name]) {
			l.refuse(f.name, "has a blank at one end or a control character", "remove it")
		}
		if n := f.least(); f.ours && l.env[f.name] != "" && len(l.env[f.name]) < n {
			l.refuse(f.name, fmt.Sprintf("is shorter than %d bytes", n), "set it to 32 random bytes")
		}
		if f.sf.Tag.Get("nofile") != "" && f.ours && l.env[f.name+fileSuffix] != "" {
			l.refuse(f.name+fileSuffix, "is set, but OpenTelemetry reads no file", "set "+f.name+" itself")
		}
	}
	l.checkHTTP(cfg)
	l.checkGRPC(cfg, needs)
	l.checkAdmin(cfg)
	l.checkTLS(cfg)
	l.checkLog(cfg)
	l.checkCredentials(cfg, needs)
	l.checkTokens(cfg, needs)
	l.checkTraffic(cfg, needs)
	l.checkIdentity(cfg)
	l.checkLockout(cfg)
	l.checkBrowsers(cfg)
	l.checkOTel(cfg)
	if needs.Database && cfg.DatabaseURL.IsZero() {
		l.missing("DATABASE_URL")
	}
}

func blank(s string) bool {
	return strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl)
}

func (l *loader) checkHTTP(cfg *Config) {
	if v, set := l.env["HTTP_ADDR"]; set && v == "" {
		l.refuse("HTTP_ADDR", "is set to nothing", "unset it, or set it to host:port, such as 127.0.0.1:8080")
	}
	l.checkAddress("HTTP_ADDR", cfg.HTTPAddr)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"READ_HEADER_TIMEOUT", cfg.ReadHeaderTimeout}, {"READ_TIMEOUT", cfg.ReadTimeout},
		{"WRITE_TIMEOUT", cfg.WriteTimeout}, {"IDLE_TIMEOUT", cfg.IdleTimeout},
		{"SHUTDOWN_TIMEOUT", cfg.ShutdownTimeout},
	} {
		if d.value <= 0 {
			l.refuse(d.name, "is not more than 0", "set it to a duration, such as 30s")
		}
	}
	if cfg.DrainDelay < 0 || cfg.DrainDelay >= cfg.ShutdownTimeout && !l.refused("SHUTDOWN_TIMEOUT") {
		l.refuse("DRAIN_DELAY", "is not between 0s and SHUTDOWN_TIMEOUT, of which it is a part", "set it to a shorter duration, such as 5s")
	}
	for _, p := range cfg.TrustedProxies {
		if p.Bits() == 0 {
			l.refuse("TRUSTED_PROXIES", "holds a network of all addresses, so that every client could forge its own", "list the networks of the proxies")
		}
	}
	if cfg.MaxHeaderBytes <= 0 || cfg.MaxHeaderBytes > 1<<30 {
		l.refuse("MAX_HEADER_BYTES", "is not between 1 byte and 1GiB", "set it to a size, such as 1MiB")
	}
}

// checkGRPC judges the gRPC listener. Where the design has no gRPC there is none.
func (l *loader) checkGRPC(cfg *Config, needs Needs) {
	v, set := l.env["GRPC_ADDR"]
	if v != "" {
		l.checkAddress("GRPC_ADDR", v)
	}
	if set && v == "" || !needs.GRPC {
		cfg.GRPCAddr = "" // package env took the default
		l.fields[l.index("GRPC_ADDR")].value = ""
	}
	if cfg.GRPCMaxConnectionAge < 0 {
		l.refuse("GRPC_MAX_CONNECTION_AGE", "is negative", "set it to a duration, such as 30m, or to 0s")
	}
}

// checkTraffic judges limits and idempotency.
func (l *loader) checkTraffic(cfg *Config, needs Needs) {
	if !slices.Contains([]string{"local", "open", "closed"}, cfg.RateLimitOnOutage) {
		l.refuse("RATE_LIMIT_ON_OUTAGE", "is not one of its values", "set it to local, open or closed")
	}
	if !slices.Contains([]string{"on", "off"}, cfg.LoadShedding) {
		l.refuse("LOAD_SHEDDING", "is neither on nor off", "set it to on or off")
	}
	const secret = "IDEMPOTENCY_SECRET" //nolint:gosec // the name of a variable
	switch {
	case l.refused(secret + fileSuffix):
	case needs.Idempotency && cfg.IdempotencySecret.IsZero():
		l.refuse(secret, "is not set, and the design has idempotency keys", "set it to 32 random bytes, or "+secret+fileSuffix+" to a file that holds them")
	case cfg.IdempotencySecret.IsZero() && !cfg.IdempotencyOldSecret.IsZero():
		l.refuse("IDEMPOTENCY_OLD_SECRET", "is set, and "+secret+" is not", "set both, or unset it")
	}
}

// checkAdmin judges who reaches the private port.
func (l *loader) checkAdmin(cfg *Config) {
	if v, set := l.env["ADMIN_ADDR"]; set && v == "" {
		cfg.AdminAddr = "" // package env took the default
		l.fields[l.index("ADMIN_ADDR")].value = ""
		return
	}
	l.checkAddress("ADMIN_ADDR", cfg.AdminAddr)
	if exposed(cfg.AdminAddr) && cfg.AdminToken.IsZero() && cfg.AdminClientCAFile == "" && !l.refused("ADMIN_TOKEN"+fileSuffix) {
		l.refuse("ADMIN_ADDR", "would let everybody operate the service",
			"set ADMIN_TOKEN (or ADMIN_TOKEN_FILE) or ADMIN_CLIENT_CA_FILE, or listen on 127.0.0.1")
	}
}

func (l *loader) checkAddress(name, addr string) {
	if _, ok := splitAddress(addr); !ok {
		l.refuse(name, "is not an address", "set it to host:port with a port from 0 to 65535, such as 127.0.0.1:8080 or :8080")
	}
}

// exposed reports whether other machines reach a listener on addr.
func exposed(addr string) bool {
	host, ok := splitAddress(addr)
	return ok && !loopback(host)
}

// splitAddress returns the host of a listener's address.
func splitAddress(addr string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", false
	}
	if _, err := netip.ParseAddr(host); host == "" || err == nil {
		return host, true
	}
	return host, hostname(host)
}

// hostname reports whether s is a name of the DNS (RFC 1123, section 2.1),
// and not a broken IPv4 address.
func hostname(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		bad := strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if label == "" || len(label) > 63 || bad || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return err != nil && len(s) <= 253
}

// loopback reports whether only this machine reaches the host.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

func (l *loader) checkLog(cfg *Config) {
	// slog.Level also reads info+2.
	if !slices.Contains([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}, cfg.LogLevel) ||
		strings.ContainsAny(l.env["LOG_LEVEL"], "+-") {
		l.refuse("LOG_LEVEL", "is not a level", "set it to debug, info, warn or error")
	}
	if !slices.Contains([]string{"auto", "json", "terminal"}, cfg.LogFormat) {
		l.refuse("LOG_FORMAT", "is not a format", "set it to auto, json or terminal")
	}
}

// checkCredentials judges Basic authentication and API keys.
func (l *loader) checkCredentials(cfg *Config, needs Needs) {
	l.readable("AUTH_USERS_FILE")
	l.readable("AUTH_API_KEYS_FILE")
	if needs.Basic && cfg.AuthUsersFile == "" {
		l.refuse("AUTH_USERS_FILE", "is not set, and the design uses Basic authentication", "set it to the path of a users file"+own)
	}
	if needs.APIKey && cfg.AuthAPIKeysFile == "" {
		l.refuse("AUTH_API_KEYS_FILE", "is not set, and the design uses API keys", "set it to the path of a file of API keys"+own)
	}
	if needs.APIKey && cfg.AuthAPIKeysPepper.IsZero() && !l.refused("AUTH_API_KEYS_PEPPER"+fileSuffix) {
		l.refuse("AUTH_API_KEYS_PEPPER", "is not set, and the design uses API keys",
			"set it, or AUTH_API_KEYS_PEPPER_FILE to a file that holds it"+own)
	}
}

// checkIdentity judges who the holder of a client certificate is.
func (l *loader) checkIdentity(cfg *Config) {
	const name = "TLS_CLIENT_IDENTITY"
	switch {
	case !slices.Contains([]string{"off", "subject", "spiffe"}, cfg.TLSClientIdentity):
		l.refuse(name, "is not an identity", "set it to off, subject or spiffe")
	case cfg.TLSClientIdentity != "off" && cfg.TLSClientCAFile == "":
		l.refuse(name, "is set, and TLS_CLIENT_CA_FILE is not", "set TLS_CLIENT_CA_FILE to the authorities of the clients, or unset it")
	}
}

// checkLockout judges how wrong credentials are slowed down.
func (l *loader) checkLockout(cfg *Config) {
	if cfg.AuthLockoutFailures < 0 {
		l.refuse("AUTH_LOCKOUT_FAILURES", "is negative", "set it to a number, such as 10, or to 0 to turn lock-outs off")
	}
	if cfg.AuthLockoutMax < time.Second || cfg.AuthLockoutMax > 24*time.Hour {
		l.refuse("AUTH_LOCKOUT_MAX", "is not between 1s and 24h", "set it to a duration, such as 15m")
	}
}

// checkBrowsers judges what browsers are told.
func (l *loader) checkBrowsers(cfg *Config) {
	if cfg.HSTSMaxAge < 0 || cfg.HSTSMaxAge%time.Second != 0 {
		l.refuse("HSTS_MAX_AGE", "is not a number of seconds", "set it to a duration, such as 8760h, or to 0s")
	}
	if slices.Contains(cfg.CORSOrigins, policy.AnyOrigin) {
		switch {
		case len(cfg.CORSOrigins) > 1:
			l.refuse("CORS_ORIGINS", "holds * beside others", "list origins, or * alone")
		case cfg.CORSCredentials:
			l.refuse("CORS_CREDENTIALS", "is set, and CORS_ORIGINS is *: any page could act for its visitors", "list the origins, or unset it")
		}
	}
	for _, o := range cfg.CORSOrigins {
		if o != policy.AnyOrigin && policy.CheckOrigin(o) != nil {
			l.refuse("CORS_ORIGINS", "holds what is not an origin", "list origins as browsers send them, such as https://shop.example or http://localhost:3000, or * for all")
		}
	}
	if cfg.CORSCredentials && len(cfg.CORSOrigins) == 0 {
		l.refuse("CORS_CREDENTIALS", "is set, and CORS_ORIGINS is not", "set CORS_ORIGINS, or unset it")
	}
}

// checkTokens judges what verifies tokens.
func (l *loader) checkTokens(cfg *Config, needs Needs) {
	for i, a := range cfg.AuthAlgorithms {
		a = strings.TrimSpace(a)
		cfg.AuthAlgorithms[i] = a
		if !slices.Contains(algorithms, a) {
			l.refuse("AUTH_ALGORITHMS", "holds a name that is not an asymmetric signature algorithm",
				"choose from "+strings.Join(algorithms, ", "))
		}
	}
	if cfg.AuthLeeway < 0 || cfg.AuthLeeway > maxLeeway {
		l.refuse("AUTH_LEEWAY", "is not between 0s and 5m", "set it to a short duration, such as 30s")
	}
	if cfg.AuthMaxTokenAge < 0 {
		l.refuse("AUTH_MAX_TOKEN_AGE", "is negative", "set it to a duration, such as 1h, or unset it")
	}
	for name, list := range map[string][]string{
		"AUTH_ISSUER": cfg.AuthIssuers, "AUTH_AUDIENCE": cfg.AuthAudiences, "AUTH_TOKEN_TYPES": cfg.AuthTokenTypes,
	} {
		switch {
		case slices.Contains(list, ""):
			l.refuse(name, "has an empty place", "separate the values by one comma")
		case slices.ContainsFunc(list, blank): // it would never match
			l.refuse(name, "has a blank at one end of a value", "separate the values by a comma alone")
		}
	}
	l.checkIntrospection(cfg)
	l.checkKeySets(cfg)
	opaque := cfg.AuthIntrospectionClientID != ""
	if !needs.JWT && !needs.Token {
		return
	}
	const why = "is not set, and the design uses tokens"
	if len(cfg.AuthIssuers) == 0 && (needs.JWT || !opaque) {
		l.refuse("AUTH_ISSUER", why, "set it to the iss of the tokens that are to be accepted"+own)
	}
	if len(cfg.AuthAudiences) == 0 {
		l.refuse("AUTH_AUDIENCE", why, "set it to the aud by which tokens name this service"+own)
	}
}

// checkKeySets judges where the issuers' keys are.
func (l *loader) checkKeySets(cfg *Config) {
	for _, address := range cfg.AuthJWKSURLs {
		if address != "" && !keySetURL(address) {
			l.refuse("AUTH_JWKS_URL", "is not the https URL of a key set (http only on loopback, no user, no fragment)",
				"set it to the issuer's jwks_uri")
		}
	}
	for _, file := range cfg.AuthJWKSFiles {
		if file != "" {
			l.readableFile("AUTH_JWKS_FILE", file)
		}
	}
	if l.refused("AUTH_ISSUER") {
		return
	}
	n := len(cfg.AuthIssuers)
	for name, list := range map[string][]string{"AUTH_JWKS_FILE": cfg.AuthJWKSFiles, "AUTH_JWKS_URL": cfg.AuthJWKSURLs} {
		if len(list) > 0 && len(list) != n && !l.refused(name) {
			l.refuse(name, fmt.Sprintf("has %d places, and AUTH_ISSUER has %d", len(list), n), "give one place to each issuer, empty or not")
		}
	}
	if l.refused("AUTH_JWKS_FILE") || l.refused("AUTH_JWKS_URL") {
		return
	}
	for i, issuer := range cfg.AuthIssuers {
		file, address := cfg.KeySet(i)
		switch {
		case file != "" && address != "":
			l.refuse("AUTH_JWKS_FILE", "is set, and AUTH_JWKS_URL too", "unset one of them for each issuer")
		case file == "" && address == "" && !keySetURL(issuer):
			l.refuse("AUTH_JWKS_URL", "is not set (nor is AUTH_JWKS_FILE), and AUTH_ISSUER is not an https URL that could be asked for it",
				"set one of them to the issuer's key set")
		}
	}
}

// KeySet returns where the keys of the i-th issuer of AUTH_ISSUER are: a file, a
// URL, or neither if the issuer is asked for them.
func (c *Config) KeySet(i int) (file, address string) {
	if i < len(c.AuthJWKSFiles) {
		file = c.AuthJWKSFiles[i]
	}
	if i < len(c.AuthJWKSURLs) {
		address = c.AuthJWKSURLs[i]
	}
	return file, address
}

// checkIntrospection judges who is asked about opaque tokens.
func (l *loader) checkIntrospection(cfg *Config) {
	const name, id = "AUTH_INTROSPECTION_URL", "AUTH_INTROSPECTION_CLIENT_ID"
	const secret = "AUTH_INTROSPECTION_CLIENT_SECRET" //nolint:gosec // the name of a variable
	address, set := cfg.AuthIntrospectionURL, !cfg.AuthIntrospectionClientSecret.IsZero()
	if address != "" && !keySetURL(address) {
		l.refuse(name, "is not an https URL (http only on loopback, no user, no fragment)", "set it to the issuer's introspection_endpoint")
	}
	switch {
	case cfg.AuthIntrospectionClientID == "" && (address != "" || set):
		l.refuse(id, "is not set, and "+name+" or "+secret+" is", "set it to the client_id of this service")
	case cfg.AuthIntrospectionClientID == "":
		return
	case !set && !l.refused(secret+fileSuffix):
		l.refuse(secret, "is not set, and "+id+" is", "set it, or "+secret+fileSuffix+" to a file that holds it")
	}
	if address == "" && !cfg.discovers() {
		l.refuse(name, "is not set, and no issuer is asked where it is", "set it to the introspection endpoint")
	}
}

// discovers reports whether an issuer says itself where its endpoints are.
func (c *Config) discovers() bool {
	for i := range c.AuthIssuers {
		if file, address := c.KeySet(i); file == "" && address == "" {
			return true
		}
	}
	return false
}

// keySetURL reports whether keys may be fetched from s: who can change them on
// the way can make tokens.
func keySetURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}
