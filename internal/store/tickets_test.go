package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/ticket"
)

var ticketCases = map[string]func(*testing.T, *database){
	"a ticket opens, is reminded, expires, and is done all the same": testTicketLife,
	"several control planes open one ticket":                         testTicketsTogether,
	"how people are asked is not who is asked":                       testAskedAnew,
	"what waits elsewhere is no ticket":                              testNoTicket,
	"a stolen key is urgent":                                         testStolenKey,
}

const handContact = "dns-team@example.org"

// byHand is the small fleet with its first domain changed by people.
func (db *database) byHand(t *testing.T) *Store {
	t.Helper()
	s := db.filled(t)
	alterInventory(t, s, func(state *inventory.State) {
		state.Publishers = append(state.Publishers, inventory.Publisher{Name: "hand", Kind: inventory.PublisherManual, Contact: handContact, Host: inventory.HostOVH, ExpiresAfter: 5 * 24 * time.Hour})
		for i := range state.Domains {
			if state.Domains[i].Name == testDomain {
				state.Domains[i].Publisher = "hand"
			}
		}
	})
	return s
}

func alterInventory(t *testing.T, s *Store, alter func(*inventory.State)) {
	t.Helper()
	state := get[inventory.State](t)(s.Inventory(t.Context()))
	alter(&state)
	must(t, s.SaveInventory(t.Context(), "ann", state.Generation, state))
}

// asked makes a record of the test domain wait for a person.
func asked(id, selector, want, written string, now time.Time) lifecycle.Record {
	name := inventory.KeyName(selector, testDomain)
	return lifecycle.Record{ID: id, Domain: testDomain, Purpose: lifecycle.ForDelegated, AssignmentID: "as_3", Name: name, Type: "CNAME", TTL: time.Hour, Want: want, Written: written,
		Pending: true, WrittenAt: now, Last: evidence.Sighting{Name: name, Type: "CNAME", Expected: want, At: now, Zone: testDomain,
			Servers: []evidence.ServerSight{{Server: "ns1.example.org (192.0.2.1:53)", Verdict: evidence.Differs, Detail: "NXDOMAIN"}}}}
}

