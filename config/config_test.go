package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aguada-dev/aguada/config"
)

var all = config.Needs{Basic: true, APIKey: true, JWT: true, Token: true, Database: true, GRPC: true, Idempotency: true}

// plain compares configurations by what they say.
var plain = []cmp.Option{
	cmpopts.IgnoreUnexported(config.Config{}),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// write returns the path of a file with the text.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems loads and returns what is wrong, by variable.
func problems(t *testing.T, environ []string, needs config.Needs, extra ...any) map[string]string {
	t.Helper()
	cfg, err := config.Load(environ, needs, extra...)
	if err == nil {
		return nil
	}
	if cfg != nil {
		t.Error("Load returned a configuration and an error")
	}
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("Load: %T", err)
	}
	got := make(map[string]string)
	for _, p := range e.Problems {
		if p.Wrong == "" || p.Fix == "" || strings.Contains(p.String(), "\n") {
			t.Errorf("not a full line: %q", p)
		}
		if got[p.Variable] != "" {
			t.Errorf("two problems of %s", p.Variable)
		}
		got[p.Variable] = p.Wrong + ": " + p.Fix
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(e.Problems) {
		t.Errorf("%d lines for %d problems", n, len(e.Problems))
	}
	return got
}

func TestDefaults(t *testing.T) {
	cfg, err := config.Load([]string{"HTTP_ADDR=127.0.0.1:8080", "LOG_LEVEL="}, config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		HTTPAddr:          "127.0.0.1:8080",
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		AdminAddr:         "127.0.0.1:8082",
		OTel: config.OTel{
			Protocol: "http/protobuf", Timeout: 10000,
			SpanDelay: 5000, SpanTimeout: 30000, SpanQueue: 2048, SpanBatch: 512,
			LogDelay: 1000, LogTimeout: 30000, LogQueue: 2048, LogBatch: 512,
			MetricInterval: 60000, MetricTimeout: 30000,
		},
		LogFormat:         "auto",
		ShutdownTimeout:   30 * time.Second,
		RateLimitOnOutage: "local", LoadShedding: "on", GRPCMaxConnectionAge: 30 * time.Minute,
		TLSClientIdentity: "off", HSTSMaxAge: 8760 * time.Hour,
		AuthAlgorithms:      []string{"RS256", "ES256", "EdDSA"},
		AuthLeeway:          30 * time.Second,
		AuthLockoutFailures: 10, AuthLockoutMax: 15 * time.Minute,
	}
	if diff := cmp.Diff(want, cfg, plain...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverythingSet(t *testing.T) {
	cert, key := pair(t)
	users, keys, jwks := write(t, "a:b"), write(t, "{}"), write(t, "{}")
	cfg, err := config.Load([]string{
		"HTTP_ADDR=[::]:443", "READ_HEADER_TIMEOUT=1s", "READ_TIMEOUT=2s", "WRITE_TIMEOUT=3s", "IDLE_TIMEOUT=4s",
		"MAX_HEADER_BYTES=65536", "TLS_CERT_FILE=" + cert, "TLS_KEY_FILE=" + key, "TLS_CLIENT_CA_FILE=" + cert,
		"LOG_LEVEL=WARN", "LOG_FORMAT=json", "DATABASE_URL=postgres://u:p@h/d", "SHUTDOWN_TIMEOUT=5s",
		"AUTH_USERS_FILE=" + users, "AUTH_API_KEYS_FILE=" + keys, "AUTH_API_KEYS_PEPPER=0123456789abcdef",
		"AUTH_API_KEYS_OLD_PEPPER=fedcba9876543210", "AUTH_ISSUER=https://id.example,https://old.example,https://new.example", "AUTH_AUDIENCE=shop,shop-api",
		"AUTH_JWKS_FILE=" + jwks + ",,", "AUTH_JWKS_URL=,https://old.example/keys,", "AUTH_TOKEN_TYPES=at+jwt", "AUTH_MAX_TOKEN_AGE=1h",
		"AUTH_INTROSPECTION_URL=https://id.example/introspect", "AUTH_INTROSPECTION_CLIENT_ID=shop", "AUTH_INTROSPECTION_CLIENT_SECRET=hush",
		"REDIS_URL=rediss://u:p@h/0", "REDIS_SECRET=0123456789abcdef", "RATE_LIMIT_ON_OUTAGE=closed", "LOAD_SHEDDING=off",
		"GRPC_ADDR=[::]:444", "GRPC_MAX_CONNECTION_AGE=0s", "GRPC_REFLECTION=true", "IDEMPOTENCY_SECRET=fedcba9876543210", "IDEMPOTENCY_OLD_SECRET=0123456789abcdef",
		"AUTH_LOCKOUT_FAILURES=3", "AUTH_LOCKOUT_MAX=1m", "TLS_CLIENT_IDENTITY=spiffe", "HSTS_MAX_AGE=1h",
		"CORS_ORIGINS=https://a.example,https://b.example", "CORS_CREDENTIALS=true",
		"AUTH_ALGORITHMS=ES256, PS512", "AUTH_LEEWAY=0s",
		"ADMIN_ADDR=:8082", "ADMIN_TOKEN=0123456789abcdef", "ADMIN_CLIENT_CA_FILE=" + cert, "DRAIN_DELAY=4s",
		"TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.1,fd00::/8,::ffff:192.0.2.2", "PARENT_TRACES_PER_SECOND=7", "OTEL_SDK_DISABLED=false", "OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=a=b,c.d=%20",
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1",
		"OTEL_TRACES_EXPORTER=console", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://otel:4318", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_HEADERS=a=b, c=d%20e",
		"OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_TIMEOUT=1", "OTEL_EXPORTER_OTLP_CERTIFICATE=" + cert,
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + cert, "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + key,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://t/v1/traces", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=k=v",
		"OTEL_BSP_SCHEDULE_DELAY=2", "OTEL_BSP_EXPORT_TIMEOUT=3", "OTEL_BSP_MAX_QUEUE_SIZE=5", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4",
		"OTEL_BLRP_SCHEDULE_DELAY=6", "OTEL_BLRP_EXPORT_TIMEOUT=7", "OTEL_BLRP_MAX_QUEUE_SIZE=9", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=8",
		"OTEL_METRIC_EXPORT_INTERVAL=10", "OTEL_METRIC_EXPORT_TIMEOUT=11",
	}, all)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		HTTPAddr: "[::]:443", ReadHeaderTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
		IdleTimeout: 4 * time.Second, MaxHeaderBytes: 65536, TLSCertFile: cert, TLSKeyFile: key, TLSClientCAFile: cert,
		LogLevel: slog.LevelWarn, LogFormat: "json", DatabaseURL: config.NewSecret("postgres://u:p@h/d"),
		ShutdownTimeout: 5 * time.Second, AuthUsersFile: users, AuthAPIKeysFile: keys,
		AuthAPIKeysPepper: config.NewSecret("0123456789abcdef"), AuthAPIKeysOldPepper: config.NewSecret("fedcba9876543210"),
		AuthIssuers: []string{"https://id.example", "https://old.example", "https://new.example"}, AuthAudiences: []string{"shop", "shop-api"},
		AuthJWKSFiles: []string{jwks, "", ""}, AuthJWKSURLs: []string{"", "https://old.example/keys", ""}, AuthTokenTypes: []string{"at+jwt"}, AuthMaxTokenAge: time.Hour,
		AuthIntrospectionURL: "https://id.example/introspect", AuthIntrospectionClientID: "shop", AuthIntrospectionClientSecret: config.NewSecret("hush"),
		RedisURL: config.NewSecret("rediss://u:p@h/0"), RedisSecret: config.NewSecret("0123456789abcdef"), RateLimitOnOutage: "closed", LoadShedding: "off", GRPCAddr: "[::]:444", GRPCReflection: true,
		IdempotencySecret: config.NewSecret("fedcba9876543210"), IdempotencyOldSecret: config.NewSecret("0123456789abcdef"), AuthLockoutFailures: 3, AuthLockoutMax: time.Minute, TLSClientIdentity: "spiffe", HSTSMaxAge: time.Hour,
		CORSOrigins: []string{"https://a.example", "https://b.example"}, CORSCredentials: true,
		AuthAlgorithms: []string{"ES256", "PS512"},
		AdminAddr:      ":8082", AdminToken: config.NewSecret("0123456789abcdef"), AdminClientCAFile: cert, DrainDelay: 4 * time.Second,
		TrustedProxies: config.Networks{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
			netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.2/32"),
		},
		ParentTracesPerSecond: 7,
		OTel: config.OTel{
			Disabled: "false", ServiceName: "shop", ResourceAttributes: "a=b,c.d=%20", Sampler: "parentbased_traceidratio", SamplerArg: "0.1",
			TracesExporter: "console", MetricsExporter: "none", LogsExporter: "none",
			Endpoint: "http://otel:4318", Protocol: "grpc", Headers: config.NewSecret("a=b, c=d%20e"), Compression: "gzip", Timeout: 1,
			Certificate: cert, ClientCertificate: cert, ClientKey: key, Traces: config.Signal{Endpoint: "https://t/v1/traces"},
			Metrics: config.Signal{Protocol: "grpc"}, Logs: config.Signal{Headers: config.NewSecret("k=v")},
			SpanDelay: 2, SpanTimeout: 3, SpanQueue: 5, SpanBatch: 4, LogDelay: 6, LogTimeout: 7, LogQueue: 9, LogBatch: 8,
			MetricInterval: 10, MetricTimeout: 11,
		},
	}
	if diff := cmp.Diff(want, cfg, plain...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The private port is off where its variable is set to nothing.
func TestNoPrivatePort(t *testing.T) {
	environ := []string{"HTTP_ADDR=localhost:1", "ADMIN_ADDR="}
	cfg, err := config.Load(environ, config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.AdminAddr != "" {
		t.Errorf("ADMIN_ADDR is %q", cfg.AdminAddr)
	}
	for _, r := range config.Reference(environ, config.Needs{}) {
		if r.Name == "ADMIN_ADDR" && (r.Value != "" || r.Source != "environment") {
			t.Errorf("%+v", r)
		}
	}
}

// TestValidation has each rule's good and bad values.
func TestValidation(t *testing.T) {
	cert, key := pair(t)
	_, otherKey := pair(t)
	dir, file, token := t.TempDir(), write(t, "x"), write(t, "0123456789abcdef\n")
	const local = "HTTP_ADDR=localhost:1"
	const issuer = "AUTH_ISSUER=https://id.example"
	const asked = "AUTH_INTROSPECTION_CLIENT_ID=a AUTH_INTROSPECTION_CLIENT_SECRET=b"
	for _, test := range []struct {
		env  string // separated by blanks; local is added unless HTTP_ADDR is set
		want string // variable: a part of what is said; empty for valid
	}{
		{"HTTP_ADDR=127.0.0.1:0", ""},
		{"HTTP_ADDR=[::1]:65535", ""},
		{"HTTP_ADDR=127.9.9.9:80", ""},
		{"HTTP_ADDR=", "HTTP_ADDR: is set to nothing"},
		{"HTTP_ADDR=8080", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=:65536", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=:-1", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=:http", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=127.0.0.1:", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=::1:80", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=300.0.0.1:80", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=http://localhost:80", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=a_b:80 TLS_MODE=upstream", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=shop.example:80 TLS_MODE=upstream", ""},
		{"HTTP_ADDR=:8080", "HTTP_ADDR: would serve plain HTTP"},
		{"HTTP_ADDR=:8080", "HTTP_ADDR: set TLS_CERT_FILE and TLS_KEY_FILE, or TLS_MODE=upstream"},
		{"HTTP_ADDR=0.0.0.0:8080", "HTTP_ADDR: would serve plain HTTP"},
		{"HTTP_ADDR=localhost.example:80", "HTTP_ADDR: would serve plain HTTP"},
		{"HTTP_ADDR=:8080 TLS_MODE=upstream", ""},
		{"HTTP_ADDR=:8080 TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, ""},
		{"TLS_MODE=off", "TLS_MODE: is not a mode"},
		{"TLS_MODE=upstream TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, "TLS_MODE: is upstream, and"},
		{"TLS_CERT_FILE=" + cert, "TLS_KEY_FILE: is not set"},
		{"TLS_KEY_FILE=" + key, "TLS_CERT_FILE: is not set"},
		{"TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + otherKey, "TLS_CERT_FILE: do not belong together"},
		{"TLS_CERT_FILE=" + file + " TLS_KEY_FILE=" + key, "TLS_CERT_FILE: are not a certificate"},
		{"TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=/absent", "TLS_KEY_FILE: does not exist"},
		{"TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key + " TLS_CLIENT_CA_FILE=" + file, "TLS_CLIENT_CA_FILE: without a PEM"},
		{"TLS_CLIENT_CA_FILE=" + cert, "TLS_CLIENT_CA_FILE: is set, and TLS_CERT_FILE is not"},
		{"READ_TIMEOUT=0s", "READ_TIMEOUT: is not more than 0"},
		{"WRITE_TIMEOUT=-1s", "WRITE_TIMEOUT: is not more than 0"},
		{"IDLE_TIMEOUT=30", "IDLE_TIMEOUT: is not a duration"},
		{"READ_HEADER_TIMEOUT=1y", "READ_HEADER_TIMEOUT: is not a duration"},
		{"SHUTDOWN_TIMEOUT=0", "SHUTDOWN_TIMEOUT: is not more than 0"},
		{"MAX_HEADER_BYTES=512KiB", ""},
		{"MAX_HEADER_BYTES=0", "MAX_HEADER_BYTES: is not between"},
		{"MAX_HEADER_BYTES=2GiB", "MAX_HEADER_BYTES: is not between"},
		{"MAX_HEADER_BYTES=-1", "MAX_HEADER_BYTES: is not a size"},
		{"MAX_HEADER_BYTES=1mib", "MAX_HEADER_BYTES: is not a size"},
		{"MAX_HEADER_BYTES=99999999999GiB", "MAX_HEADER_BYTES: is not a size"},
		{"LOG_LEVEL=Debug", ""},
		{"LOG_LEVEL=trace", "LOG_LEVEL: is not a level"},
		{"LOG_LEVEL=info+4", "LOG_LEVEL: is not a level"},
		{"LOG_FORMAT=text", "LOG_FORMAT: is not a format"},
		{"AUTH_USERS_FILE=" + dir, "AUTH_USERS_FILE: does not name a regular file"},
		{"AUTH_API_KEYS_FILE=/absent", "AUTH_API_KEYS_FILE: does not exist"},
		{"AUTH_API_KEYS_PEPPER=0123456789abcde", "AUTH_API_KEYS_PEPPER: is shorter than 16"},
		{"AUTH_API_KEYS_PEPPER=0123456789abcdef", ""},
		{issuer + " AUTH_JWKS_URL=https://id.example/keys", ""},
		{issuer + " AUTH_JWKS_URL=http://127.0.0.1:9/keys", ""},
		{issuer + " AUTH_JWKS_URL=http://id.example/keys", "AUTH_JWKS_URL: is not the https URL"},
		{issuer + " AUTH_JWKS_URL=https://u:p@id.example/keys", "AUTH_JWKS_URL: is not the https URL"},
		{issuer + " AUTH_JWKS_URL=file:///keys", "AUTH_JWKS_URL: is not the https URL"},
		{issuer + " AUTH_JWKS_URL=https://id.example/keys AUTH_JWKS_FILE=" + file, "AUTH_JWKS_FILE: unset one of them"},
		{issuer + " AUTH_JWKS_FILE=/absent", "AUTH_JWKS_FILE: does not exist"},
		{issuer + " AUTH_JWKS_FILE=" + dir, "AUTH_JWKS_FILE: does not name a regular file"},
		{issuer, ""},
		{"AUTH_JWKS_URL=https://id.example/keys", "AUTH_JWKS_URL: has 1 places, and AUTH_ISSUER has 0"},
		{"AUTH_ISSUER=https://a.example,b AUTH_JWKS_URL=https://a.example/keys", "AUTH_JWKS_URL: has 1 places, and AUTH_ISSUER has 2"},
		{"AUTH_ISSUER=https://a.example,b AUTH_JWKS_URL=,https://b.example/keys", ""},
		{"AUTH_ISSUER=https://a.example,b AUTH_JWKS_URL=https://a.example/keys,", "AUTH_JWKS_URL: could be asked for it"},
		{"AUTH_ISSUER=http://id.example", "AUTH_JWKS_URL: could be asked for it"},
		{"AUTH_ISSUER=https://a.example,", "AUTH_ISSUER: has an empty place"},
		{"AUTH_AUDIENCE=,a", "AUTH_AUDIENCE: has an empty place"},
		{"AUTH_AUDIENCE=a,\u00a0b", "AUTH_AUDIENCE: has a blank"},
		{"AUTH_MAX_TOKEN_AGE=-1s", "AUTH_MAX_TOKEN_AGE: is negative"},
		{asked + " AUTH_INTROSPECTION_URL=https://id.example/i", ""},
		{asked + " AUTH_INTROSPECTION_URL=http://id.example/i", "AUTH_INTROSPECTION_URL: is not an https URL"},
		{asked, "AUTH_INTROSPECTION_URL: no issuer is asked"},
		{asked + " " + issuer, ""},
		{asked + " " + issuer + " AUTH_JWKS_FILE=" + file, "AUTH_INTROSPECTION_URL: no issuer is asked"},
		{"AUTH_INTROSPECTION_URL=https://id.example/i AUTH_INTROSPECTION_CLIENT_ID=a", "AUTH_INTROSPECTION_CLIENT_SECRET: is not set"},
		{"AUTH_INTROSPECTION_URL=https://id.example/i AUTH_INTROSPECTION_CLIENT_SECRET=a", "AUTH_INTROSPECTION_CLIENT_ID: is not set"},
		{"RATE_LIMIT_ON_OUTAGE=maybe", "RATE_LIMIT_ON_OUTAGE: is not one of its values"},
		{"AUTH_LOCKOUT_FAILURES=0", ""},
		{"AUTH_LOCKOUT_FAILURES=-1", "AUTH_LOCKOUT_FAILURES: is negative"},
		{"AUTH_LOCKOUT_MAX=0s", "AUTH_LOCKOUT_MAX: is not between"},
		{"AUTH_LOCKOUT_MAX=25h", "AUTH_LOCKOUT_MAX: is not between"},
		{"TLS_CLIENT_IDENTITY=dns", "TLS_CLIENT_IDENTITY: is not an identity"},
		{"TLS_CLIENT_IDENTITY=spiffe", "TLS_CLIENT_IDENTITY: and TLS_CLIENT_CA_FILE is not"},
		{"HSTS_MAX_AGE=0s", ""},
		{"HSTS_MAX_AGE=1500ms", "HSTS_MAX_AGE: is not a number of seconds"},
		{"CORS_CREDENTIALS=true", "CORS_CREDENTIALS: and CORS_ORIGINS is not"},
		{"CORS_ORIGINS=*", ""},
		{"CORS_ORIGINS=* CORS_CREDENTIALS=true", "CORS_CREDENTIALS: any page could act"},
		{"CORS_ORIGINS=*,https://a.example", "CORS_ORIGINS: holds * beside others"},
		{"AUTH_ALGORITHMS=HS256", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_ALGORITHMS=RS256,none", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_ALGORITHMS=RS256,,ES256", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_ALGORITHMS=rs256", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_LEEWAY=5m", ""},
		{"AUTH_LEEWAY=5m1s", "AUTH_LEEWAY: is not between"},
		{"AUTH_LEEWAY=-1s", "AUTH_LEEWAY: is not between"},
		{"SHUTDOWN_TIMEOUT=5s DRAIN_DELAY=4s", ""},
		{"SHUTDOWN_TIMEOUT=5s DRAIN_DELAY=5s", "DRAIN_DELAY: is not between 0s and SHUTDOWN_TIMEOUT"},
		{"DRAIN_DELAY=-1s", "DRAIN_DELAY: is not between"},
		{"TRUSTED_PROXIES=10.0.0.0/8", ""},
		{"TRUSTED_PROXIES=10.0.0.1/8", "TRUSTED_PROXIES: is not"},
		{"TRUSTED_PROXIES=proxy.example", "TRUSTED_PROXIES: is not"},
		{"TRUSTED_PROXIES=10.0.0.0/8,", "TRUSTED_PROXIES: is not"},
		{"TRUSTED_PROXIES=::ffff:10.0.0.0/104", "TRUSTED_PROXIES: is not"},
		{"TRUSTED_PROXIES=fe80::1%eth0", "TRUSTED_PROXIES: is not"},
		{"TRUSTED_PROXIES=0.0.0.0/0", "TRUSTED_PROXIES: every client could forge"},
		{"ADMIN_ADDR=", ""},
		{"ADMIN_ADDR=8082", "ADMIN_ADDR: is not an address"},
		{"ADMIN_ADDR=:8082 TLS_MODE=upstream", "ADMIN_ADDR: would let everybody operate"},
		{"ADMIN_ADDR=:8082 TLS_MODE=upstream ADMIN_TOKEN=0123456789abcdef", ""},
		{"ADMIN_ADDR=:8082 TLS_MODE=upstream ADMIN_TOKEN=0123456789abcde", "ADMIN_TOKEN: is shorter than 16 bytes"},
		{"ADMIN_ADDR=:8082 TLS_MODE=upstream ADMIN_TOKEN_FILE=" + token, ""},
		{"ADMIN_ADDR=:8082 TLS_MODE=upstream ADMIN_TOKEN_FILE=/absent", "ADMIN_TOKEN_FILE: does not exist"},
		{"ADMIN_ADDR=:8082 TLS_MODE=upstream ADMIN_CLIENT_CA_FILE=" + cert, "ADMIN_CLIENT_CA_FILE: TLS_CERT_FILE is not"},
		{"ADMIN_ADDR=:8082 ADMIN_TOKEN=0123456789abcdef", "ADMIN_ADDR: would serve plain HTTP"},
		{"ADMIN_ADDR=:8082 TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, "ADMIN_ADDR: would let everybody operate"},
		{"ADMIN_ADDR=:8082 TLS_CLIENT_CA_FILE=" + cert + " TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, "ADMIN_ADDR: would let everybody operate"},
		{"ADMIN_ADDR=:8082 ADMIN_CLIENT_CA_FILE=" + cert + " TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, ""},
		{"TRACES_PER_SECOND=0", "TRACES_PER_SECOND: is not more than 0"},
		{"TRACES_PER_SECOND=5", ""},
		{"TRACES_PER_SECOND=5 OTEL_TRACES_SAMPLER=always_on", "TRACES_PER_SECOND: unset one of them"},
		{"OTEL_TRACES_SAMPLER=always_off", ""},
		{"OTEL_TRACES_SAMPLER=ratio", "OTEL_TRACES_SAMPLER: is not a sampler"},
		{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG: is not set"},
		{"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=1.1", "OTEL_TRACES_SAMPLER_ARG: is not a share"},
		{"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=NaN", "OTEL_TRACES_SAMPLER_ARG: is not a share"},
		{"OTEL_TRACES_SAMPLER_ARG=0.1", "OTEL_TRACES_SAMPLER_ARG: takes no share"},
		{"PARENT_TRACES_PER_SECOND=0", "PARENT_TRACES_PER_SECOND: is not more than 0"},
		{"OTEL_SDK_DISABLED=1", "OTEL_SDK_DISABLED: choose from true, false"},
		{"OTEL_METRICS_EXPORTER=prometheus", ""},
		{"OTEL_TRACES_EXPORTER=jaeger", "OTEL_TRACES_EXPORTER: choose from otlp, console, none"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_PROTOCOL: choose from"},
		{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: choose from"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: is not the URL"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://u:p@h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is not the URL"},
		{"OTEL_EXPORTER_OTLP_HEADERS=Bearer", "OTEL_EXPORTER_OTLP_HEADERS: is not a list of names and values"},
		{"OTEL_EXPORTER_OTLP_HEADERS=a=%zz", "OTEL_EXPORTER_OTLP_HEADERS: is not a list of names and values"},
		{"OTEL_EXPORTER_OTLP_HEADERS_FILE=" + file, "OTEL_EXPORTER_OTLP_HEADERS_FILE: OpenTelemetry reads no file"},
		{"OTEL_RESOURCE_ATTRIBUTES=a", "OTEL_RESOURCE_ATTRIBUTES: is not a list"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=10s", "OTEL_EXPORTER_OTLP_TIMEOUT: is not a whole number"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=-1", "OTEL_EXPORTER_OTLP_TIMEOUT: is not more than 0"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/absent", "OTEL_EXPORTER_OTLP_CERTIFICATE: does not exist"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY=" + key, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: set both"},
		{"OTEL_BSP_MAX_QUEUE_SIZE=1", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: is more than OTEL_BSP_MAX_QUEUE_SIZE"},
		{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=9999", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE: is more than"},
		{"OTEL_SPAN_LINK_COUNT_LIMIT=x", ""}, // the SDK's
		{"HTTP_ADR=:1", ""},                  // not ours: not judged
	} {
		environ := strings.Split(test.env, " ")
		if !strings.HasPrefix(test.env, "HTTP_ADDR") {
			environ = append(environ, local)
		}
		got := problems(t, environ, config.Needs{})
		name, part, _ := strings.Cut(test.want, ": ")
		switch {
		case test.want == "" && got != nil:
			t.Errorf("%s: refused: %v", test.env, got)
		case test.want != "" && (len(got) != 1 || !strings.Contains(got[name], part)):
			t.Errorf("%s: got %v, want %s", test.env, got, test.want)
		}
	}
	for _, v := range []string{"LOG_FORMAT=json ", "AUTH_ISSUER=a\nb"} {
		if got := problems(t, []string{local, v}, config.Needs{}); len(got) != 1 {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestNeeds(t *testing.T) {
	local := []string{"HTTP_ADDR=localhost:1"}
	for _, test := range []struct {
		needs config.Needs
		want  []string
	}{
		{config.Needs{}, nil},
		{config.Needs{Basic: true}, []string{"AUTH_USERS_FILE"}},
		{config.Needs{APIKey: true}, []string{"AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER"}},
		{config.Needs{JWT: true}, []string{"AUTH_ISSUER", "AUTH_AUDIENCE"}},
		{config.Needs{Token: true}, []string{"AUTH_ISSUER", "AUTH_AUDIENCE"}},
		{config.Needs{Database: true}, []string{"DATABASE_URL"}},
		{config.Needs{Idempotency: true}, []string{"IDEMPOTENCY_SECRET"}},
		{config.Needs{GRPC: true}, []string{"GRPC_ADDR"}},
		{all, []string{"GRPC_ADDR", "DATABASE_URL", "IDEMPOTENCY_SECRET", "AUTH_USERS_FILE", "AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER", "AUTH_ISSUER", "AUTH_AUDIENCE"}},
	} {
		_, err := config.Load(local, test.needs)
		var got []string
		var e *config.Error
		if errors.As(err, &e) {
			for _, p := range e.Problems {
				got = append(got, p.Variable)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.needs, diff)
		}
	}
}

// Every variable wrong at once, each with a value that looks like a secret:
// every one is named, and no part of a value is said.
func TestErrorsHoldNoValue(t *testing.T) {
	const secret = "hunter2-s3cr3t"
	own := struct {
		Port    int               `env:"OWN_PORT"`
		Weird   weird             `env:"OWN_WEIRD"`
		Labels  map[string]string `env:"OWN_LABELS"`
		List    []int             `env:"OWN_LIST"`
		File    string            `env:"OWN_FILE,file"`
		When    time.Duration     `env:"OWN_WHEN"`
		Nothing chan int          `env:"OWN_CHAN"`
		Nested  struct {
			Flag bool `env:"FLAG"`
		} `envPrefix:"OWN_"`
		Needed string `env:"OWN_NEEDED,required"`
		Full   string `env:"OWN_FULL,notEmpty"`
		Old    string `env:"OWN_OLD" required:"true"`
	}{}
	environ := []string{"OWN_FULL=", "DATABASE_URL_FILE=/" + secret, "AUTH_INTROSPECTION_CLIENT_SECRET_FILE=/" + secret, "REDIS_URL_FILE=/" + secret, "ADMIN_TOKEN=" + secret, "AUTH_API_KEYS_PEPPER=" + secret}
	for _, row := range config.Reference(nil, all) {
		switch name := row.Name; name {
		case "DATABASE_URL", "REDIS_URL", "AUTH_API_KEYS_PEPPER", "AUTH_INTROSPECTION_CLIENT_SECRET", "ADMIN_TOKEN":
		case "AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_TOKEN_TYPES", "AUTH_INTROSPECTION_CLIENT_ID", "OTEL_SERVICE_NAME":
			environ = append(environ, name+"= "+secret)
		default:
			environ = append(environ, name+"="+secret)
		}
	}
	for _, name := range []string{"PORT", "WEIRD", "LABELS", "LIST", "FILE", "WHEN", "CHAN", "FLAG"} {
		environ = append(environ, "OWN_"+name+"="+secret)
	}
	got := problems(t, environ, all, &own)
	for _, f := range config.Reference(environ, all, &own) {
		switch f.Name {
		case "DATABASE_URL", "REDIS_URL", "AUTH_INTROSPECTION_CLIENT_SECRET":
			if got[f.Name+"_FILE"] == "" {
				t.Errorf("%s_FILE is not refused", f.Name)
			}
		default:
			if got[f.Name] == "" {
				t.Errorf("%s is not refused", f.Name)
			}
		}
		if s := fmt.Sprint(f); strings.Contains(s, "hunter2") || strings.Contains(s, "s3cr3t") {
			t.Errorf("the reference shows the value of %s: %s", f.Name, s)
		}
	}
	_, err := config.Load(environ, all, &own)
	if s := err.Error(); strings.Contains(s, "hunter2") || strings.Contains(s, "s3cr3t") {
		t.Errorf("a value is in the error:\n%s", s)
	}
	t.Logf("\n%v", err)
}

// weird refuses everything, and says what.
type weird struct{}

func (*weird) UnmarshalText(b []byte) error { return fmt.Errorf("bad value %q", b) }

// What gRPC and idempotency keys need is asked for where the design has them.
func TestTrafficNeeds(t *testing.T) {
	both := config.Needs{GRPC: true, Idempotency: true}
	const secret = "IDEMPOTENCY_SECRET=0123456789abcdef"
	for _, c := range []struct {
		env   []string
		needs config.Needs
		addr  string
		want  string // in the error; "" for none
	}{
		{nil, config.Needs{}, "", ""},
		{[]string{"GRPC_ADDR=:9"}, config.Needs{}, "", ""}, // there is none to expose
		{[]string{"GRPC_ADDR=127.0.0.1:9", secret}, both, "127.0.0.1:9", ""},
		{[]string{"GRPC_ADDR=", secret}, both, "", ""},
		{[]string{secret}, both, "", "GRPC_ADDR: "},
		{[]string{secret, "TLS_MODE=upstream"}, both, ":8081", ""},
		{[]string{"GRPC_ADDR=9", secret}, both, "", "GRPC_ADDR: is not an address"},
		{[]string{"GRPC_ADDR=", secret, "GRPC_MAX_CONNECTION_AGE=-1s"}, both, "", "GRPC_MAX_CONNECTION_AGE: is negative"},
		{[]string{"GRPC_ADDR="}, both, "", "IDEMPOTENCY_SECRET: is not set"},
		{[]string{"GRPC_ADDR=", "IDEMPOTENCY_SECRET=0123456789abcde"}, both, "", "IDEMPOTENCY_SECRET: is shorter than 16 bytes"},
		{[]string{"IDEMPOTENCY_OLD_SECRET=0123456789abcdef"}, config.Needs{}, "", "IDEMPOTENCY_OLD_SECRET: is set, and IDEMPOTENCY_SECRET is not"},
		{[]string{"LOAD_SHEDDING=maybe"}, config.Needs{}, "", "LOAD_SHEDDING: is neither on nor off"},
	} {
		cfg, err := config.Load(append([]string{"HTTP_ADDR=127.0.0.1:1"}, c.env...), c.needs)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.env, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want %s", c.env, err, c.want)
		case err == nil && cfg.GRPCAddr != c.addr:
			t.Errorf("%q: gRPC on %q, want %q", c.env, cfg.GRPCAddr, c.addr)
		}
	}
}
