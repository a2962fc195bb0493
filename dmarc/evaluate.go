package dmarc

import (
	"context"
	"errors"
	"slices"
)

// MaxIdentities is how many authenticated domains of one message are looked at; each can cost a tree walk.
const MaxIdentities = 20

// Message is what DMARC needs to know of a message.
type Message struct {
	From string   // domain of the only address in the From field, in ASCII form
	DKIM []string // d= of the signatures that verified
	SPF  string   // domain that passed SPF for MAIL FROM (of HELO when that was empty); "" = none
}

// Evaluator evaluates messages.
type Evaluator struct {
	Resolver Resolver
	// Exists reports whether a domain exists: anything but NXDOMAIN (RFC 8020). nil = all do, so that np= is not used.
	Exists func(ctx context.Context, domain string) (bool, error)
}

// Evaluation is what came of it.
type Evaluation struct {
	Result       Result
	From         string  // in normal form
	Organization string  // of From; "" when it was not needed
	PolicyDomain string  // where the record was found
	Record       *Record // nil when none applies
	// Policy is what the domain's owner asks for; Requested is that after t=y. Both "" when no record applies.
	Policy, Requested Policy
	DKIMAligned       []string // of Message.DKIM
	SPFAligned        bool
}

// Evaluate finds the policy for a message and says whether the message passes (RFC 9989 §5.3). The error says why the
// result is TempError or PermError; the evaluation is good for Authentication-Results in any case.
func (e *Evaluator) Evaluate(ctx context.Context, m Message) (Evaluation, error) {
	from, ok := normal(m.From)
	if !ok {
		return Evaluation{Result: PermError}, &Error{Err: ErrDomain, Where: "From"}
	}
	out := Evaluation{Result: None, From: from}
	r := &memo{Resolver: e.Resolver, answers: make(map[string]answer)}
	tree, err := Walk(ctx, r, from)
	if err != nil {
		return e.failed(out, err)
	}
	found := tree.Policy()
	if found.Record == nil || !found.Record.usable() {
		return out, nil
	}
	out.Record, out.PolicyDomain, out.Organization = found.Record, found.Domain, tree.Organization()
	exists := true
	if own := found.Domain == from; !own && e.Exists != nil && found.Record.Nonexistent != "" {
		if exists, err = e.Exists(ctx, from); err != nil {
			return e.failed(out, err)
		}
	}
	out.Policy = found.Record.For(found.Domain == from, exists)
	out.Requested = out.Policy
	if found.Record.Testing {
		out.Requested = out.Policy.Lowered()
	}

	out.Result = Fail
	var trouble error
	for _, d := range m.DKIM[:min(len(m.DKIM), MaxIdentities)] {
		ok, err := e.aligned(ctx, r, out.Record.DKIM, &out, d)
		switch {
		case err != nil:
			trouble = err
		case ok && !slices.Contains(out.DKIMAligned, d):
			out.DKIMAligned = append(out.DKIMAligned, d)
		}
	}
	if m.SPF != "" {
		if out.SPFAligned, err = e.aligned(ctx, r, out.Record.SPF, &out, m.SPF); err != nil {
			trouble = err
		}
	}
	switch {
	case len(out.DKIMAligned) > 0 || out.SPFAligned:
		out.Result = Pass // what could not be asked would not change it
	case trouble != nil:
		return e.failed(out, trouble)
	}
	return out, nil
}

func (e *Evaluator) failed(out Evaluation, err error) (Evaluation, error) {
	out.Result = TempError
	if errors.Is(err, ErrDomain) {
		out.Result = PermError
	}
	return out, err
}

// aligned walks from an authenticated domain only where that can matter: its organizational domain is the author's only
// if it lies within it.
func (e *Evaluator) aligned(ctx context.Context, r Resolver, mode Mode, out *Evaluation, domain string) (bool, error) {
	domain, ok := normal(domain)
	switch {
	case !ok:
		return false, nil
	case domain == out.From:
		return true, nil
	case mode == Strict || !within(domain, out.Organization):
		return false, nil
	}
	tree, err := Walk(ctx, r, domain)
	if err != nil {
		return false, err
	}
	return Aligned(mode, out.From, out.Organization, domain, tree.Organization()), nil
}

// memo asks each name once for a message; the walks share their upper ends.
type memo struct {
	Resolver
	answers map[string]answer
}

type answer struct {
	txts []string
	err  error
}

func (m *memo) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, ok := m.answers[name]
	if !ok {
		a.txts, a.err = m.Resolver.LookupTXT(ctx, name)
		m.answers[name] = a
	}
	return a.txts, a.err
}
