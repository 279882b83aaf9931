package auth

import (
	"context"
	"errors"

	"github.com/aguada-dev/aguada/policy"
)

// Source yields the credentials of one request. It is what a transport
// implements.
type Source interface {
	// Credential returns what the request presents for one use of a scheme of
	// the given kind. It returns an *Error otherwise: [ErrMissing],
	// [ErrDuplicate], a Malformed one, or [ErrLate] for a credential in a body
	// that is not decoded yet. The use is the guard's own: do not modify it.
	Credential(u *policy.Use, kind policy.SchemeKind) (Credential, error)
}

// Guard evaluates the security alternatives of one method. [NewGuard] makes
// it; the zero value refuses every call. It is immutable and safe for
// concurrent use.
type Guard struct {
	open       bool
	late       bool
	uses       []use
	alts       []alternative
	challenges []string
}

// use is one distinct (scheme, place, name) of a method.
type use struct {
	policy.Use
	kind     policy.SchemeKind
	verifier Verifier
	recaller Recaller            // the verifier, if it is one
	rejected map[Reason][]string // challenges when its credential was refused, by why; "" for any
}

// alternative is a requirement: all of its parts must be satisfied.
type alternative struct {
	parts []part
}

// part is one use within an alternative.
type part struct {
	use       int
	scopes    []string // those of the requirement that the use's scheme declares
	forbidden []string // challenge when the principal lacks one of them
}

// state is what one use came to within a call. The order is that of the
// credentials' place in an error: the higher one is told.
type state uint8

const (
	presented   state = iota // there is a credential, not verified yet
	proved                   // p holds its principal
	late                     // to come with the body
	missing                  // not there
	unavailable              // cannot be verified now
	refused                  // definitively bad
)

// outcome is one use within a call.
type outcome struct {
	state      state
	credential Credential
	p          *Principal
	err        *Error
}

// usual is the number of distinct uses up to which a check does not allocate.
const usual = 4

// Late reports whether a credential of the method is in the body, so that
// Check may return [ErrLate]. The transport then decodes the body and calls
// Check again with a [Source] that has it.
func (g *Guard) Late() bool { return g != nil && g.late }

// Open reports whether the method needs no credential.
func (g *Guard) Open() bool { return g != nil && g.open }

// Check decides who is calling. It evaluates the alternatives in the order of
// the design and returns the principal of the first that is satisfied; where
// that one asks for several schemes, the principal is the first scheme's and
// With holds the others. Every distinct use is read once and verified at most
// once. For an open method, and only there, the principal is nil without an
// error.
//
// A credential that is presented twice, for any use of the method, refuses the
// call. Else, where no alternative is satisfied, the error is the first of:
// ErrLate, if the body's credential may still satisfy one; InsufficientScope,
// if one was satisfied but for its scopes; why a presented credential was
// refused; Unavailable; Missing. All errors are *Error.
func (g *Guard) Check(ctx context.Context, src Source) (*Principal, error) {
	if g == nil || (!g.open && len(g.alts) == 0) {
		return nil, Refuse(Unavailable, "guard without a policy")
	}
	if g.open {
		return nil, nil
	}
	var buf [usual]outcome
	outs := buf[:]
	if len(g.uses) > usual {
		outs = make([]outcome, len(g.uses))
	}
	outs = outs[:len(g.uses)]
	if err := g.extract(ctx, src, outs); err != nil {
		return nil, err
	}
	var pending bool
	var forbidden *Error
	for i := range g.alts {
		a := &g.alts[i]
		switch g.prove(ctx, a, outs) {
		case late:
			pending = true
		case proved:
			lacks := a.lacking(outs)
			if lacks < 0 {
				return a.principal(outs), nil
			}
			if forbidden == nil {
				u := a.parts[lacks].use
				forbidden = &Error{
					Reason: InsufficientScope, Scheme: g.uses[u].Scheme, Principal: outs[u].p,
					Err: errors.New("the credential lacks a scope of the method"), alt: i,
				}
			}
		}
	}
	if pending {
		return nil, ErrLate
	}
	if forbidden != nil {
		return nil, forbidden
	}
	return nil, g.worst(outs)
}

