package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
)

var refusalCases = map[string]func(*testing.T, *database){
	"what receivers refuse is a finding while it lasts": testRefusalFindings,
	"refusals that are said again":                      testRefusalsAgain,
	"refusals are bounded":                              testRefusalsBounded,
	"refusals of what is gone":                          testRefusalsGone,
}

// refusal is some messages in the hour of a time.
func refusal(at time.Time, domain string, messages uint64, f func(*agentapi.Refusal)) agentapi.Refusal {
	r := agentapi.Refusal{Hour: at.Truncate(time.Hour).Unix(), Domain: domain, Receiver: "Gmail", Code: "5.7.26", Cause: "authentication", Permanent: true, Messages: messages,
		First: at.Unix(), Last: at.Unix(), Text: "the sender is unauthenticated"}
	if f != nil {
		f(&r)
	}
	return r
}

func refuse(t *testing.T, s *Store, server string, refusals ...agentapi.Refusal) {
	t.Helper()
	get[int64](t)(s.SaveReport(t.Context(), server, fleet.CheckedReport{Received: agentapi.Report{Version: 1, Refusals: refusals}}))
}

func refusalFindings(t *testing.T, s *Store) []audit.OpenFinding {
	t.Helper()
	return get[[]audit.OpenFinding](t)(s.Findings(t.Context(), audit.FindingFilter{ID: fleet.RefusalFinding, Limit: 100}))
}

func testRefusalFindings(t *testing.T, db *database) {
	s := db.filled(t)
	now := get[time.Time](t)(s.Now(t.Context()))
	hour := now.Truncate(time.Hour)
	later := func(r *agentapi.Refusal) { r.Code, r.Cause, r.Permanent = "4.7.30", "dkim", false }
	refuse(t, s, "srv_1",
		refusal(hour.Add(-50*time.Hour), "bounces.example.org", 100, nil), // another time
		refusal(hour.Add(-20*time.Hour), "bounces.example.org", 3, nil),
		refusal(hour, "bounces.example.org", 2, nil),
		refusal(hour, testDomain, 4, func(r *agentapi.Refusal) { r.Text = "another text" }),
		refusal(hour, testDomain, 1, later),
		refusal(hour, "elsewhere.example", 7, nil), refusal(hour, "", 1, nil), refusal(hour, "org", 1, nil))
	refuse(t, s, "srv_2", refusal(hour, "mail.example.net", 1, nil))
	if got, want := findingLines(refusalFindings(t, s)), strings.Join([]string{
		"example.net error RCV-01 mx2 to Gmail: 5.7.26 ×1", "example.org warning RCV-01 mx1 to Gmail: 4.7.30 ×1", "example.org error RCV-01 mx1 to Gmail: 5.7.26 ×1"}, "\n"); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	f := refusalFindings(t, s)[2]
	if since := hour.Add(-20 * time.Hour).Format("2006-01-02 15:04"); !strings.Contains(f.Message, "Gmail refuses mail of example.org from mx1: 9 messages since "+since+" UTC") ||
		!strings.Contains(f.Message, ": 5.7.26 ") || !strings.Contains(f.Fix, "postseal audit example.org") {
		t.Errorf("%s\n%s", f.Message, f.Fix)
	}
	if m := refusalFindings(t, s)[1].Message; !strings.Contains(m, "Gmail defers mail of example.org from mx1: 1 message since") {
		t.Error(m)
	}
	for _, a := range get[[]Agent](t)(s.Agents(t.Context())) {
		if a.Server.ID == "srv_1" && (len(a.Refused) != 6 || a.Refused[0].Messages == 0 || a.Refused[0].Last.IsZero()) || a.Server.ID == "srv_2" && len(a.Refused) != 1 {
			t.Errorf("%s: %+v", a.Server.Name, a.Refused)
		}
	}

	// It ends a day after the last one, by any report of the server, or by an audit where that has fallen silent.
	db.later(t, s, fleet.RefusalQuiet-time.Hour)
	refuse(t, s, "srv_1", refusal(hour.Add(fleet.RefusalQuiet-2*time.Hour), testDomain, 1, later))
	db.later(t, s, 2*time.Hour)
	refuse(t, s, "srv_1")
	if got, want := findingLines(refusalFindings(t, s)), "example.net error RCV-01 mx2 to Gmail: 5.7.26 ×1\nexample.org warning RCV-01 mx1 to Gmail: 4.7.30 ×3"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	audited(t, s, audit.Report{Domain: "example.net"})
	if got, want := findingLines(refusalFindings(t, s)), "example.org warning RCV-01 mx1 to Gmail: 4.7.30 ×3"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	events := get[[]audit.FindingEvent](t)(s.FindingEvents(t.Context(), audit.EventFilter{ID: fleet.RefusalFinding, Limit: 100}))
	if len(events) != 5 || events[0].Change != audit.Resolved {
		t.Errorf("%+v", events)
	}
}