func testTicketLife(t *testing.T, db *database) {
	s := db.byHand(t)
	ctx := t.Context()
	var log bytes.Buffer
	keeper := ticket.NewKeeper(s, slog.New(slog.NewTextHandler(&log, nil)))
	tend := func() {
		t.Helper()
		must(t, keeper.Tend(ctx))
		// Whatever it wrote, it finishes: the next one has nothing to do.
		before := get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 1}))[0].Seq
		must(t, keeper.Tend(ctx))
		must(t, keeper.Tend(ctx))
		if after := get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 1}))[0].Seq; after != before {
			t.Errorf("it went on writing: %d entries", after-before)
		}
	}
	last := func() ticket.Ticket {
		t.Helper()
		all := get[[]ticket.Ticket](t)(s.Tickets(ctx, TicketFilter{Closed: true, Limit: 10}))
		if len(all) == 0 {
			t.Fatal("no ticket")
		}
		return all[0]
	}
	findings := func() string {
		t.Helper()
		var ids []string
		for _, f := range get[[]audit.OpenFinding](t)(s.Findings(ctx, audit.FindingFilter{Domain: testDomain, Limit: 100})) {
			ids = append(ids, f.ID+" "+string(f.Severity)+" "+f.Subject)
		}
		return strings.Join(ids, ", ")
	}
	said := func(step ticket.Step, why string) {
		t.Helper()
		if !slices.ContainsFunc(get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Domain: testDomain, Limit: 100})), func(e journal.Entry) bool {
			return e.Step == string(step) && strings.Contains(e.Why, why)
		}) {
			t.Errorf("the journal does not say %s %q", step, why)
		}
		if step != ticket.StepNote && !strings.Contains(log.String(), string(step)) {
			t.Errorf("the log does not say %s", step)
		}
	}
	tend()
	if all := get[[]ticket.Ticket](t)(s.Tickets(ctx, TicketFilter{Closed: true, Limit: 10})); len(all) > 0 {
		t.Fatalf("a ticket about nothing: %+v", all)
	}

	// A key that waits for its record, and a service's record.
	w := claim(t, s, testDomain)
	now := get[time.Time](t)(s.Now(ctx))
	k := newKey("key_1", "as_1", "mx1-a", "srv_1")
	k.Value = "v=DKIM1; k=rsa; p=AAAA"
	k.Record.Want, k.Record.Pending, k.Record.WrittenAt = k.Value, true, now
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}, Records: []lifecycle.Record{asked("rec_1", "s1", "s1.keys.example.net", "", now)}}))
	tend()
	v := last()
	if v.Number != 1 || v.Publisher != "hand" || len(v.Items) != 2 || v.Revision != 1 || !v.Closed.IsZero() || v.Oldest().Before(now) {
		t.Fatalf("%+v", v)
	}
	said(ticket.StepOpen, "T-1: 2 changes asked of "+handContact)
	_, changes, err := s.Ticket(ctx, 1, nil)
	must(t, err)
	if len(changes) != 2 || changes[0].Signer != "mx1" || changes[0].Purpose != "key" || changes[1].Signer != "sendgrid" || changes[1].Zone() != testDomain || len(changes[1].Last.Servers) != 1 ||
		changes[0].Kind() != ticket.Add {
		t.Errorf("%+v", changes)
	}
	// Who may not see the domain does not see the ticket.
	if _, _, err := s.Ticket(ctx, 1, []string{"other"}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("shown to others: %v", err)
	}
	if all := get[[]ticket.Ticket](t)(s.Tickets(ctx, TicketFilter{Labels: []string{"other"}, Limit: 10})); len(all) != 0 {
		t.Errorf("listed for others: %+v", all)
	}
	if _, changes, err := s.Ticket(ctx, 1, []string{"eu", "other"}); err != nil || len(changes) != 2 {
		t.Errorf("%v %v", changes, err)
	}

	db.later(t, s, 2*24*time.Hour)
	tend()
	said(ticket.StepRemind, "reminder 1")
	if got := findings(); got != "TICKET-01 warning T-1" {
		t.Errorf("findings %q", got)
	}
	db.later(t, s, 3*24*time.Hour)
	tend()
	said(ticket.StepExpire, "nothing is undone")
	if got := findings(); got != "TICKET-02 error T-1" {
		t.Errorf("findings %q", got)
	}
	if last().Expired.IsZero() {
		t.Error("it has not expired")
	}
	// Meanwhile the key whose record is missing is not used: there is no step but to ask again.
	situation := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain))
	for _, step := range lifecycle.Next(situation).Steps {
		if step.KeyID == "key_1" && step.Kind != lifecycle.StepPublish {
			t.Errorf("a step of the key: %+v", step)
		}
	}

	// One is seen, another one joins.
	must(t, s.NoteTicket(ctx, 1, "they were on holiday", "bob"))
	db.later(t, s, time.Hour)
	w = claim(t, s, testDomain)
	records := get[[]lifecycle.Record](t)(s.Records(ctx, RecordFilter{Name: "s1._domainkey." + testDomain, Limit: 1}))
	r := records[0]
	now = get[time.Time](t)(s.Now(ctx))
	r.Pending, r.Written, r.AgreedSince = false, r.Want, now
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{r, asked("rec_2", "s2", "", "s2.keys.example.net", now)}}))
	tend()
	said(ticket.StepProgress, "1 change seen on every name server; 1 change left")
	said(ticket.StepRevise, "revision 2")
	v = last()
	if v.Revision != 2 || len(v.Items) != 3 || v.Items[1].Ending != ticket.Done || v.Items[2].Kind() != ticket.Remove || v.Note != "they were on holiday" || v.NoteBy != "bob" {
		t.Errorf("%+v", v)
	}

	// The rest is seen: done, with the time, and the findings end.
	k = keyNow(t, s, "key_1")
	k.Record.Pending, k.Record.Written, k.Record.AgreedSince, k.State = false, k.Record.Want, now, lifecycle.Published
	r = get[[]lifecycle.Record](t)(s.Records(ctx, RecordFilter{Name: "s2._domainkey." + testDomain, Limit: 1}))[0]
	r.Pending, r.Written = false, ""
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}, Records: []lifecycle.Record{r}}))
	tend()
	said(ticket.StepClose, "T-1: done: 3 changes seen on every name server")
	if v = last(); v.Why != ticket.Done || v.Closed.IsZero() || findings() != "" {
		t.Errorf("%+v; findings %q", v, findings())
	}
	// What is closed stays closed, and what comes later is another ticket.
	if _, err := s.SaveTicket(ctx, v, inventory.Publisher{}, nil); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a closed ticket was changed: %v", err)
	}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{asked("rec_3", "s3", "s3.keys.example.net", "", get[time.Time](t)(s.Now(ctx)))}}))
	tend()
	if v = last(); v.Number != 2 || len(v.Items) != 1 {
		t.Errorf("%+v", v)
	}
	if open := get[[]ticket.Ticket](t)(s.Tickets(ctx, TicketFilter{Limit: 10})); len(open) != 1 || open[0].Number != 2 {
		t.Errorf("open: %+v", open)
	}
	if err := s.NoteTicket(ctx, 99, "x", "bob"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a note at nothing: %v", err)
	}
	if _, _, err := s.Ticket(ctx, 99, nil); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("nothing was found: %v", err)
	}
	entries := get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 1000, Ascending: true}))
	must(t, journal.Check("", entries))
}

