package store

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/report"
)

const (
	// maxSources is how many addresses are told apart in one answer; a forged report can name any number. Further ones are summed up.
	maxSources = 100_000
	// maxSourcesShown is how many are returned.
	maxSourcesShown = 10_000
	// maxSeen is how many signatures, reporters and From domains are listed for one address.
	maxSeen = 20
	// maxHeads is how many reports are looked at: a year of a domain about which a hundred reporters report.
	maxHeads = 50_000
	// maxPieces is how many rows are read at once, in pieces that have some ten octets for each.
	maxPieces = 500_000
)

// head is what sources need to know about a report.
type head struct {
	id         int64
	begin, end time.Time
	vouched    bool
	org        string
	parts      int
}

// unit is some pieces of rows that are read at once: those of several reports, or some of one.
type unit struct {
	reports  []int64
	from, to int
}

// units divides reports into what is read at once.
func units(heads []head) (all []unit) {
	const most = maxPieces / rowsPerPart
	parts := 0
	for _, h := range heads {
		if h.parts > most {
			for from := 0; from < h.parts; from += most {
				all = append(all, unit{[]int64{h.id}, from, from + most - 1})
			}
			parts = most // the next report begins a unit
			continue
		}
		if parts += h.parts; len(all) == 0 || parts > most || len(all[len(all)-1].reports) == maxMarks {
			all = append(all, unit{nil, 0, most})
			parts = h.parts
		}
		last := &all[len(all)-1]
		last.reports = append(last.reports, h.id)
	}
	return all
}

// seen gathers what an address sent.
type seen struct {
	report.SeenSource
	last int64 // report
}

// fared is what a shape says about sources.
type fared struct {
	dkim, spf  bool
	from       string
	signatures []dmarc.DKIMResult
}

// Sources fills report.Answers.
func (r *Reports) Sources(ctx context.Context, p report.Period, limit int) (out report.Sources, err error) {
	err = r.read(ctx, "sum up sources", func(t *tx) error {
		g := gatherer{known: make(map[netip.Addr]*seen), shapes: make(map[int64]fared)}
		for _, vouched := range []bool{true, false} { // so that forged reports, however many, leave none of the others out
			heads, err := t.heads(ctx, p, vouched)
			if err != nil {
				return err
			}
			byID := make(map[int64]*head, len(heads))
			for i := range heads {
				byID[heads[i].id] = &heads[i]
			}
			for _, u := range units(heads) {
				if err := g.unit(ctx, t, u, byID); err != nil {
					return err
				}
			}
		}
		out = g.top(min(max(limit, 1), maxSourcesShown))
		return nil
	})
	return out, err
}

// heads lists the reports of a period whose rows are there: the newest, of those that are vouched for or of the others.
func (t *tx) heads(ctx context.Context, p report.Period, vouched bool) ([]head, error) {
	var w where
	if err := t.oursIn(ctx, &w, "ours", p.Domains); err != nil {
		return nil, err
	}
	w.add("type = %s", report.Aggregate)
	w.add("kept = 1")
	if vouched {
		w.add("trust IN (%s, %s)", report.Verified, report.Given)
	} else {
		w.add("trust NOT IN (%s, %s)", report.Verified, report.Given)
	}
	if !p.Since.IsZero() {
		w.add("ends >= %s", p.Since)
	}
	if !p.Until.IsZero() {
		w.add("begins < %s", p.Until)
	}
	heads, err := list(ctx, t, `SELECT id, begins, ends, org, n_rows FROM reports`+w.text()+fmt.Sprintf(` ORDER BY ends DESC LIMIT %d`, maxHeads), w.args, func(s scanner, h *head) error {
		var rows int
		err := s(&h.id, at(&h.begin), at(&h.end), &h.org, &rows)
		h.vouched, h.parts = vouched, (rows+rowsPerPart-1)/rowsPerPart
		return err
	})
	slices.SortFunc(heads, func(a, b head) int { return cmp.Compare(a.id, b.id) }) // as their rows lie
	return heads, err
}

type gatherer struct {
	known  map[netip.Addr]*seen
	others seen
	shapes map[int64]fared
}

