package policy

// RateLimit bounds how often a method may be called. Each method has limits of
// its own: two methods never share one, wherever the design declares it. A call
// must pass every limit of its method, and is charged to none that another
// refuses.
type RateLimit struct {
	// Name tells the limit from all others of the contract; callers see it in
	// the headers RateLimit and RateLimit-Policy. It is 1 to 64 ASCII letters,
	// digits and "._:/-", such as "orders/create:principal-1s", and stays the
	// same as long as the method, the partition and Per do.
	Name string `json:"name"`
	// Rate is how many calls may begin in Per; at least 1.
	Rate int `json:"rate"`
	// Per is in whole seconds, at least one.
	Per Duration `json:"per"`
	// Burst is how many calls may begin at once after a pause; at least 1.
	Burst int `json:"burst"`
	// Partition says who counts together.
	Partition Partition `json:"partition"`
}

// Partition says which calls a rate limit counts together.
type Partition string

// The partitions of a rate limit.
const (
	// PerPrincipal counts for each principal, whatever its credential.
	PerPrincipal Partition = "principal"
	// PerClientIP counts for each client address.
	PerClientIP Partition = "client_ip"
	// PerCredential counts for each key, token or user name and password.
	PerCredential Partition = "credential"
	// Global counts all callers together.
	Global Partition = "global"
)

// Authenticated reports whether the partition is known only of a caller who is
// authenticated.
func (p Partition) Authenticated() bool { return p == PerPrincipal || p == PerCredential }
