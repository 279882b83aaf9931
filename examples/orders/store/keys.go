package store

import (
	"context"

	"github.com/aguada-dev/aguada/auth/apikey/sqlkeys"
	"github.com/aguada-dev/aguada/idempotency/sqlstore"
)

// APIKeys returns the API keys of this database and makes their table where it
// is missing. They are of use until the store is closed. In SQLite they are
// read by the connection that writes, which costs writers nothing to speak of:
// a key is looked up every few seconds, however often it is used.
func (s *Store) APIKeys(ctx context.Context) (*sqlkeys.Store, error) {
	dialect := sqlkeys.SQLite
	if s.write == s.read {
		dialect = sqlkeys.PostgreSQL
	}
	keys, err := sqlkeys.New(s.write, dialect)
	if err != nil {
		return nil, err
	}
	if err := keys.Migrate(ctx); err != nil {
		return nil, failed(ctx, "open API keys", err)
	}
	return keys, nil
}

// Replies returns the idempotency keys of this database, with what calls under
// them were replied, and makes their table where it is missing. They are of use
// until the store is closed. [Store.Insert] joins their transactions.
func (s *Store) Replies(ctx context.Context) (*sqlstore.Store, error) {
	dialect := sqlstore.SQLite
	if s.write == s.read {
		dialect = sqlstore.PostgreSQL
	}
	replies, err := sqlstore.New(s.write, dialect)
	if err != nil {
		return nil, err
	}
	if err := replies.Migrate(ctx); err != nil {
		return nil, failed(ctx, "open idempotency keys", err)
	}
	return replies, nil
}
