package development

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

// Files of the signing key, and of the public half that the service reads.
const (
	keyFile    = "signing-key.json"
	keySetFile = "jwks.json"
)

// openSigner makes sure that there is a signing key and that the key set
// trusts it. Other keys are left in the set as long as it does.
func (k *Kit) openSigner() error {
	file, set := k.file(keyFile), k.file(keySetFile)
	_, err := read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if k.signer, err = jwt.NewDevelopmentKey(); err != nil {
			return err
		}
		return k.signer.Save(file, set)
	case err != nil:
		return err
	}
	if k.signer, err = jwt.LoadDevelopmentKey(file); err != nil {
		return &CorruptError{File: file, Err: errors.New("not a private key for ES256")}
	}
	_, err = read(set)
	if errors.Is(err, fs.ErrNotExist) {
		return k.signer.Save(file, set)
	}
	if err != nil {
		return err
	}
	trusted, err := k.trusted(set)
	if err != nil || trusted {
		return err
	}
	return k.signer.Save(file, set)
}

// trusted reports whether a service that reads the key set accepts the kit's
// tokens.
func (k *Kit) trusted(set string) (bool, error) {
	keys, err := jwt.NewFileKeySet(set, jwt.KeySetConfig{})
	if err != nil {
		return false, &CorruptError{File: set, Err: reason(set, err)}
	}
	verifier, err := jwt.New(keys, k.issuer(), jwt.Config{Audience: []string{k.audience()}})
	if err != nil {
		return false, err
	}
	token, err := k.Token(User, nil, time.Minute)
	if err != nil {
		return false, err
	}
	_, err = verifier.Verify(context.Background(), auth.Credential{Token: token})
	return err == nil, nil
}

// issuer and audience are the environment's, so that a token fits the service
// that it is made for.
func (k *Kit) issuer() string {
	if v := k.lookup("AUTH_ISSUER"); v != "" {
		return v
	}
	return "http://localhost/aguada-development"
}

func (k *Kit) audience() string {
	if v := k.lookup("AUTH_AUDIENCE"); v != "" {
		return v
	}
	if k.contract.API.Name != "" {
		return k.contract.API.Name
	}
	return k.name
}

// Token returns a token for the subject with the scopes, good for ttl from now
// on. It is an error unless MakesTokens.
func (k *Kit) Token(subject string, scopes []string, ttl time.Duration) (string, error) {
	if k.signer == nil {
		return "", errors.New("make token: the service does not trust the development key")
	}
	token, err := k.signer.Mint(jwt.Claims{
		Issuer: k.issuer(), Subject: subject, Audience: []string{k.audience()}, Scopes: scopes, Lifetime: ttl,
	})
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return token, nil
}
