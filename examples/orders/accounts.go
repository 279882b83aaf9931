package orders

import (
	"context"

	"github.com/aguada-dev/aguada/auth"
	genaccounts "github.com/aguada-dev/aguada/examples/orders/gen/accounts"
)

var _ genaccounts.Service = (*Accounts)(nil)

// Accounts is the service accounts. The zero value is ready to use.
type Accounts struct{}

// NewAccounts returns the service accounts.
func NewAccounts() *Accounts { return &Accounts{} }

// Me tells the caller's name as it was proved, not as the payload claims it.
func (*Accounts) Me(ctx context.Context, _ *genaccounts.MePayload) (*genaccounts.MeResult, error) {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return nil, errNobody
	}
	return &genaccounts.MeResult{Username: p.Subject}, nil
}
