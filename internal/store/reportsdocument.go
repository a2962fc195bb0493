package store

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// document is one document of an input, ready to be stored: cleaned, cut, and within the limits.
type document struct {
	facts    *report.Facts
	received report.ReceivedReport // what is said of it; Stored may become Duplicate
	ours     term
	org      term
	email    string
	schema   string
	policy   string // JSON
	errors   string // JSON
	json     string // of failure and TLS reports
	shapes   []term
	cells    []cell
}

// cell is a cell, ready to be stored.
type cell struct {
	day      int64
	sender   term
	group    term
	messages int64
}

func newDocuments(facts []report.Facts) ([]document, error) {
	var all []document
	for i := range facts {
		if i == maxInputReports {
			all = append(all, document{facts: &report.Facts{}, received: report.ReceivedReport{
				State: report.Unread, Problem: "it holds more documents than are stored"}})
			break
		}
		d, err := newDocument(&facts[i])
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

func newDocument(f *report.Facts) (d document, err error) {
	cut := func(s string) string { return cutText(s, maxReportText) }
	d = document{facts: f, email: cut(f.Email), schema: cut(string(f.Schema)), org: nameTerm(cut(f.Org))}
	d.received = report.ReceivedReport{
		Document: cut(f.Document), State: report.Stored, Type: f.Type, Domain: cut(f.Domain), Org: cut(f.Org), ReportID: cut(f.ReportID),
		Begin: fromMicros(boundedMicros(f.Begin)), End: fromMicros(boundedMicros(f.End)), Rows: len(f.Rows), Messages: min(max(f.Messages, 0), maxReportMessages),
		Problem: cutText(f.Problem, maxInputText),
	}
	if d.received.Problem == "" {
		d.received.Problem = limited(f)
	}
	if d.received.Problem == "" {
		d.json, err = factsJSON(f)
		if err == nil && len(d.json) > maxFactsSize {
			d.received.Problem, d.json = "what it says is too much to be stored", ""
		}
	}
	if err == nil {
		d.policy, err = packPolicy(f.Policy, d.received.Domain)
	}
	if err == nil && len(f.Errors) > 0 {
		errors := make([]string, 0, len(f.Errors))
		for _, e := range f.Errors[:min(len(f.Errors), maxReportErrors)] {
			errors = append(errors, cut(e))
		}
		d.errors, err = toJSON(errors)
	}
	if err != nil {
		return d, err
	}
	if f.Ours != "" {
		d.ours = nameTerm(cut(f.Ours))
	}
	switch {
	case d.received.Problem != "":
		d.received.State = report.Unread
	case f.Ours == "":
		d.received.State = report.Foreign
	case f.Key == [32]byte{}:
		return d, fault.New(fault.Internal, "a report has no key, so nobody could tell it from others")
	default:
		d.cells = newCells(f.Cells)
		for i := range f.Shapes {
			said, err := packShape(&f.Shapes[i].Row)
			if err != nil {
				return d, err
			}
			d.shapes = append(d.shapes, term{hashOf(said), []any{said}})
		}
	}
	return d, nil
}

func nameTerm(name string) term { return term{hashOf(name), []any{name}} }

// policySaid is the JSON of a policy. Its names are short because they stand in every report.
type policySaid struct {
	Domain      string `json:"d,omitempty"` // where it is not the report's
	Policy      string `json:"p,omitempty"`
	Subdomains  string `json:"sp,omitempty"`
	Nonexistent string `json:"np,omitempty"`
	DKIM        string `json:"adkim,omitempty"`
	SPF         string `json:"aspf,omitempty"`
	FailureWhen string `json:"fo,omitempty"`
	Testing     string `json:"t,omitempty"`
	Discovery   string `json:"by,omitempty"`
	Percent     string `json:"pct,omitempty"`
}

func packPolicy(p dmarc.PublishedPolicy, domain string) (string, error) {
	cut := func(s string) string { return cutText(s, maxReportText) }
	said := policySaid{Policy: cut(string(p.Policy)), Subdomains: cut(string(p.Subdomains)), Nonexistent: cut(string(p.Nonexistent)), DKIM: cut(string(p.DKIM)), SPF: cut(string(p.SPF)),
		FailureWhen: cut(p.FailureWhen), Testing: cut(p.Testing), Discovery: cut(p.Discovery), Percent: cut(p.Percent)}
	if said.Domain = cut(p.Domain); said.Domain == domain {
		said.Domain = ""
	}
	if said == (policySaid{}) {
		return "", nil
	}
	return toJSON(said)
}

// asPolicy scans a policy; its domain is that of the report unless it says another.
func asPolicy(p *dmarc.PublishedPolicy) asText {
	return func(s string) error {
		var said policySaid
		err := fromJSON(&said)(s)
		*p = dmarc.PublishedPolicy{Domain: said.Domain, Policy: dmarc.Policy(said.Policy), Subdomains: dmarc.Policy(said.Subdomains), Nonexistent: dmarc.Policy(said.Nonexistent),
			DKIM: dmarc.Mode(said.DKIM), SPF: dmarc.Mode(said.SPF), FailureWhen: said.FailureWhen, Testing: said.Testing, Discovery: said.Discovery, Percent: said.Percent}
		return err
	}
}

// factsJSON is what a failure or TLS report says. A TLS report that is too long loses failures before it is refused.
func factsJSON(f *report.Facts) (string, error) {
	switch {
	case f.Failure != nil:
		out, err := toJSON(f.Failure)
		return text(out), err
	case f.TLS != nil:
		out, err := toJSON(f.TLS)
		if err == nil && len(out) > maxFactsSize {
			short := *f.TLS
			short.Policies = slices.Clone(short.Policies)
			const few = 10
			for i := range short.Policies {
				p := &short.Policies[i]
				p.Failures, p.Strings, p.MX = p.Failures[:min(len(p.Failures), few)], p.Strings[:min(len(p.Strings), few)], p.MX[:min(len(p.MX), few)]
			}
			out, err = toJSON(short)
		}
		return text(out), err
	}
	return "", nil
}

// newCells merges equal cells and keeps as many apart as are stored.
func newCells(cells []report.Cell) []cell {
	if len(cells) > maxReportCells {
		cells = slices.Clone(cells)
		slices.SortStableFunc(cells, func(a, b report.Cell) int { return cmp.Compare(b.Messages, a.Messages) })
		for i := maxReportCells; i < len(cells); i++ {
			c := &cells[i]
			c.HeaderFrom, c.SigningDomain, c.Selector, c.KeyID, c.Reason, c.Cause = report.Folded, report.Folded, report.Folded, "", "", ""
		}
	}
	type at struct {
		day   int64
		group hash16
	}
	known := make(map[at]int, len(cells))
	var all []cell
	for i := range cells {
		c := newCell(&cells[i])
		if c.messages == 0 {
			continue
		}
		k := at{c.day, c.group.hash}
		if j, ok := known[k]; ok {
			all[j].messages += c.messages
			continue
		}
		known[k] = len(all)
		all = append(all, c)
	}
	return all
}

func newCell(c *report.Cell) cell {
	cut := func(s string) string { return cutText(strings.TrimSpace(s), maxReportText) }
	bit := func(b bool) string {
		if b {
			return "1"
		}
		return "0"
	}
	sender := []string{cut(c.Signer.Kind), cut(c.Signer.ID), cut(c.Signer.Name), cut(string(c.How)), cut(c.Source.Kind), cut(c.Source.ID), cut(c.Source.Name)}
	group := []string{cut(c.HeaderFrom), cut(c.SigningDomain), cut(c.Selector), cut(c.Result), cut(string(c.Cause)), cut(c.KeyID), bit(c.DKIM), bit(c.SPF), cut(c.Disposition), cut(c.Reason)}
	out := cell{day: dayOf(c.Day), messages: min(max(c.Messages, 0), maxReportMessages)}
	out.sender.hash = hashOf(sender...)
	for _, s := range sender {
		out.sender.values = append(out.sender.values, s)
	}
	out.group.hash = hashOf(append(group, sender...)...)
	// The first value, the sender's id, is known when that is stored.
	out.group.values = []any{int64(0), group[0], group[1], group[2], group[3], group[4], group[5], c.DKIM, c.SPF, group[8], group[9]}
	return out
}