// extract reads every use's credential. It fails on a duplicate.
func (g *Guard) extract(ctx context.Context, src Source, outs []outcome) error {
	for i := range g.uses {
		u, o := &g.uses[i], &outs[i]
		c, err := src.Credential(&u.Use, u.kind)
		if err == nil {
			err = u.present(ctx, o, c)
		}
		if err == nil {
			continue
		}
		o.err = asError(err)
		switch o.err.Reason {
		case Missing:
			o.state = missing
		case Late:
			o.state = late
			if u.In != policy.InBody { // only a body comes later
				o.state, o.err = missing, &Error{Reason: Missing}
			}
		case Duplicate:
			return u.blame(o.err)
		case Unavailable:
			o.state = unavailable
		default:
			o.state = refused
		}
	}
	return nil
}

// present takes a credential. A token whose form is not judged yet is proved by
// having been accepted before, or else judged.
func (u *use) present(ctx context.Context, o *outcome, c Credential) error {
	o.credential = c
	if !c.unjudged {
		return nil
	}
	if u.recaller != nil {
		if p := u.recaller.Recall(ctx, c.Token); p != nil {
			u.prove(o, p)
			return nil
		}
	}
	if !token68(c.Token) {
		return errToken
	}
	o.credential.unjudged = false
	return nil
}

// prove verifies the credentials of an alternative and returns the worst of
// their states. It verifies those that are there even where another is
// missing, so that a caller learns that its credential is bad, but none after
// one that is refused.
func (g *Guard) prove(ctx context.Context, a *alternative, outs []outcome) state {
	worst := proved
	for i := range a.parts {
		o := &outs[a.parts[i].use]
		if o.state == presented {
			g.uses[a.parts[i].use].verify(ctx, o)
		}
		worst = max(worst, o.state)
		if worst == refused {
			break
		}
	}
	return worst
}

// verify proves one credential.
func (u *use) verify(ctx context.Context, o *outcome) {
	p, err := u.verifier.Verify(ctx, o.credential)
	switch {
	case err != nil:
		o.err = asError(err)
		o.state = refused
		if o.err.Reason == Unavailable {
			o.state = unavailable
		}
		if o.err.Reason == Late || o.err.Reason == Missing { // not for a verifier to say
			o.err = &Error{Reason: Unknown, Err: err}
		}
	case p == nil:
		o.err, o.state = Refuse(Unavailable, "verifier returned neither principal nor error"), unavailable
	default:
		u.prove(o, p)
	}
}

// prove notes the principal of a credential.
func (u *use) prove(o *outcome, p *Principal) {
	if p.Scheme != u.Scheme {
		q := *p
		q.Scheme = u.Scheme
		p = &q
	}
	o.p, o.state = p, proved
}

// blame returns the error with the scheme filled in. Errors are shared, so
// that it copies.
func (u *use) blame(e *Error) *Error {
	f := *e
	f.Scheme = u.Scheme
	return &f
}

// worst returns the error of a call that no alternative lets in: that of the
// first use, in the order of the design, in the highest state.
func (g *Guard) worst(outs []outcome) error {
	at, found := -1, proved
	for i := range outs {
		if s := outs[i].state; s > found && outs[i].err != nil {
			at, found = i, s
		}
	}
	if at < 0 { // cannot be: an alternative without an error would have let the call in
		return Refuse(Unavailable, "no alternative was satisfied")
	}
	return g.uses[at].blame(outs[at].err)
}

// lacking returns the first part whose principal lacks a scope, or -1.
func (a *alternative) lacking(outs []outcome) int {
	for i := range a.parts {
		for _, s := range a.parts[i].scopes {
			if !outs[a.parts[i].use].p.HasScope(s) {
				return i
			}
		}
	}
	return -1
}

// principal returns the caller that a satisfied alternative proves.
func (a *alternative) principal(outs []outcome) *Principal {
	first := outs[a.parts[0].use].p
	if len(a.parts) == 1 {
		return first
	}
	p := *first
	p.With = make([]*Principal, 0, len(a.parts)-1)
	for i := range a.parts[1:] {
		p.With = append(p.With, outs[a.parts[i+1].use].p)
	}
	return &p
}
