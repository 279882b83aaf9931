package wallet

import (
	"encoding/base64"

	"github.com/aguada-dev/aguada/policy"
)

// Header is the value of a header that carries the credential: with the scheme
// of RFC 7617 or RFC 6750 in Authorization, and bare elsewhere.
func (c Credential) Header(name string) string {
	switch {
	case c.Kind == policy.Basic:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
	case c.Kind != policy.APIKey && name == "Authorization":
		return "Bearer " + c.Token
	}
	return c.Token
}