func (g *gatherer) unit(ctx context.Context, t *tx, u unit, heads map[int64]*head) error {
	type piece struct {
		report int64
		packed []byte
	}
	args := []any{u.from, u.to}
	for _, id := range u.reports {
		args = append(args, id)
	}
	pieces, err := list(ctx, t, `SELECT report, packed FROM report_rows WHERE part BETWEEN $1 AND $2 AND report IN (`+t.d.unnamed(3, len(u.reports))+`) ORDER BY report, part`, args,
		func(s scanner, x *piece) error { return s(&x.report, &x.packed) })
	if err != nil {
		return err
	}
	var missing []int64
	for _, x := range pieces {
		if err := unpackRows(x.packed, func(shape int64, _ netip.Addr, _ int64) {
			if _, ok := g.shapes[shape]; !ok {
				g.shapes[shape] = fared{}
				missing = append(missing, shape)
			}
		}); err != nil {
			return err
		}
	}
	read := make(map[int64]report.Shape, len(missing))
	if err := t.shapes(ctx, missing, read); err != nil {
		return err
	}
	for id, s := range read {
		g.shapes[id] = fared{dkim: s.DKIM == dmarc.Pass, spf: s.SPF == dmarc.Pass, from: s.HeaderFrom, signatures: s.DKIMResults[:min(len(s.DKIMResults), maxSeen)]}
	}
	for _, x := range pieces {
		h := heads[x.report]
		if err := unpackRows(x.packed, func(shape int64, source netip.Addr, count int64) { g.row(h, g.shapes[shape], source, count) }); err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) row(h *head, f fared, source netip.Addr, count int64) {
	s, ok := g.known[source]
	if !ok {
		if s = &g.others; len(g.known) < maxSources {
			s = &seen{SeenSource: report.SeenSource{Source: source}}
			g.known[source] = s
		}
	}
	if !h.vouched {
		s.Unvouched += count
		return
	}
	s.Messages += count
	if f.dkim {
		s.DKIM += count
	}
	if f.spf {
		s.SPF += count
	}
	if f.dkim || f.spf {
		s.Passed += count
	}
	if s.last != h.id {
		s.last = h.id
		s.Reports++
		if s.First.IsZero() || h.begin.Before(s.First) {
			s.First = h.begin
		}
		if h.end.After(s.Last) {
			s.Last = h.end
		}
		s.Orgs = addFew(s.Orgs, h.org)
	}
	s.From = addFew(s.From, f.from)
	for _, d := range f.signatures {
		s.sign(d, count)
	}
}

func addFew(all []string, s string) []string {
	if s == "" || len(all) >= maxSeen || slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}

func (s *seen) sign(d dmarc.DKIMResult, count int64) {
	passed, failed := count, int64(0)
	if d.Result != string(dmarc.Pass) {
		passed, failed = 0, count
	}
	for i := range s.Signed {
		if x := &s.Signed[i]; x.Domain == d.Domain && x.Selector == d.Selector {
			x.Passed, x.Failed = x.Passed+passed, x.Failed+failed
			return
		}
	}
	if len(s.Signed) < maxSeen {
		s.Signed = append(s.Signed, report.SeenSignature{Domain: d.Domain, Selector: d.Selector, Passed: passed, Failed: failed})
	}
}

// top returns those with most messages, and behind them those that nobody vouches for, and sums up the rest.
func (g *gatherer) top(limit int) (out report.Sources) {
	out.Count = len(g.known)
	for _, s := range g.known {
		out.Top = append(out.Top, s.SeenSource)
	}
	slices.SortFunc(out.Top, func(a, b report.SeenSource) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(b.Reports, a.Reports), cmp.Compare(b.Unvouched, a.Unvouched), a.Source.Compare(b.Source))
	})
	out.Others = g.others.SeenSource
	for _, s := range out.Top[min(limit, len(out.Top)):] {
		o := &out.Others
		o.Messages, o.Unvouched, o.DKIM, o.SPF, o.Passed = o.Messages+s.Messages, o.Unvouched+s.Unvouched, o.DKIM+s.DKIM, o.SPF+s.SPF, o.Passed+s.Passed
		if o.First.IsZero() || !s.First.IsZero() && s.First.Before(o.First) {
			o.First = s.First
		}
		if s.Last.After(o.Last) {
			o.Last = s.Last
		}
	}
	out.Others.Signed, out.Others.Orgs, out.Others.From, out.Others.Reports = nil, nil, nil, 0 // of many, a few say nothing
	out.Top = slices.Clip(out.Top[:min(limit, len(out.Top))])
	return out
}
