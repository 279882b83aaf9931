// Package config reads a service's settings from its environment, all of them
// at once, and says everything that is wrong with them.
//
//	var own struct {
//		Region string `env:"REGION,required" doc:"where goods are shipped from"`
//	}
//	cfg, err := config.Load(os.Environ(), config.Needs{Token: true}, &own)
//	if err != nil {
//		return err // one line per variable; never a value
//	}
//	db, err := store.Open(ctx, cfg.DatabaseURL.Reveal())
//
// [Load] is a function of the environment that it is given and of the files
// that this names. It reads no .env file, has no default for a credential and
// guesses nothing: a value that is not understood is an error.
package config

import (
	"log/slog"
	"time"
)

// Config is Aguada's own part of a service's settings. It is printed safely:
// what is secret in it is of type [Secret], such as DATABASE_URL, which
// usually holds a password; names of files and addresses of issuers are not
// secret. Networks is a list of prefixes, so that it is assigned to a
// []netip.Prefix as it is.
//
// The tag kind names the form of a value in the reference, doc its meaning;
// least is the number of bytes that a secret must have.
type Config struct {
	// HTTP: the public listener, and the limits of net/http's server.

	HTTPAddr          string        `env:"HTTP_ADDR" envDefault:":8080" kind:"address" doc:"address of the public HTTP listener; beyond loopback it needs TLS, or TLS_MODE=upstream"`
	ReadHeaderTimeout time.Duration `env:"READ_HEADER_TIMEOUT" envDefault:"10s" doc:"longest time to receive a request's header"`
	ReadTimeout       time.Duration `env:"READ_TIMEOUT" envDefault:"30s" doc:"longest time to receive a whole request"`
	WriteTimeout      time.Duration `env:"WRITE_TIMEOUT" envDefault:"60s" doc:"longest time to answer a request; streams are exempt"`
	IdleTimeout       time.Duration `env:"IDLE_TIMEOUT" envDefault:"120s" doc:"longest time that a connection is kept between requests"`
	MaxHeaderBytes    Size          `env:"MAX_HEADER_BYTES" envDefault:"1MiB" doc:"largest request header"`
	TrustedProxies    Networks      `env:"TRUSTED_PROXIES" kind:"list of networks" doc:"networks (10.0.0.0/8) and addresses of the proxies whose X-Forwarded-For is believed"`

	// The public gRPC listener, of designs that have gRPC.

	GRPCAddr             string        `env:"GRPC_ADDR" envDefault:":8081" kind:"address" doc:"address of the public gRPC listener, of a design that has gRPC; off if this is set to nothing; beyond loopback it needs TLS like HTTP_ADDR"`
	GRPCMaxConnectionAge time.Duration `env:"GRPC_MAX_CONNECTION_AGE" envDefault:"30m" doc:"after how long clients are asked to connect anew, so that load is spread over replicas; calls under way end first; 0s is never"`
	GRPCReflection       bool          `env:"GRPC_REFLECTION" doc:"whether clients may ask which gRPC methods there are (gRPC server reflection); for development"`

	// The private port.

	AdminAddr         string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:8082" kind:"address" doc:"address of the private port, which is off if this is set to nothing; beyond loopback it needs TLS like HTTP_ADDR, and ADMIN_TOKEN or ADMIN_CLIENT_CA_FILE"`
	AdminToken        Secret `env:"ADMIN_TOKEN" least:"16" doc:"bearer token of the private port: 16 bytes at least, 32 random ones recommended"`
	AdminClientCAFile string `env:"ADMIN_CLIENT_CA_FILE" kind:"file" doc:"PEM authorities whose certificates every client of the private port must present"`

	// TLS.

	TLSCertFile       string        `env:"TLS_CERT_FILE" kind:"file" doc:"PEM certificate chain of the public listener; goes with TLS_KEY_FILE"`
	TLSKeyFile        string        `env:"TLS_KEY_FILE" kind:"file" doc:"PEM private key of the certificate"`
	TLSClientCAFile   string        `env:"TLS_CLIENT_CA_FILE" kind:"file" doc:"PEM authorities whose certificates every client of the public listener must present (mTLS)"`
	TLSClientIdentity string        `env:"TLS_CLIENT_IDENTITY" envDefault:"off" kind:"off|subject|spiffe" doc:"who the holder of a client certificate is: its subject, or its SPIFFE ID; the caller of methods that ask for no credential"`
	TLSMode           string        `env:"TLS_MODE" kind:"upstream" doc:"upstream: a proxy in front of the service ends TLS"`
	HSTSMaxAge        time.Duration `env:"HSTS_MAX_AGE" envDefault:"8760h" doc:"how long browsers are told to come by TLS only (RFC 6797), where TLS is served; 0s tells them nothing"`

	// Browsers.

	CORSOrigins     []string `env:"CORS_ORIGINS" kind:"list" doc:"origins whose pages may call the service, such as https://shop.example, in place of the design's"`
	CORSCredentials bool     `env:"CORS_CREDENTIALS" doc:"with CORS_ORIGINS: whether those pages may use the browser's own credentials, such as cookies"`

	// Log.

	// LogLevel is the level at the start. A level that changes later is a
	// slog.LevelVar that was set to it.
	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" kind:"debug|info|warn|error" doc:"least level that is logged"`
	LogFormat string     `env:"LOG_FORMAT" envDefault:"auto" kind:"auto|json|terminal" doc:"form of the log; auto is terminal on a terminal, otherwise json"`

	// Database.

	DatabaseURL Secret `env:"DATABASE_URL" doc:"where the service keeps its data"`

	// Limits.

	RedisURL          Secret `env:"REDIS_URL" doc:"Redis by which replicas share their limits, redis:// or rediss://; without it each counts for itself"`
	RedisSecret       Secret `env:"REDIS_SECRET" least:"16" doc:"key, the same for all replicas, under which callers and locked-out addresses are kept in Redis: without it whoever reads there knows them, and whoever writes there can lock out an address of his choice"`
	RateLimitOnOutage string `env:"RATE_LIMIT_ON_OUTAGE" envDefault:"local" kind:"local|open|closed" doc:"what becomes of limited calls while Redis is away: each replica enforces its share, all pass, or all are refused"`

	LoadShedding string `env:"LOAD_SHEDDING" envDefault:"on" kind:"on|off" doc:"whether calls are refused (503) while the process has more of them than it can serve in time, those of low priority first"`

	// Idempotency.

	IdempotencySecret    Secret `env:"IDEMPOTENCY_SECRET" least:"16" doc:"key that seals the answers that are stored under idempotency keys: 16 bytes at least, 32 random ones recommended"`
	IdempotencyOldSecret Secret `env:"IDEMPOTENCY_OLD_SECRET" least:"16" doc:"the key before that one, while there are answers sealed with it"`

	// Shutdown.

	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"30s" doc:"one budget for everything between the signal and the exit"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"0s" doc:"part of that budget in which requests are still accepted, for load balancers to notice that the service is no longer ready"`

	// Telemetry.

	// They are 0 where they are not set.
	TracesPerSecond       int `env:"TRACES_PER_SECOND" doc:"most traces that are begun in a second, 100 unless OTEL_TRACES_SAMPLER says otherwise"`
	ParentTracesPerSecond int `env:"PARENT_TRACES_PER_SECOND" doc:"most traces that are continued in a second because their callers recorded them, no bound by default; for a service that strangers call"`
	OTel                  OTel

	// Auth.

	AuthUsersFile                 string        `env:"AUTH_USERS_FILE" kind:"file" doc:"users of Basic authentication, one name:argon2id-hash per line"`
	AuthAPIKeysFile               string        `env:"AUTH_API_KEYS_FILE" kind:"file" doc:"API keys, as HMACs"`
	AuthAPIKeysPepper             Secret        `env:"AUTH_API_KEYS_PEPPER" least:"16" doc:"key of the API keys' HMACs: 16 bytes at least, 32 random ones recommended"`
	AuthAPIKeysOldPepper          Secret        `env:"AUTH_API_KEYS_OLD_PEPPER" least:"16" doc:"the pepper before that one, while there are keys made with it"`
	AuthIssuers                   []string      `env:"AUTH_ISSUER" kind:"list" doc:"who may issue tokens (iss)"`
	AuthAudiences                 []string      `env:"AUTH_AUDIENCE" kind:"list" doc:"names of this service, one of which tokens must be meant for (aud)"`
	AuthJWKSFiles                 []string      `env:"AUTH_JWKS_FILE" kind:"list of files" doc:"key sets of the issuers, in the same order; a place may be left empty"`
	AuthJWKSURLs                  []string      `env:"AUTH_JWKS_URL" kind:"list of urls" doc:"https URLs of the issuers' key sets, in the same order; an issuer with neither file nor URL is asked for its own (OpenID Connect Discovery)"`
	AuthAlgorithms                []string      `env:"AUTH_ALGORITHMS" envDefault:"RS256,ES256,EdDSA" kind:"list" doc:"signature algorithms that tokens may use"`
	AuthLeeway                    time.Duration `env:"AUTH_LEEWAY" envDefault:"30s" doc:"clock difference that is forgiven in a token's times, 5m at most"`
	AuthTokenTypes                []string      `env:"AUTH_TOKEN_TYPES" kind:"list" doc:"types (typ) that tokens must have, such as at+jwt; by default at+jwt, JWT or none"`
	AuthMaxTokenAge               time.Duration `env:"AUTH_MAX_TOKEN_AGE" doc:"longest time since a token was issued (iat), whatever its expiry; no bound by default"`
	AuthIntrospectionURL          string        `env:"AUTH_INTROSPECTION_URL" kind:"url" doc:"https URL that is asked about OAuth2 and bearer tokens that are no JWTs (RFC 7662); by default what the first issuer says that is asked for its keys"`
	AuthIntrospectionClientID     string        `env:"AUTH_INTROSPECTION_CLIENT_ID" kind:"text" doc:"by which name this service asks about such tokens; without it they are refused"`
	AuthIntrospectionClientSecret Secret        `env:"AUTH_INTROSPECTION_CLIENT_SECRET" doc:"the secret that goes with that name"`
	AuthLockoutFailures           int           `env:"AUTH_LOCKOUT_FAILURES" envDefault:"10" doc:"wrong credentials from one address (IPv6: one /64) before it has to wait; 0 is off"`
	AuthLockoutMax                time.Duration `env:"AUTH_LOCKOUT_MAX" envDefault:"15m" doc:"longest wait of such an address"`

	reporter *reporter // of files that are followed
}

// Needs is what a design asks of the configuration. Its zero value asks for
// nothing.
type Needs struct {
	Basic    bool // a method uses Basic authentication
	APIKey   bool // a method uses API keys
	JWT      bool // a method uses JWTs
	Token    bool // a method uses OAuth2 or bearer tokens, which may be opaque
	Database bool // a service depends on the database

	GRPC        bool // a method is called over gRPC
	Idempotency bool // a method takes idempotency keys
}

// Load reads the settings from environ (as os.Environ returns it), and with
// them the structs that extra points to. Their fields carry the tags of
// github.com/caarlos0/env/v11 (env, envDefault, the options required,
// notEmpty, file, expand, init, unset and so on), required:"true" as another
// way to write ,required, and doc for the reference.
//
// The value of a variable that is read into a [Secret] may come from the file
// that NAME_FILE names instead; one newline at its end is dropped. The secret
// follows a regular file that changes; see [Config.OnReloadError].
//
// A struct with a method Validate() error is asked once its fields are valid;
// what it returns (errors.Join for several) stands among the other problems,
// so it should name the variable, and not its value.
//
// The error is an [*Error] that holds everything that is wrong. Config is nil
// then, and what extra points to is undefined.
func Load(environ []string, needs Needs, extra ...any) (*Config, error) {
	cfg := new(Config)
	l := load(cfg, environ, needs, extra)
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return cfg, nil
}

// OnReloadError has f called, in whatever goroutine it happens, with the reason
// why a secret's or a certificate's changed file was not taken: once for each
// reason. The old content stays in use. Before the first call such reasons are
// lost. A Config that Load has not made reports nothing.
func (c *Config) OnReloadError(f func(error)) {
	if c.reporter != nil {
		c.reporter.f.Store(&f)
	}
}
