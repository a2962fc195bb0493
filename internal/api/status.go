package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// Page sizes. A status page reads one situation per domain.
const (
	defaultPage = 100
	maxPage     = 500
)

// pageInput selects a page.
type pageInput struct {
	After string `query:"after" maxLength:"255" doc:"begin after this name"`
	Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
	Label string `query:"label" maxLength:"64" doc:"only domains with this label"`
}

func (p pageInput) limit() int {
	if p.Limit <= 0 {
		return defaultPage
	}
	return min(p.Limit, maxPage)
}

// domainInput names a domain in the path. Inputs with more fields repeat this one: huma passes over embedded types that are
// not exported.
type domainInput struct {
	Domain string `path:"domain" maxLength:"255"`
}

func (a *API) statusRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/status", id: "status", summary: "Every domain at a glance", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *pageInput) (client.StatusPage, error) {
			domains, next, err := a.page(ctx, who, *in)
			if err != nil {
				return client.StatusPage{}, err
			}
			page, err := a.statusOf(ctx, who, domains, false)
			page.Next = next
			return page, err
		})
	register(a, h, op{method: http.MethodGet, path: "/status/{domain}", id: "status-domain", summary: "One domain at a glance", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.StatusPage, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.StatusPage{}, err
			}
			return a.statusOf(ctx, who, []inventory.Domain{d}, true)
		})
}

// page returns a page of the domains that the caller may see, and where the following one begins.
func (a *API) page(ctx context.Context, who access.Principal, in pageInput) ([]inventory.Domain, string, error) {
	f := DomainFilter{After: in.After, Limit: in.limit(), Labels: who.Labels}
	if in.Label != "" {
		if !who.Sees([]string{in.Label}) {
			return nil, "", nil
		}
		f.Labels = []string{in.Label}
	}
	domains, err := a.storage.Domains(ctx, f)
	if err != nil || len(domains) < f.Limit {
		return domains, "", err
	}
	return domains, domains[len(domains)-1].Name, nil
}

// statusOf says how domains stand; whole = with every open finding, and not only with those of the planner and the number of all.
func (a *API) statusOf(ctx context.Context, who access.Principal, domains []inventory.Domain, whole bool) (client.StatusPage, error) {
	now, err := a.storage.Now(ctx)
	if err != nil {
		return client.StatusPage{}, err
	}
	page := client.StatusPage{Now: now, Domains: []client.Status{}}
	if f, stands, err := a.storage.Freeze(ctx); err != nil {
		return page, err
	} else if stands {
		page.Freeze = freezeOut(f)
	}
	var names map[string]string
	if page.Tickets, names, err = a.waitingTickets(ctx, who, domains); err != nil {
		return page, err
	}
	open, err := a.openFindings(ctx, domains)
	if err != nil {
		return page, err
	}
	for _, d := range domains {
		s, err := a.situation(ctx, d.Name)
		if err != nil {
			return page, err
		}
		status := domainStatus(s)
		open.tell(&status, now)
		if whole {
			if err := a.addFindings(ctx, &status); err != nil {
				return page, err
			}
		}
		nameTickets(&status, names)
		page.Domains = append(page.Domains, status)
	}
	return page, nil
}

// situation reads a domain the way the planner sees it: wanted records that are not stored yet are in it, under ids
// that only this answer knows.
func (a *API) situation(ctx context.Context, domain string) (lifecycle.Situation, error) {
	s, err := a.storage.Situation(ctx, domain)
	if err != nil {
		return s, err
	}
	s.Records = lifecycle.WantedRecords(s)
	for i := range s.Records {
		if r := &s.Records[i]; r.ID == "" {
			r.ID = "new:" + r.Name + "/" + r.Type
		}
	}
	return s, nil
}

// domainStatus is pure: the rows of a domain in the order of its signers, newest key first.
func domainStatus(s lifecycle.Situation) client.Status {
	plan := lifecycle.Next(s)
	out := client.Status{
		Domain: s.Domain.Name, Mode: string(s.Domain.Mode), Labels: s.Domain.Labels, TestMode: s.Domain.Policy.TestMode,
		Rows: []client.StatusRow{}, Findings: convert(plan.Findings, findingOut), Hold: holdOf(s),
	}
	for _, x := range sorted(s) {
		if x.Class == inventory.ClassManaged {
			out.Rows = append(out.Rows, keyRows(s, plan, x)...)
		}
		out.Rows = append(out.Rows, recordRows(s, plan, x.ID)...)
	}
	out.Rows = append(out.Rows, recordRows(s, plan, "")...)
	return out
}

// sorted returns the assignments the way people look for them: our own signers before services, by name and stream.
func sorted(s lifecycle.Situation) []inventory.Assignment {
	return slices.SortedStableFunc(slices.Values(s.Assignments), func(x, y inventory.Assignment) int {
		service := func(a inventory.Assignment) int {
			if s.Signers[a.SignerID].Kind == inventory.KindService {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(service(x), service(y)), cmp.Compare(s.Signers[x.SignerID].Name, s.Signers[y.SignerID].Name),
			cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.ID, y.ID))
	})
}

