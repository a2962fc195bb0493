package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/ticket"
)

const (
	// maxChecked is how many changes one answer is about: somebody waits for it. The next page is asked for with its Next.
	maxChecked = 200
	// maxSearched is for how many missing records other names are looked at, up to eight names each.
	maxSearched = 50
	// looksAtOnce is how many records of a check are looked at at a time; the looker has a bound of its own.
	looksAtOnce = 8
	// checkTime is how long a check may take; what is not looked at by then is unseen.
	checkTime = 2 * time.Minute
	// followTime is how long a check waits for the planner, which does the same looks again and writes them down; looksPerFollow is how often it asks meanwhile.
	followTime     = 5 * time.Second
	looksPerFollow = 25
)

// Looker looks at DNS now; *evidence.Observer does.
type Looker interface {
	Look(ctx context.Context, name, rrtype, expected string) evidence.Sighting
}

// place is where a change is among those of its ticket.
func place(c ticket.Change) []string { return []string{c.Name, c.Type, c.RecordID} }

// checkTicket looks at a page of the open changes, those after the given place, explains what stands in their place, and has what is done count at once.
func (a *API) checkTicket(ctx context.Context, v ticket.View, after, labels []string) (client.TicketCheck, error) {
	out := client.TicketCheck{Now: v.Now, Ticket: v.Ticket.Name()}
	if a.looker == nil {
		return out, errNoLooker
	}
	slices.SortFunc(v.Changes, func(x, y ticket.Change) int { return slices.Compare(place(x), place(y)) })
	open := slices.DeleteFunc(v.Changes, func(c ticket.Change) bool { return slices.Compare(place(c), after) <= 0 })
	changes := open[:min(len(open), maxChecked)]
	if out.NotLooked = len(open) - len(changes); out.NotLooked > 0 {
		out.Next = cursor(place(changes[len(changes)-1])...)
	}
	out.Changes = make([]client.TicketChecked, len(changes))
	within, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(looksAtOnce)
	for i, c := range changes {
		group.Go(func() error {
			out.Changes[i] = a.checkChange(within, c, i < maxSearched)
			return nil
		})
	}
	_ = group.Wait()
	if err := ctx.Err(); err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "looking at the records of %s was interrupted", v.Ticket.Name())
	}
	var domains []string
	done := make(map[string]bool)
	for i, c := range changes {
		domains = append(domains, c.Domain)
		if out.Changes[i].State == "done" {
			done[c.RecordID] = true
		}
	}
	slices.Sort(domains)
	for _, domain := range slices.Compact(domains) {
		if err := a.storage.CheckNow(ctx, domain); err != nil && fault.CodeOf(err) != fault.NotFound {
			return out, err
		}
	}
	return out, a.follow(ctx, v.Ticket.Number, labels, done)
}

// follow waits until the planner has seen what was seen here, so that the ticket says the same as its check. Where the planner sees it otherwise, or has much
// to do, it is not waited for.
func (a *API) follow(ctx context.Context, number int64, labels []string, done map[string]bool) error {
	if len(done) == 0 || a.tickets == nil {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	tick := time.NewTicker(followTime / looksPerFollow)
	defer tick.Stop()
	for {
		_, waiting, err := a.storage.Ticket(ctx, number, labels)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(waiting, func(c ticket.Change) bool { return done[c.RecordID] }) {
			break
		}
		select {
		case <-within.Done():
			a.tend(ctx)
			return ctx.Err()
		case <-tick.C:
		}
	}
	a.tend(ctx)
	return nil
}

// checkChange looks at one change; search = at the names where it may have ended up as well.
func (a *API) checkChange(ctx context.Context, c ticket.Change, search bool) client.TicketChecked {
	out := client.TicketChecked{Kind: string(c.Kind()), Name: c.Name, Type: c.Type}
	seen := a.looker.Look(ctx, c.Name, c.Type, c.Want)
	if seen.Zone != "" {
		c.Last.Zone = seen.Zone
	}
	e := audit.Errand{Name: plainName(c.Name), Type: c.Type, Want: c.Want, Before: c.Written, Zone: plainName(c.Zone())}
	if c.Kind() == ticket.Restore {
		e.Before = "" // what stood before is what should stand
	}
	if seen.Problem != "" {
		out.State, out.Silent = "unseen", []string{seen.Problem}
		return out
	}
	right := 0
	for _, server := range seen.Servers {
		switch server.Verdict {
		case evidence.Silent:
			out.Silent = append(out.Silent, server.Server+": "+server.Detail)
			continue
		case evidence.Shows:
			right++
			continue
		}
		alias := server.CNAME
		if c.Type == "CNAME" {
			alias = ""
		}
		out.Mistakes = addMistake(out.Mistakes, e.Judge(server.Values, alias), server.Server)
	}
	out.State = checkedState(right, len(out.Silent), out.Mistakes)
	if search && slices.ContainsFunc(out.Mistakes, func(m client.TicketMistake) bool { return m.Code == audit.MistakeAbsent }) {
		if found := a.searchPlaces(ctx, e); len(found) > 0 {
			out.Mistakes = slices.DeleteFunc(out.Mistakes, func(m client.TicketMistake) bool { return m.Code == audit.MistakeAbsent })
			out.State, out.Mistakes = "wrong", append(found, out.Mistakes...)
		}
	}
	return out
}

// checkedState says in a word how far a change is.
func checkedState(right, silent int, mistakes []client.TicketMistake) string {
	wrong := slices.ContainsFunc(mistakes, func(m client.TicketMistake) bool { return m.Code != audit.MistakeAbsent && m.Code != audit.MistakeOld })
	switch {
	case wrong:
		return "wrong"
	case len(mistakes) > 0:
		return "waiting"
	case right == 0:
		return "unseen"
	case silent > 0:
		return "waiting"
	}
	return "done"
}

// searchPlaces looks where a missing record may have ended up.
func (a *API) searchPlaces(ctx context.Context, e audit.Errand) []client.TicketMistake {
	var found []client.TicketMistake
	for _, p := range e.Places() {
		seen := a.looker.Look(ctx, p.Name, p.Type, "")
		for _, server := range seen.Servers {
			there := e
			there.Type = p.Type
			if there.Ours(server.Values) {
				found = addMistake(found, p.Mistake, server.Server)
			}
		}
	}
	return found
}

// addMistake adds what a server shows to what others show.
func addMistake(all []client.TicketMistake, m audit.Mistake, server string) []client.TicketMistake {
	if m.Code == "" {
		return all
	}
	for i := range all {
		if all[i].Code == m.Code && all[i].Message == m.Message {
			if !slices.Contains(all[i].Servers, server) {
				all[i].Servers = append(all[i].Servers, server)
			}
			return all
		}
	}
	return append(all, client.TicketMistake{Code: m.Code, Message: strings.ToValidUTF8(m.Message, "?"), Fix: m.Fix, Servers: []string{server}})
}