// A report that was taken without the agent's knowing comes again, older or newer; nothing counts twice and nothing falls.
func testRefusalsAgain(t *testing.T, db *database) {
	s := db.filled(t)
	hour := get[time.Time](t)(s.Now(t.Context())).Truncate(time.Hour)
	for _, n := range []uint64{2, 2, 5, 3} {
		refuse(t, s, "srv_1", refusal(hour, testDomain, n, func(r *agentapi.Refusal) { r.Permanent = n == 2 }))
	}
	agents := get[[]Agent](t)(s.Agents(t.Context()))
	if r := agents[0].Refused; len(r) != 1 || r[0].Messages != 5 || !r[0].Permanent {
		t.Errorf("%+v", r)
	}
	// What strangers say goes into either database.
	refuse(t, s, "srv_1", refusal(hour, "a\x00b.example.org", 1, func(r *agentapi.Refusal) { r.Text, r.Receiver = "\xff\x00", "x\xfe" }))
	if got := len(refusalFindings(t, s)); got != 2 {
		t.Errorf("%d findings", got)
	}
}

func testRefusalsBounded(t *testing.T, db *database) {
	s := db.filled(t)
	now := get[time.Time](t)(s.Now(t.Context()))
	hour := now.Truncate(time.Hour)
	_, err := s.writer.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO refusals (server_id, hour, domain, receiver, code, inventory, cause, permanent, messages, first, last, text)
		SELECT 'srv_1', %d + (i / 100) * 1000000, 'd' || i || '.example', 'Gmail', '5.7.26', '', 'spf', 1, 1, %d, %d, 'x' FROM n`,
		maxServerRefusals+5000, micros(hour.Add(-5*24*time.Hour)), micros(hour), micros(hour)))
	must(t, err)
	_, err = s.writer.ExecContext(t.Context(), `UPDATE refusals SET hour = $1 WHERE domain = 'd14999.example'`, micros(now.Add(-keepRefusals-time.Hour)))
	must(t, err)
	refuse(t, s, "srv_1", refusal(hour, testDomain, 1, nil))
	var left, old int64
	must(t, s.reader.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(CASE WHEN domain = 'd14999.example' THEN 1 END) FROM refusals`).Scan(&left, &old))
	if left > maxServerRefusals || left < maxServerRefusals-200 || old != 0 {
		t.Errorf("%d rows left, %d of them old", left, old)
	}
	if r := get[[]Agent](t)(s.Agents(t.Context()))[0].Refused; len(r) != maxShownRefusals {
		t.Errorf("%d shown", len(r))
	}
}

func testRefusalsGone(t *testing.T, db *database) {
	s := db.filled(t)
	hour := get[time.Time](t)(s.Now(t.Context())).Truncate(time.Hour)
	refuse(t, s, "srv_1", refusal(hour, testDomain, 1, nil))
	refuse(t, s, "srv_2", refusal(hour, testDomain, 1, nil))
	must(t, s.Decommission(t.Context(), "srv_1", "ann", "burnt"))
	if got, want := findingLines(refusalFindings(t, s)), "example.org error RCV-01 mx2 to Gmail: 5.7.26 ×2"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	state := get[inventory.State](t)(s.Inventory(t.Context()))
	generation := state.Generation
	state.Domains = slices.DeleteFunc(state.Domains, func(d inventory.Domain) bool { return d.Name == testDomain })
	state.Assignments = slices.DeleteFunc(state.Assignments, func(a inventory.Assignment) bool { return a.Domain == testDomain })
	must(t, s.SaveInventory(t.Context(), "ann", generation, state))
	if got := findingLines(refusalFindings(t, s)); got != "" {
		t.Errorf("left: %s", got)
	}
	refuse(t, s, "srv_2", refusal(hour, testDomain, 2, nil))
	if got := findingLines(refusalFindings(t, s)); got != "" {
		t.Errorf("of a domain that is gone: %s", got)
	}
}
