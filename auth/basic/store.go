package basic

import "context"

// Store is where the hashes of passwords are: a [File], or a team's own table.
// It is safe for concurrent use. The suite in basictest says whether one is a
// good store.
type Store interface {
	// Lookup returns the hash of a user's password as [HashPassword] made it,
	// or as bcrypt did, and false if there is no such user. Names are compared
	// byte by byte: where "Ann" finds "ann", mind the collation. An error
	// means that the store cannot tell now; it must not hold the hash.
	Lookup(ctx context.Context, name string) (hash string, ok bool, err error)
}

// Upgrader is a [Store] that lets outdated hashes be replaced. Without it, a hash
// of bcrypt stays what it is.
type Upgrader interface {
	// Upgrade replaces the user's hash by next if it is still old, in one
	// atomic step, and else changes nothing and returns nil: the password was
	// changed meanwhile. Both hashes are of the same password.
	Upgrade(ctx context.Context, name, old, next string) error
}
