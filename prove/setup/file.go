package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// File is prove.yaml: what the prover cannot know by itself about a service. A
// service that uses Aguada needs none.
//
//	build: ./cmd/page
//	env:
//	  HTTP_ADDR: ${http}
//	  JWT_SECRET: ${hmac_secret}
//	  API_KEY: ${api_key}
//	ready: /healthz
//	credentials:
//	  token: {secret: hmac, scopes: scopes, list: true}
//	parameters:
//	  "*": {tenant: acme}
//	  users.get: {id: "1"}
type File struct {
	// Build is the Go package that is built and started, relative to the file.
	Build string `yaml:"build"`
	// Command is what is started instead, relative to the file.
	Command []string `yaml:"command"`
	// Args are given to what is built.
	Args []string `yaml:"args"`
	// Env is the environment of the service. Values may hold ${http}, ${grpc},
	// ${admin} (addresses), ${http_port} and so on, ${dir} (a folder of the
	// process), ${issuer}, ${keys_url}, ${audience}, ${hmac_secret}, ${api_key},
	// ${user}, ${password}, ${otlp_http} and ${otlp_grpc}.
	Env map[string]string `yaml:"env"`
	// Contract and OpenAPI are the documents, relative to the file; by default
	// gen/production/contract.json and gen/http/openapi3.json, as far as there.
	Contract string `yaml:"contract"`
	OpenAPI  string `yaml:"openapi"`
	// Ready is the path that answers 200 once the service serves. If it is empty
	// any answer tells that, and of a service that uses Aguada /readyz. Patience is how long that may take, 20 s if 0.
	Ready    string        `yaml:"ready"`
	Patience time.Duration `yaml:"patience"`
	// Alive is the path that answers 200 as long as the process need not be
	// started anew; of a service that uses Aguada /livez if empty.
	Alive string `yaml:"alive"`
	// Debug is the path of the public listener by which lines of level debug are
	// switched on, if the service promises one.
	Debug string `yaml:"debug"`
	// Credentials are how callers of the service are known.
	Credentials Credentials `yaml:"credentials"`
	// Scopes are those that methods ("service.method") require, as far as the
	// documents do not say: Goa's OpenAPI documents do not tell those of JWT.
	// Good tokens have exactly them.
	Scopes map[string][]string `yaml:"scopes"`
	// Parameters are values of path and query by "service.method" and name; "*"
	// stands for every method.
	Parameters map[string]map[string]string `yaml:"parameters"`
}

// Credentials say what the service accepts.
type Credentials struct {
	// Basic are passwords by user, and APIKeys keys, that the service knows
	// already.
	Basic   map[string]string `yaml:"basic"`
	APIKeys []string          `yaml:"api_keys"`
	// Token says how tokens are made.
	Token Token `yaml:"token"`
}

// Token says how the service's access tokens look.
type Token struct {
	// Secret is "hmac" where the service verifies HS256 with ${hmac_secret};
	// otherwise it fetches ${keys_url}.
	Secret string `yaml:"secret"`
	// Value is that secret, where the service has one built in; a random one if
	// empty.
	Value string `yaml:"value"`
	// Issuer is the iss of tokens, where the service does not take ${issuer}.
	Issuer string `yaml:"issuer"`
	// Audience is what tokens are meant for; the name of the API if empty.
	Audience string `yaml:"audience"`
	// Scopes is the claim that holds scopes, "scope" if empty, and List says
	// that they are a list in it rather than one text.
	Scopes string `yaml:"scopes"`
	List   bool   `yaml:"list"`
	// Introspection are the variables by which the service is told where, and
	// as whom, it asks about tokens that say nothing by themselves (RFC 7662):
	// their values may hold ${introspection_url}, ${introspection_id} and
	// ${introspection_secret}. Only some processes get them. It is not needed for
	// a service that uses Aguada.
	Introspection map[string]string `yaml:"introspection"`
}

// ReadFile reads prove.yaml; nil without error where there is none. Unknown
// fields are errors.
func ReadFile(name string) (*File, error) {
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, fmt.Errorf("read how to start the service: %w", err)
	}
	f := &File{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if f.Credentials.Token.Secret != "" && f.Credentials.Token.Secret != "hmac" {
		return nil, fmt.Errorf("read %s: credentials.token.secret is %q: want hmac, or nothing where the service fetches keys", name, f.Credentials.Token.Secret)
	}
	if t := f.Credentials.Token; t.Value != "" && t.Secret == "" {
		return nil, fmt.Errorf("read %s: credentials.token.value is there without credentials.token.secret: want secret: hmac", name)
	}
	return f, nil
}
