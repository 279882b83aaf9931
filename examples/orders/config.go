package orders

import (
	"errors"
	"fmt"
	"time"
)

// maxPage is the most entries of a page that the design lets a caller ask for.
const maxPage = 100

// Config is what an operator of the shop may set. The environment fills it
// beside the chassis' own configuration. It is read once, at start.
type Config struct {
	// PageSize is how many entries a list answers with where the caller does
	// not say: 1 to 100. The zero value means 50.
	PageSize int `env:"PAGE_SIZE" envDefault:"50" doc:"entries of a list where the caller does not say, 1 to 100"`
	// ShipAfter is how long after it was placed an order ships. Until then it
	// can be cancelled. The zero value ships at once.
	ShipAfter time.Duration `env:"SHIP_AFTER" envDefault:"30m" doc:"how long after it was placed an order ships; until then it can be cancelled"`
}

// Validate reports every value that the shop cannot work with.
func (c Config) Validate() error {
	var errs []error
	if c.PageSize < 0 || c.PageSize > maxPage {
		errs = append(errs, fmt.Errorf("PAGE_SIZE must be from 1 to %d", maxPage))
	}
	if c.ShipAfter < 0 || c.ShipAfter > 366*24*time.Hour {
		errs = append(errs, errors.New("SHIP_AFTER must be from 0s to 8784h (366 days)"))
	}
	return errors.Join(errs...)
}

// page returns how many entries to answer with.
func (c Config) page(limit *int) int {
	switch {
	case limit != nil:
		return *limit
	case c.PageSize == 0:
		return 50
	}
	return c.PageSize
}
