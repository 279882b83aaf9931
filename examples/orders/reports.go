package orders

import (
	"context"
	"errors"
	"time"

	genreports "github.com/aguada-dev/aguada/examples/orders/gen/reports"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

const (
	defaultPeriod = 30  // days before the last
	longestPeriod = 366 // days before the last
)

var _ genreports.Service = (*Reports)(nil)

// Reports is the service reports. It counts everybody's orders and names
// nobody.
type Reports struct {
	db *store.Store
}

// NewReports returns the service reports on an open store.
func NewReports(db *store.Store) *Reports { return &Reports{db: db} }

// Sales adds up what was sold, by day and currency.
func (s *Reports) Sales(ctx context.Context, p *genreports.SalesPayload) (*genreports.SalesResult, error) {
	from, to, err := period(p.From, p.To, time.Now())
	if err != nil {
		return nil, genreports.MakeBadRequest(err)
	}
	sold, err := s.db.Sales(ctx, from, to.AddDate(0, 0, 1))
	if err != nil {
		return nil, available(err)
	}
	res := &genreports.SalesResult{
		From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), Sales: make([]*genreports.DailySales, 0, len(sold)),
	}
	for _, d := range sold {
		res.Sales = append(res.Sales, &genreports.DailySales{
			Day: d.Day, Currency: d.Currency, Orders: d.Orders, TotalCents: d.TotalCents,
		})
	}
	return res, nil
}

// period returns the first and the last day of a report, at midnight UTC.
func period(first, last *string, now time.Time) (from, to time.Time, err error) {
	to = now.UTC().Truncate(24 * time.Hour)
	if last != nil {
		if to, err = time.Parse(time.DateOnly, *last); err != nil {
			return from, to, errors.New("the last day is not a date")
		}
	}
	from = to.AddDate(0, 0, -defaultPeriod)
	if first != nil {
		if from, err = time.Parse(time.DateOnly, *first); err != nil {
			return from, to, errors.New("the first day is not a date")
		}
	}
	switch {
	case to.Before(from):
		return from, to, errors.New("the last day is before the first")
	case from.AddDate(0, 0, longestPeriod).Before(to):
		return from, to, errors.New("the period is longer than 366 days")
	}
	return from, to, nil
}
