package page

import (
	"context"

	"github.com/aguada-dev/aguada/examples/page/gen/users"
)

// Users is the service users. Its answers are not on the page.
type Users struct{ *Auth }

var (
	_ users.Service = Users{}
	_ users.Auther  = Users{}
)

// List names the users.
func (Users) List(context.Context, *users.ListPayload) ([]string, error) {
	return []string{"ada", "grace"}, nil
}

// Admin is for callers with a token.
func (Users) Admin(context.Context, *users.AdminPayload) (string, error) {
	return "administration", nil
}

// Public is for everybody.
func (Users) Public(context.Context) (string, error) { return "welcome", nil }
