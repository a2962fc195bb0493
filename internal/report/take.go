package report

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Knower knows who is who. It is asked anew for each arrival: the inventory may have changed since the last one.
type Knower interface {
	Directory(ctx context.Context) (*Directory, error)
}

// Taker takes arrivals in: it reads what they say, finds out whose mail it is about, and has both stored. It is safe for concurrent use.
type Taker struct {
	archive Archive
	known   Knower
	now     func() time.Time
}

// NewTaker makes a Taker.
func NewTaker(archive Archive, known Knower, now func() time.Time) *Taker {
	return &Taker{archive: archive, known: known, now: now}
}

// Take reads an arrival and stores it. When it returns without an error everything is on the disk, and whoever brought it may forget it; what could not be read is on the disk as
// well, with the reason. fault.Invalid: it is larger than MaxInput, or empty. fault.Unavailable: bring it again later.
func (t *Taker) Take(ctx context.Context, a Arrival) (Receipt, error) {
	switch {
	case len(a.Octets) == 0:
		return Receipt{}, fault.New(fault.Invalid, "it is empty")
	case len(a.Octets) > MaxInput:
		return Receipt{}, fault.New(fault.Invalid, "it is larger than %d MiB", MaxInput>>20)
	}
	facts, err := t.read(ctx, &a)
	if err != nil {
		return Receipt{}, err
	}
	return t.archive.Save(ctx, a, sha256.Sum256(a.Octets), facts)
}

// Again reads a kept input once more: a newer program, or a fleet with another domain, may make more of it. fault.NotFound when its octets are not kept any more.
func (t *Taker) Again(ctx context.Context, input string) (Receipt, error) {
	a, err := t.archive.Octets(ctx, input)
	if err != nil {
		return Receipt{}, err
	}
	facts, err := t.read(ctx, &a)
	if err != nil {
		return Receipt{}, err
	}
	return t.archive.Resave(ctx, input, facts)
}

// read turns what arrived into facts, at least one of them.
func (t *Taker) read(ctx context.Context, a *Arrival) ([]Facts, error) {
	known, err := t.known.Directory(ctx)
	if err != nil {
		return nil, err
	}
	documents, problems := Open(a.Name, a.Octets)
	facts := make([]Facts, 0, len(documents)+len(problems))
	for _, d := range documents {
		f := Collect(d)
		switch a.Trust {
		case Verified:
			f.Org = reporterName(f.Org, a.Sender)
		case Given:
			f.Org = reporterName(f.Org, fromDomain(f.Email))
		}
		f.count(known, t.now())
		facts = append(facts, f)
	}
	for _, p := range problems {
		facts = append(facts, Facts{Document: p.Name, Problem: sentence(p.Err)})
	}
	return facts, nil
}

// count says whose the messages are. What keeps a report from being counted is its problem; what is merely passed over is told with what its reporter tells.
func (f *Facts) count(known *Directory, now time.Time) {
	if f.Problem != "" {
		return
	}
	if f.straighten() {
		f.Errors = append(f.Errors, "its time ends before it begins; begin and end are taken the other way round")
	}
	f.Ours = known.Domain(f.Domain)
	if f.TLS != nil {
		for _, p := range f.TLS.Policies {
			if ours := known.Domain(p.Domain); f.Ours == "" && ours != "" {
				f.Ours, f.Domain = ours, p.Domain
			}
		}
	}
	if f.Ours == "" {
		return
	}
	var problem string
	if f.Cells, problem = Cells(f, known, now); problem == "" {
		return
	}
	if f.Cells == nil {
		f.Problem = problem
		return
	}
	f.Errors = append(f.Errors, problem)
}

// Recount attributes the stored reports of a domain ("" = all) anew, a few at a time, and returns how many changed hands. It goes on where it was when it is called with the id that it
// returned: "" = it is done.
func (t *Taker) Recount(ctx context.Context, ledger Ledger, ours, after string) (next string, n int, err error) {
	known, err := t.known.Directory(ctx)
	if err != nil {
		return after, 0, err
	}
	batch, err := ledger.ReportsToRead(ctx, ours, after, recountedAtOnce)
	for _, r := range batch {
		f := r.Facts
		f.count(known, t.now())
		if f.Ours == "" { // its domain has left the inventory: what was counted stays as it was
			after = r.ID
			continue
		}
		if err := ledger.ReplaceCells(ctx, r.ID, f.Ours, f.Cells); err != nil {
			return after, n, err
		}
		after, n = r.ID, n+1
	}
	if err == nil && len(batch) == 0 {
		after = ""
	}
	return after, n, err
}
