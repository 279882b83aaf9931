package orders

import (
	"context"
	"slices"

	genusers "github.com/aguada-dev/aguada/examples/orders/gen/users"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

var _ genusers.Service = (*Users)(nil)

// Users is the service users. Whoever has placed an order is a user.
type Users struct {
	db  *store.Store
	cfg Config
}

// NewUsers returns the service users on an open store.
func NewUsers(db *store.Store, cfg Config) *Users { return &Users{db: db, cfg: cfg} }

// List lists the users by name.
func (s *Users) List(ctx context.Context, p *genusers.ListPayload) (*genusers.ListResult, error) {
	found, err := s.page(ctx, p.After, p.Limit)
	if err != nil {
		return nil, err
	}
	res := &genusers.ListResult{Users: make([]*genusers.User, 0, len(found))}
	for _, u := range found {
		res.Users = append(res.Users, &genusers.User{
			Name: u.Name, Orders: u.Orders, LastOrderAt: u.LastOrderAt.Format(rfc3339),
		})
	}
	return res, nil
}

// Admin lists the users by name with what administrators may know.
func (s *Users) Admin(ctx context.Context, p *genusers.AdminPayload) (*genusers.AdminResult, error) {
	found, err := s.page(ctx, p.After, p.Limit)
	if err != nil {
		return nil, err
	}
	res := &genusers.AdminResult{Users: make([]*genusers.UserRecord, 0, len(found))}
	for _, u := range found {
		res.Users = append(res.Users, &genusers.UserRecord{
			Name: u.Name, Orders: u.Orders, LastOrderAt: u.LastOrderAt.Format(rfc3339),
			Cancelled: u.Cancelled, FirstOrderAt: u.FirstOrderAt.Format(rfc3339),
		})
	}
	return res, nil
}

// About tells what anybody may know. It reads nothing, so that it costs
// nothing to be asked by everybody.
func (s *Users) About(context.Context) (*genusers.AboutResult, error) {
	return &genusers.AboutResult{Shop: "Shop", Currencies: slices.Clone(currencies)}, nil
}

func (s *Users) page(ctx context.Context, after *string, limit *int) ([]store.User, error) {
	var name string
	if after != nil {
		name = *after
	}
	found, err := s.db.Users(ctx, name, s.cfg.page(limit))
	return found, available(err)
}

// currencies are those that the design accepts.
var currencies = []string{"AUD", "BRL", "CAD", "CHF", "DKK", "EUR", "GBP", "INR", "JPY", "NOK", "PLN", "SEK", "USD"}