func keyRows(s lifecycle.Situation, plan lifecycle.Plan, x inventory.Assignment) []client.StatusRow {
	var rows []client.StatusRow
	for _, k := range s.Keys {
		if k.AssignmentID != x.ID || k.State == lifecycle.Removed {
			continue
		}
		row := assignmentRow(s, x)
		row.Selector, row.KeyID, row.Algorithm, row.State = k.Selector, k.ID, k.Algorithm, string(k.State)
		row.Created = k.Created
		row.AgeSeconds = int64(s.Now.Sub(k.Created) / time.Second)
		for _, h := range k.Holders {
			row.LastCanary = latest(row.LastCanary, h.CanaryVerified)
			row.LastSignature = latest(row.LastSignature, h.LastSigned)
			row.Signed += h.Signed
		}
		see(&row, s, &k.Record)
		explain(&row, plan, func(r lifecycle.Reason) bool { return r.KeyID == k.ID })
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(x, y client.StatusRow) int {
		return cmp.Or(cmp.Compare(x.Algorithm, y.Algorithm), y.Created.Compare(x.Created))
	})
	whole := func(r lifecycle.Reason) bool { return r.AssignmentID == x.ID && r.KeyID == "" && r.RecordID == "" }
	if len(rows) == 0 {
		if !x.Ended.IsZero() {
			return nil // everything of it is gone
		}
		row := assignmentRow(s, x)
		row.State, row.DNS = "none", "none"
		explain(&row, plan, whole)
		return []client.StatusRow{row}
	}
	// What is said of the signer as a whole belongs to its newest key.
	explain(&rows[0], plan, whole)
	return rows
}

func recordRows(s lifecycle.Situation, plan lifecycle.Plan, assignmentID string) []client.StatusRow {
	var rows []client.StatusRow
	for i := range s.Records {
		r := &s.Records[i]
		if r.AssignmentID != assignmentID || !r.Gone.IsZero() {
			continue
		}
		row := client.StatusRow{}
		if at := slices.IndexFunc(s.Assignments, func(x inventory.Assignment) bool { return x.ID == assignmentID }); at >= 0 {
			row = assignmentRow(s, s.Assignments[at])
		}
		row.RecordName, row.State = r.Name, recordState(r)
		if selector, ok := strings.CutSuffix(r.Name, "._domainkey."+s.Domain.Name); ok {
			row.Selector = selector
		}
		see(&row, s, r)
		explain(&row, plan, func(x lifecycle.Reason) bool { return x.RecordID == r.ID })
		rows = append(rows, row)
	}
	return rows
}

// recordState is the life of a record whose key others hold (DESIGN.md §1): published by us, observed where others made
// it, wanted before either, leaving when nobody wants it any more.
func recordState(r *lifecycle.Record) string {
	switch {
	case r.Want == "":
		return "leaving"
	case r.Written == r.Want:
		return "published"
	case !r.AgreedSince.IsZero():
		return "observed"
	default:
		return "wanted"
	}
}

func assignmentRow(s lifecycle.Situation, x inventory.Assignment) client.StatusRow {
	signer := s.Signers[x.SignerID]
	return client.StatusRow{
		Signer: cmp.Or(signer.Name, x.SignerID), SignerKind: string(signer.Kind), Stream: x.Stream, Class: string(x.Class), AssignmentID: x.ID,
		Ended: !x.Ended.IsZero() || !signer.Decommissioned.IsZero(),
	}
}

// see fills in what DNS shows.
func see(row *client.StatusRow, s lifecycle.Situation, r *lifecycle.Record) {
	row.RecordName = r.Name
	row.DNS, row.DNSDetail = dnsState(r, func(server string) bool { return waived(s, server) })
}

// dnsState says in one word whether DNS shows what is wanted, and who disagrees.
func dnsState(r *lifecycle.Record, waived func(string) bool) (word, detail string) {
	switch {
	case r.Want == "" && r.Written == "" && r.Last.At.IsZero():
		return "none", ""
	case r.Last.At.IsZero() || r.Last.Expected != r.Want:
		if r.Pending {
			return "pending", ""
		}
		return "unseen", ""
	case !r.Pending && r.Last.At.Before(r.WrittenAt):
		return "unseen", "not looked since it was changed"
	case r.Last.Agreed(waived):
		return "agrees", r.Last.Sentence()
	case r.Pending:
		return "pending", r.Last.Sentence()
	case r.Last.Contradicted():
		return "differs", r.Last.Sentence()
	default:
		return "silent", r.Last.Sentence()
	}
}

// explain adds what the planner says: a blocked reason comes first and decides.
func explain(row *client.StatusRow, plan lifecycle.Plan, mine func(lifecycle.Reason) bool) {
	var texts []string
	if row.Reason != "" {
		texts = append(texts, row.Reason)
	}
	for _, r := range plan.Reasons {
		if !mine(r) || slices.Contains(texts, r.Text) {
			continue
		}
		if r.Blocked && !row.Blocked {
			texts = slices.Insert(texts, 0, r.Text)
		} else {
			texts = append(texts, r.Text)
		}
		row.Blocked = row.Blocked || r.Blocked
		if row.Next == "" {
			row.Next, row.NextAt = string(r.StepAfter), r.Next
		}
	}
	row.Reason = strings.Join(texts, "; ")
}

func waived(s lifecycle.Situation, server string) bool {
	return slices.ContainsFunc(s.Controls.Waivers, func(w inventory.Waiver) bool {
		return w.Domain == s.Domain.Name && w.Server == server && s.Now.Before(w.Until)
	})
}

func holdOf(s lifecycle.Situation) *client.Hold {
	for _, h := range s.Controls.Holds {
		if h.Domain == s.Domain.Name && (h.Until.IsZero() || s.Now.Before(h.Until)) {
			return &client.Hold{Until: h.Until, Reason: h.Reason, By: h.By, At: h.At}
		}
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
