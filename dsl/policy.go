package dsl

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

// Deadline bounds the time of a call. The method's context is cancelled when
// the time is over, and the caller is answered 504 Gateway Timeout.
//
// Deadline must appear in an API, Service or Method expression; the nearest
// wins. Without any it is 30 seconds for a method that answers once, and a
// method that streams its payload or its result has none. A declared deadline,
// inherited or not, also bounds the whole life of a stream.
//
// Deadline accepts a single argument: the duration, as a number and a unit
// ("ms", "s", "m", "h"; several may follow each other), of at least "1ms". "0s"
// switches an inherited deadline off.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Deadline("5s")
//	    Method("report", func() {
//	        Deadline("1m30s")
//	    })
//	    Method("watch", func() {
//	        StreamingResult(Event)
//	        Deadline("0s") // may stay open
//	    })
//	})
func Deadline(duration string) {
	c := newCall("Deadline(" + strconv.Quote(duration) + ")")
	p := c.policy("Deadline")
	if p == nil {
		return
	}
	d, err := parseDeadline(duration)
	if err != nil {
		c.refuse(err.Error())
		return
	}
	set(c, &p.Deadline, d)
}

// MaxBody bounds the size of a request body. A larger body is answered 413
// Content Too Large, and not a byte more than the limit is handed to the
// decoder.
//
// MaxBody must appear in an API, Service or Method expression; the nearest
// wins. Without any it is "1MiB".
//
// MaxBody accepts a single argument: the size, as a whole positive number and a
// unit without a space between them. Decimal units are "B", "KB", "MB" and "GB"
// (powers of 1000), binary ones "KiB", "MiB" and "GiB" (powers of 1024).
//
// Example:
//
//	var _ = Service("photos", func() {
//	    Method("upload", func() {
//	        MaxBody("20MiB")
//	    })
//	})
func MaxBody(size string) {
	c := newCall("MaxBody(" + strconv.Quote(size) + ")")
	p := c.policy("MaxBody")
	if p == nil {
		return
	}
	n, err := parseSize(size)
	if err != nil {
		c.refuse(err.Error())
		return
	}
	set(c, &p.MaxBody, n)
}

// MaxInFlight bounds how many calls of a method run at once in one process, so
// that one slow method cannot take the others down with it. A call beyond the
// bound is answered 503 Service Unavailable with Retry-After, at once: there is
// no queue.
//
// MaxInFlight must appear in an API, Service or Method expression; the nearest
// wins. In an API or a Service it is the bound of each of their methods alone,
// never one bound that the methods share. Without any there is no bound.
//
// MaxInFlight accepts a single argument: the number of calls, at least 1.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    MaxInFlight(200) // for each method
//	    Method("export", func() {
//	        MaxInFlight(2)
//	    })
//	})
func MaxInFlight(calls int) {
	c := newCall("MaxInFlight(" + strconv.Itoa(calls) + ")")
	p := c.policy("MaxInFlight")
	if p == nil {
		return
	}
	if calls < 1 {
		c.refuse("the number of calls must be at least 1; leave MaxInFlight out for no bound")
		return
	}
	set(c, &p.MaxInFlight, calls)
}

// ShedPriority says which calls are refused first while the process has more of
// them than it can serve in time. A refused call is answered 503 Service
// Unavailable with Retry-After, before anything of it is done; those of low
// priority go first, those of high priority last. Health probes and the private
// port are never refused.
//
// ShedPriority must appear in an API, Service or Method expression; the nearest
// wins. In an API or a Service it is that of their file servers too. Without
// any it is "normal".
//
// ShedPriority accepts a single argument: "high", "normal" or "low". Priorities
// compare methods with each other: where all are high, none is.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Method("pay", func() {
//	        ShedPriority("high")
//	    })
//	    Method("report", func() {
//	        ShedPriority("low")
//	    })
//	})
func ShedPriority(priority string) {
	c := newCall("ShedPriority(" + strconv.Quote(priority) + ")")
	p := c.policy("ShedPriority")
	if p == nil {
		return
	}
	v, err := parsePriority(priority)
	if err != nil {
		c.refuse(err.Error())
		return
	}
	set(c, &p.ShedPriority, v)
}

// Audit asks for one audit event per call: who called which method, when, and
// with which outcome. The event holds neither the payload nor the result.
//
// Audit must appear in an API, Service or Method expression. In an API or a
// Service it audits every method of theirs but those that say [NoAudit].
//
// Audit takes no argument.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Method("cancel", func() {
//	        Audit()
//	    })
//	})
func Audit() {
	c := newCall("Audit()")
	if p := c.policy("Audit"); p != nil {
		set(c, &p.Audit, true)
	}
}

// NoAudit switches an inherited [Audit] off.
//
// NoAudit must appear in a Service or Method expression.
//
// NoAudit takes no argument.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Audit()
//	    Method("list", func() {
//	        NoAudit()
//	    })
//	})
func NoAudit() {
	c := newCall("NoAudit()")
	if p := c.inherited("NoAudit", "an Audit"); p != nil {
		set(c, &p.Audit, false)
	}
}

// DependsOn names what must work before a service is ready. Each name is that
// of a check which the service's main registers with Runtime.Check; the process
// is not ready before every one of them has passed, and a check that nobody
// registered refuses to start.
//
// DependsOn must appear in an API or Service expression. An API's names apply to
// every service, in addition to the service's own.
//
// DependsOn accepts one or more names: letters, digits, '.', '_' and '-',
// beginning with a letter. It may be called several times; a name may be given
// once in one expression.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    DependsOn("database", "payments")
//	})
func DependsOn(names ...string) {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	c := newCall("DependsOn(" + strings.Join(quoted, ", ") + ")")
	switch eval.Current().(type) {
	case *goaexpr.APIExpr, *goaexpr.ServiceExpr:
	default:
		c.misplaced("DependsOn", "an API or a Service")
		return
	}
	if len(names) == 0 {
		c.refuse(`name at least one check, such as DependsOn("database")`)
		return
	}
	p := expr.Root.Policy(eval.Current())
	for _, n := range names {
		if why := refuseName(n); why != "" {
			c.refuse(why)
			continue
		}
		i := slices.IndexFunc(p.DependsOn, func(s expr.Setting[string]) bool { return s.Value == n })
		if i >= 0 {
			c.refuse(strconv.Quote(n) + " is named already, at " + p.DependsOn[i].Pos.String() + "; name it once")
			continue
		}
		p.DependsOn = append(p.DependsOn, expr.Setting[string]{Value: n, Pos: c.pos})
	}
}

var checkName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)

func refuseName(n string) string {
	switch {
	case n == "":
		return `a name is empty; give the name of the check, such as "database"`
	case !checkName.MatchString(n):
		return "the name " + strconv.Quote(n) + " is not one of a check: use letters, digits, '.', '_' and '-', beginning with a letter"
	}
	return ""
}