func testTicketsTogether(t *testing.T, db *database) {
	s := db.byHand(t)
	w := claim(t, s, testDomain)
	now := get[time.Time](t)(s.Now(t.Context()))
	var records []lifecycle.Record
	for i := range 20 {
		records = append(records, asked(fmt.Sprintf("rec_%02d", i), fmt.Sprintf("s%02d", i), "x.example.net", "", now))
	}
	must(t, s.Commit(t.Context(), w, lifecycle.Commit{Records: records}))
	var group sync.WaitGroup
	for range 4 {
		keeper := ticket.NewKeeper(db.open(t), slog.New(slog.DiscardHandler))
		group.Go(func() {
			for range 5 {
				if err := keeper.Tend(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	all := get[[]ticket.Ticket](t)(s.Tickets(t.Context(), TicketFilter{Closed: true, Limit: 10}))
	if len(all) != 1 || all[0].Number != 1 || len(all[0].Items) != 20 {
		t.Errorf("%d tickets: %+v", len(all), all)
	}
	opened := 0
	for _, e := range get[[]journal.Entry](t)(s.Entries(t.Context(), JournalFilter{Limit: 100})) {
		if e.Step == string(ticket.StepOpen) {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("it was opened %d times", opened)
	}
}

func testAskedAnew(t *testing.T, db *database) {
	s := db.byHand(t)
	w := claim(t, s, testDomain)
	must(t, s.Commit(t.Context(), w, lifecycle.Commit{Records: []lifecycle.Record{asked("rec_1", "s1", "x.example.net", "", get[time.Time](t)(s.Now(t.Context())))}}))
	keeper := ticket.NewKeeper(s, slog.New(slog.DiscardHandler))
	must(t, keeper.Tend(t.Context()))
	change := func(alter func(*inventory.Publisher)) {
		alterInventory(t, s, func(state *inventory.State) {
			for i := range state.Publishers {
				if state.Publishers[i].Name == "hand" {
					alter(&state.Publishers[i])
				}
			}
		})
		must(t, keeper.Tend(t.Context()))
	}
	change(func(p *inventory.Publisher) {
		p.Host, p.RemindEvery, p.ExpiresAfter = inventory.HostStrato, time.Hour, 0
	})
	if open := get[[]ticket.Ticket](t)(s.Tickets(t.Context(), TicketFilter{Limit: 10})); len(open) != 1 || len(open[0].OpenItems()) != 1 {
		t.Errorf("other reminders end the ticket: %+v", open)
	}
	before := get[[]ticket.Ticket](t)(s.Tickets(t.Context(), TicketFilter{Limit: 10}))
	change(func(p *inventory.Publisher) { p.Contact = "others@example.org" })
	after := get[[]ticket.Ticket](t)(s.Tickets(t.Context(), TicketFilter{Closed: true, Limit: 10}))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("another contact makes another ticket:\n%s", diff)
	}
	change(func(p *inventory.Publisher) {
		*p = inventory.Publisher{Name: "hand", Kind: inventory.PublisherRFC2136, Server: "192.0.2.1:53"}
	})
	all := get[[]ticket.Ticket](t)(s.Tickets(t.Context(), TicketFilter{Closed: true, Limit: 10}))
	if len(all) != 1 || all[0].Why != ticket.Withdrawn {
		t.Errorf("people are still asked for what is not theirs: %+v", all)
	}
}

func testNoTicket(t *testing.T, db *database) {
	s := db.filled(t) // the domain is written by a name server
	w := claim(t, s, testDomain)
	must(t, s.Commit(t.Context(), w, lifecycle.Commit{Records: []lifecycle.Record{asked("rec_1", "s1", "x.example.net", "", get[time.Time](t)(s.Now(t.Context())))}}))
	must(t, ticket.NewKeeper(s, slog.New(slog.DiscardHandler)).Tend(t.Context()))
	if all := get[[]ticket.Ticket](t)(s.Tickets(t.Context(), TicketFilter{Closed: true, Limit: 10})); len(all) > 0 {
		t.Errorf("a slow provider is asked like a person: %+v", all)
	}
}

func testStolenKey(t *testing.T, db *database) {
	s := db.byHand(t)
	w := claim(t, s, testDomain)
	now := get[time.Time](t)(s.Now(t.Context()))
	var keys []lifecycle.Key
	for i, id := range []string{"key_1", "key_2"} {
		k := newKey(id, "as_1", fmt.Sprintf("mx1-%d", i), "srv_1")
		k.State, k.Value = lifecycle.Retired, "v=DKIM1; k=rsa; p=AAAA"
		k.Record.Written, k.Record.Want, k.Record.Pending, k.Record.WrittenAt = k.Value, lifecycle.TombstoneValue, true, now
		keys = append(keys, k)
	}
	must(t, s.Commit(t.Context(), w, lifecycle.Commit{Keys: keys}))
	must(t, s.EndKey(t.Context(), "key_1", lifecycle.End{By: "ann", Reason: "the disk was stolen", Compromised: true}))
	must(t, ticket.NewKeeper(s, slog.New(slog.DiscardHandler)).Tend(t.Context()))
	_, changes, err := s.Ticket(t.Context(), 1, nil)
	must(t, err)
	if len(changes) != 2 || !changes[0].Urgent() || changes[1].Urgent() {
		t.Errorf("%+v", changes)
	}
}
