package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

func (db *database) reports(t testing.TB) *Reports {
	t.Helper()
	r, err := OpenReports(t.Context(), db.options())
	must(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

var reportsCases = map[string]func(*testing.T, *database){
	"a report and back":           testReportRoundTrip,
	"no report is counted twice":  testDuplicateReports,
	"what cannot be counted":      testReportProblems,
	"read again":                  testResave,
	"read again, taken elsewhere": testResaveKeeps,
	"attributed again":            testReplaceCells,
	"lists":                       testReportLists,
	"sources":                     testSources,
	"sources, forged":             testForgedSources,
	"sums":                        testCounts,
	"last passed":                 testLastPassed,
	"old reports go":              testPrune,
	"reports are removed":         testRemoveInput,
	"Postmaster Tools":            testPostmaster,
	"limits":                      testReportLimits,
	"texts of strangers":          testStrangeTexts,
	"the roll-up is the sum":      testRollUp,
	"at once":                     testReportsAtOnce,
	"everything at once":          testReportsStress,
	"killed":                      testKilledImport,
}

func TestReportsSQLite(t *testing.T) {
	for name, f := range reportsCases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			clock := &fakeClock{now: reportNow}
			f(t, &database{clock: clock, options: func() Options { return Options{Database: dir, Clock: clock.Now} }})
		})
	}
}

func TestReportsPostgres(t *testing.T) {
	server := startPostgres(t)
	for name, f := range reportsCases {
		t.Run(name, func(t *testing.T) {
			url := server.database(t)
			clock := &fakeClock{now: reportNow}
			f(t, &database{clock: clock, options: func() Options { return Options{Database: url, Clock: clock.Now} }})
		})
	}
}

var reportNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const reportDay = 24 * time.Hour

// midnight is some days before reportNow.
func midnight(days int) time.Time {
	return reportNow.Truncate(reportDay).Add(-time.Duration(days) * reportDay)
}

var (
	mx1     = report.Who{Kind: "server", ID: "srv_1", Name: "mx1"}
	mx2     = report.Who{Kind: "server", ID: "srv_2", Name: "mx2"}
	someone = report.Who{}
)

// arrival is an input that came by mail and is vouched for.
func arrival(octets string) (report.Arrival, [32]byte) {
	return report.Arrival{Way: report.BySMTP, Place: "192.0.2.9", Name: "<1@google.example>", Octets: []byte(octets), At: reportNow.Add(-time.Hour), Sender: "google.example",
		Trust: report.Verified, Verdict: "dkim=pass header.d=google.example"}, sha256.Sum256([]byte(octets))
}

// aggregate are the facts of a report about testDomain: ten messages of mx1 that pass, three of mx2 whose signature fails, two of somebody else.
func aggregate(id string, days int) report.Facts {
	signed := func(selector, result string) []dmarc.DKIMResult {
		return []dmarc.DKIMResult{{Domain: testDomain, Selector: selector, Result: result}}
	}
	f := report.Facts{
		Document: "r.xml", Type: report.Aggregate, Domain: testDomain, Ours: testDomain, Org: "google.example", Email: "noreply@google.example", ReportID: id,
		Begin: midnight(days), End: midnight(days).Add(reportDay - time.Second), Schema: dmarc.RFC9990,
		Policy: dmarc.PublishedPolicy{Domain: testDomain, Policy: "reject", DKIM: dmarc.Relaxed, SPF: dmarc.Strict, FailureWhen: "0:1", Testing: "n", Discovery: "treewalk"},
		Errors: []string{"a truncated report"},
		Shapes: []report.Shape{
			{Row: dmarc.Row{Disposition: "none", DKIM: dmarc.Pass, SPF: dmarc.Pass, HeaderFrom: testDomain, EnvelopeFrom: testDomain, DKIMResults: signed("mx1-a", "pass"),
				SPFResults: []dmarc.SPFResult{{Domain: testDomain, Scope: "mfrom", Result: "pass"}}}},
			{Row: dmarc.Row{Disposition: "none", DKIM: dmarc.Fail, SPF: dmarc.Pass, HeaderFrom: testDomain, EnvelopeTo: "example.com", DKIMResults: signed("mx2-a", "fail"),
				Reasons: []dmarc.Reason{{Type: "mailing_list", Comment: "a list"}}}},
			{Row: dmarc.Row{Disposition: "reject", DKIM: dmarc.Fail, SPF: dmarc.Fail, HeaderFrom: "sub." + testDomain}},
			{Row: dmarc.Row{Disposition: "reject", DKIM: dmarc.Fail, SPF: dmarc.Fail, SourceIP: "localhost"}},
		},
		Rows: []report.Row{
			{Shape: 0, Source: netip.MustParseAddr("192.0.2.7"), Count: 4},
			{Shape: 1, Source: netip.MustParseAddr("2001:db8::7"), Count: 3},
			{Shape: 0, Source: netip.MustParseAddr("192.0.2.8"), Count: 6},
			{Shape: 2, Source: netip.MustParseAddr("198.51.100.66"), Count: 1},
			{Shape: 3, Count: 1},
		},
		Messages: 15,
		Key:      sha256.Sum256([]byte(id)),
	}
	day := f.Begin
	f.Cells = []report.Cell{
		{Day: day, HeaderFrom: testDomain, SigningDomain: testDomain, Selector: "mx1-a", Result: "pass", Cause: "some", Signer: mx1, How: report.Exact, KeyID: "key_1", Source: mx1, DKIM: true, SPF: true,
			Disposition: "none", Messages: 10},
		{Day: day, HeaderFrom: testDomain, SigningDomain: testDomain, Selector: "mx2-a", Result: "fail", Signer: mx2, How: report.Exact, KeyID: "key_2", Source: mx2, SPF: true,
			Disposition: "none", Reason: "mailing_list", Messages: 3},
		{Day: day, HeaderFrom: "sub." + testDomain, Signer: someone, How: report.Unknown, Disposition: "reject", Messages: 2},
	}
	return f
}

func (r *Reports) save(t testing.TB, octets string, facts ...report.Facts) report.Receipt {
	t.Helper()
	a, hash := arrival(octets)
	return get[report.Receipt](t)(r.Save(t.Context(), a, hash, facts))
}

// total is the sum of all messages, of one domain or of all together.
func (r *Reports) total(t testing.TB, domains ...string) (vouched, other int64) {
	t.Helper()
	for _, c := range get[[]report.Count](t)(r.Counts(t.Context(), report.Period{Domains: domains}, report.Grouping{})) {
		if c.Vouched {
			vouched += c.Messages
		} else {
			other += c.Messages
		}
	}
	r.balanced(t)
	return vouched, other
}

// balanced compares the roll-up with the sum of the cells.
func (r *Reports) balanced(t testing.TB) {
	t.Helper()
	sums := func(query string) (all []string) {
		rows, err := r.reader.QueryContext(t.Context(), query)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var v [10]int64
			must(t, rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9]))
			all = append(all, fmt.Sprint(v))
		}
		must(t, rows.Err())
		return all
	}
	sum := func(ours, sender string) string {
		part := func(when string) string {
			return "CAST(SUM(CASE WHEN " + when + " THEN c.messages ELSE 0 END) AS BIGINT)"
		}
		return `SELECT ` + ours + ` AS o, c.day AS d, ` + sender + ` AS s, c.vouched AS v, CAST(SUM(c.messages) AS BIGINT), ` + part("g.dkim + g.spf = 2") + `, ` + part("g.dkim > g.spf") + `, ` + part("g.dkim < g.spf") +
			`, ` + part("g.disposition = 'quarantine'") + `, ` + part("g.disposition = 'reject'") + ` FROM report_cells c JOIN report_groups g ON g.id = c.grp JOIN reports r ON r.id = c.report AND r.ours = c.ours GROUP BY 1, 2, 3, 4`
	}
	for sender, table := range map[string]string{"sender": "report_daily", "0": "report_totals"} {
		of := "0"
		if sender != "0" {
			of = "g.sender"
		}
		want := sums(sum("c.ours", of) + ` UNION ALL ` + sum("0", of) + ` ORDER BY 1, 2, 3, 4`)
		got := sums(`SELECT ours, day, ` + sender + `, vouched, messages, both_pass, only_dkim, only_spf, quarantine, reject FROM ` + table + ` ORDER BY 1, 2, 3, 4`)
		if !slices.Equal(got, want) {
			t.Fatalf("%s is not the sum of the cells:\n%s", table, cmp.Diff(want, got))
		}
	}
}

func testReportRoundTrip(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	f := aggregate("1", 3)
	octets := strings.Repeat("<feedback>", 1000)
	receipt := r.save(t, octets, f)
	if receipt.Again || len(receipt.Reports) != 1 {
		t.Fatalf("%+v", receipt)
	}
	want := report.ReceivedReport{ID: receipt.Reports[0].ID, Document: "r.xml", State: report.Stored, Type: report.Aggregate, Domain: testDomain, Org: "google.example", ReportID: "1",
		Begin: f.Begin, End: f.End, Rows: 5, Messages: 15}
	if diff := cmp.Diff(want, receipt.Reports[0]); diff != "" {
		t.Error(diff)
	}
	// Another process sees it.
	r = db.reports(t)
	d := get[report.Detail](t)(r.Report(ctx, want.ID))
	a, _ := arrival(octets)
	wantDetail := report.Detail{Listed: report.Listed{ReceivedReport: want, Input: receipt.Input, Ours: testDomain, Trust: report.Verified, Arrived: a.At, Way: report.BySMTP, Place: "192.0.2.9"},
		Email: f.Email, Schema: f.Schema, Policy: f.Policy, Errors: f.Errors, RowsKept: true, Cells: f.Cells}
	if diff := cmp.Diff(wantDetail, d); diff != "" {
		t.Error(diff)
	}
	rows := get[[]report.StoredRow](t)(r.Rows(ctx, want.ID, 0, 100))
	if len(rows) != 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, got := range rows {
		row := f.Shapes[f.Rows[i].Shape].Row
		if row.Count = f.Rows[i].Count; f.Rows[i].Source.IsValid() {
			row.SourceIP = f.Rows[i].Source.String()
		}
		if diff := cmp.Diff(row, got.Row); diff != "" || got.Source != f.Rows[i].Source {
			t.Errorf("row %d: %s", i, diff)
		}
	}
	if page := get[[]report.StoredRow](t)(r.Rows(ctx, want.ID, 1, 2)); len(page) != 2 || page[0].SourceIP != "2001:db8::7" || page[1].SourceIP != "192.0.2.8" {
		t.Errorf("%+v", page)
	}
	if page := get[[]report.StoredRow](t)(r.Rows(ctx, want.ID, 5, 2)); len(page) != 0 {
		t.Errorf("%+v", page)
	}
	back := get[report.Arrival](t)(r.Octets(ctx, receipt.Input))
	if diff := cmp.Diff(a, back); diff != "" {
		t.Error(diff)
	}
	if v := get[report.Volume](t)(r.CountFrom(ctx, "google.example", a.At)); v.Inputs != 1 || v.Octets != int64(len(octets)) {
		t.Errorf("%+v", v)
	}
	if v := get[report.Volume](t)(r.CountFrom(ctx, "google.example", a.At.Add(time.Second))); v.Inputs != 0 || v.Octets != 0 {
		t.Errorf("%+v", v)
	}
	for what, err := range map[string]error{
		"report": errOnly(r.Report(ctx, "rep_99")), "word": errOnly(r.Report(ctx, "rep_x")), "input's id": errOnly(r.Report(ctx, receipt.Input)),
		"rows": errOnly(r.Rows(ctx, "rep_99", 0, 1)), "octets": errOnly(r.Octets(ctx, "in_99")), "resave": errOnly(r.Resave(ctx, "in_99", nil)),
		"cells": r.ReplaceCells(ctx, "rep_99", testDomain, nil), "after": errOnly(r.Reports(ctx, report.ReportFilter{After: "in_1"})),
	} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func errOnly[T any](_ T, err error) error { return err }

// A large report comes back whole, in pages across its pieces.
func TestLargeReport(t *testing.T) {
	r := (&database{options: func() Options { return Options{Database: t.TempDir()} }}).reports(t)
	f := aggregate("large", 1)
	f.Rows = nil
	const n = 3*rowsPerPart + 17
	for i := range n {
		f.Rows = append(f.Rows, report.Row{Shape: i % 3, Source: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Count: int64(i)})
	}
	id := r.save(t, "large", f).Reports[0].ID
	i := 0
	const page = 1000
	for {
		rows := get[[]report.StoredRow](t)(r.Rows(t.Context(), id, i, page))
		for _, row := range rows {
			if row.Source != f.Rows[i].Source || row.Count != int64(i) || row.DKIM != f.Shapes[i%3].DKIM {
				t.Fatalf("row %d: %+v", i, row)
			}
			i++
		}
		if len(rows) < page {
			break
		}
	}
	if i != n {
		t.Errorf("%d rows", i)
	}
	if s := get[report.Sources](t)(r.Sources(t.Context(), report.Period{}, 2)); s.Count != n || s.Top[0].Messages != n-1 || s.Others.Messages != int64(n)*(n-1)/2-(n-1)-(n-2) {
		t.Errorf("%+v", s)
	}
}

func testDuplicateReports(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	unsure := func(octets string, facts ...report.Facts) report.Receipt {
		a, hash := arrival(octets)
		a.Trust, a.Verdict = report.Unverified, "dkim=none"
		return get[report.Receipt](t)(r.Save(ctx, a, hash, facts))
	}
	first := unsure("a", aggregate("1", 3), aggregate("2", 3), aggregate("1", 3))
	if s := states(first); s != "stored stored duplicate" || first.Reports[2].ID != first.Reports[0].ID || first.Reports[0].ID == first.Reports[1].ID {
		t.Errorf("%+v", first)
	}
	again := unsure("a", aggregate("1", 3), aggregate("2", 3), aggregate("1", 3))
	if !again.Again || again.Input != "" || !cmp.Equal(again.Reports, first.Reports) {
		t.Errorf("the same octets: %s", cmp.Diff(first, again))
	}
	other := unsure("b", aggregate("2", 3), aggregate("3", 3))
	if s := states(other); s != "duplicate stored" || other.Reports[0].ID != first.Reports[1].ID || other.Input == first.Input {
		t.Errorf("%+v", other)
	}
	if v, o := r.total(t, testDomain); v != 0 || o != 45 {
		t.Errorf("%d vouched for, %d not", v, o)
	}
	// A copy that is vouched for vouches: as other octets, and as the same ones.
	if s := states(r.save(t, "c", aggregate("3", 3))); s != "duplicate" {
		t.Error(s)
	}
	if v, o := r.total(t, testDomain); v != 15 || o != 30 {
		t.Errorf("%d vouched for, %d not", v, o)
	}
	if again := r.save(t, "a", aggregate("1", 3)); !again.Again || states(again) != "stored stored duplicate" {
		t.Errorf("%+v", again)
	}
	if v, o := r.total(t); v != 45 || o != 0 {
		t.Errorf("%d vouched for, %d not", v, o)
	}
	if back := get[report.Arrival](t)(r.Octets(ctx, first.Input)); back.Trust != report.Verified {
		t.Errorf("%+v", back)
	}
	// And one that is not does not take it back.
	unsure("d", aggregate("3", 3))
	if v, o := r.total(t); v != 45 || o != 0 {
		t.Errorf("%d vouched for, %d not", v, o)
	}
	for _, l := range get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{State: report.Duplicate, Limit: 10})) {
		if l.SameAs == "" || l.SameAs == l.ID {
			t.Errorf("%+v", l)
		}
	}
}

func states(r report.Receipt) string {
	var all []string
	for _, x := range r.Reports {
		all = append(all, string(x.State))
	}
	return strings.Join(all, " ")
}

func testReportProblems(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	foreign := aggregate("2", 2)
	foreign.Ours, foreign.Domain, foreign.Cells = "", "example.com", nil
	receipt := r.save(t, "mixed", report.Facts{Document: "1.xml", Problem: "it is no report"}, foreign, aggregate("3", 1))
	if s := states(receipt); s != "unreadable foreign stored" || receipt.Reports[0].Problem != "it is no report" || receipt.Reports[0].ID+receipt.Reports[1].ID != "" {
		t.Errorf("%+v", receipt)
	}
	r.save(t, "good", aggregate("4", 1))
	r.save(t, "empty")
	// The same foreign report in another input is not a duplicate: nothing of it is counted.
	if s := states(r.save(t, "foreign again", foreign)); s != "foreign" {
		t.Error(s)
	}
	if v, o := r.total(t); v != 30 || o != 0 {
		t.Errorf("%d vouched for, %d not", v, o)
	}
	inputs := get[[]report.Input](t)(r.Inputs(ctx, report.InputFilter{Problems: true, Limit: 10}))
	if len(inputs) != 2 || inputs[1].ID != receipt.Input || inputs[1].Reports != 3 || inputs[1].Unread != 1 || inputs[1].Foreign != 1 || !inputs[1].Kept || inputs[1].Size != 5 {
		t.Errorf("%+v", inputs)
	}
	page := get[[]report.Input](t)(r.Inputs(ctx, report.InputFilter{Kept: true, After: inputs[0].ID, Limit: 2}))
	if len(page) != 2 || page[0].Reports != 0 || page[1].Reports != 1 {
		t.Errorf("%+v", page)
	}
	unread := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{State: report.Unread, Input: receipt.Input, Limit: 10}))
	if len(unread) != 1 || unread[0].Problem != "it is no report" || unread[0].Input != receipt.Input {
		t.Errorf("%+v", unread)
	}
	keyless := aggregate("5", 1)
	keyless.Key = [32]byte{}
	a, hash := arrival("keyless")
	if _, err := r.Save(ctx, a, hash, []report.Facts{keyless}); fault.CodeOf(err) != fault.Internal {
		t.Errorf("no key: %v", err)
	}
}

func testResave(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	foreign := aggregate("2", 2)
	foreign.Ours, foreign.Cells = "", nil
	receipt := r.save(t, "mixed", report.Facts{Document: "1.xml", Problem: "it is no report"}, foreign, aggregate("3", 1))
	r.save(t, "other", aggregate("4", 1))
	ids := []string{}
	listed := func() (all []report.Listed) {
		return get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{Input: receipt.Input, Limit: 10}))
	}
	for _, x := range slices.Backward(listed()[1:]) {
		ids = append(ids, x.ID)
	}
	// Who reads the same again writes nothing; what is said otherwise is written, under the same id.
	before := listed()
	for _, problem := range []string{"it is no report", "it breaks off"} {
		before[2].Problem = problem
		get[report.Receipt](t)(r.Resave(ctx, receipt.Input, []report.Facts{{Document: "1.xml", Problem: problem}, foreign, aggregate("3", 1)}))
		if now := listed(); !reflect.DeepEqual(now, before) {
			t.Errorf("%+v, before %+v", now, before)
		}
	}
	// A newer program reads all, and finds that the input holds what came in another one, too.
	stored := receipt.Reports[2].ID
	again := get[report.Receipt](t)(r.Resave(ctx, receipt.Input, []report.Facts{aggregate("1", 2), aggregate("2", 2), aggregate("3", 1), aggregate("4", 1)}))
	if s := states(again); s != "stored stored stored duplicate" || again.Reports[2].ID != stored {
		t.Errorf("%+v", again)
	}
	for i, id := range ids { // what could not be read, and what was foreign, has the id that it had
		if again.Reports[i].ID != id {
			t.Errorf("%s is %s now", id, again.Reports[i].ID)
		}
	}
	if v, _ := r.total(t); v != 60 {
		t.Errorf("%d messages", v)
	}
	if inputs := get[[]report.Input](t)(r.Inputs(ctx, report.InputFilter{Problems: true, Limit: 10})); len(inputs) != 0 {
		t.Errorf("%+v", inputs)
	}
	// It reads one differently, at the same place: the report keeps its id.
	changed := aggregate("3 otherwise", 1)
	changed.Rows, changed.Messages = changed.Rows[:1], 4
	changed.Cells = changed.Cells[:1]
	changed.Cells[0].Messages = 4
	again = get[report.Receipt](t)(r.Resave(ctx, receipt.Input, []report.Facts{aggregate("1", 2), aggregate("2", 2), changed, aggregate("4", 1)}))
	if s := states(again); s != "stored stored stored duplicate" || again.Reports[2].ID != stored {
		t.Errorf("%+v", again)
	}
	if v, _ := r.total(t, testDomain); v != 49 {
		t.Errorf("%d messages", v)
	}
	if d := get[report.Detail](t)(r.Report(ctx, stored)); d.ReportID != "3 otherwise" || d.Rows != 1 || len(d.Cells) != 1 || d.Messages != 4 {
		t.Errorf("%+v", d)
	}
	if rows := get[[]report.StoredRow](t)(r.Rows(ctx, stored, 0, 10)); len(rows) != 1 {
		t.Errorf("%+v", rows)
	}
	// The old key is free again, the new one is taken.
	if s := states(r.save(t, "late", aggregate("3", 1), changed)); s != "stored duplicate" {
		t.Error(s)
	}
}

// What a newer program cannot read, or counts for nobody, does not take away what was counted.
func testResaveKeeps(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	receipt := r.save(t, "two", aggregate("1", 2), aggregate("2", 2))
	foreign := aggregate("2", 2)
	foreign.Ours = ""
	for _, facts := range [][]report.Facts{
		nil,
		{{Problem: "broken"}, foreign},
		{aggregate("2", 2), aggregate("1", 2)}, // in another order
	} {
		got := get[report.Receipt](t)(r.Resave(ctx, receipt.Input, facts))
		for _, x := range got.Reports {
			if x.State != report.Stored || x.ID == "" {
				t.Errorf("%+v", x)
			}
		}
		if v, _ := r.total(t); v != 30 {
			t.Errorf("%d messages", v)
		}
	}
	// What it reads as a report that came elsewhere is that one; what was counted stays until it is that.
	r.save(t, "elsewhere", aggregate("3", 2))
	if got := get[report.Receipt](t)(r.Resave(ctx, receipt.Input, []report.Facts{aggregate("2", 2), aggregate("3", 2)})); states(got) != "stored stored" {
		t.Errorf("%+v", got)
	}
	if v, _ := r.total(t); v != 45 {
		t.Errorf("%d messages", v)
	}
}

func testReplaceCells(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	var ids []string
	for i := range 5 {
		f := aggregate(fmt.Sprint(i), i+1)
		if i == 4 {
			f.Ours = "example.net"
		}
		ids = append(ids, r.save(t, fmt.Sprint("octets ", i), f).Reports[0].ID)
	}
	r.save(t, "tls", report.Facts{Type: report.TLS, Ours: testDomain, Key: [32]byte{1}, TLS: &report.TLSReport{OrgName: "google.example"}})
	first := get[[]report.WithRows](t)(r.ReportsToRead(ctx, testDomain, "", 3))
	rest := get[[]report.WithRows](t)(r.ReportsToRead(ctx, testDomain, first[2].ID, 3))
	if len(first) != 3 || len(rest) != 1 || rest[0].ID != ids[3] || first[0].Trust != report.Verified {
		t.Fatalf("%d and %d", len(first), len(rest))
	}
	want := aggregate("1", 2)
	want.Cells = nil
	got := first[1].Facts
	for i := range got.Shapes {
		if got.Shapes[i].Hash == [16]byte{} {
			t.Error("a shape has no hash")
		}
		got.Shapes[i].Hash = [16]byte{}
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if all := get[[]report.WithRows](t)(r.ReportsToRead(ctx, "", ids[2], 10)); len(all) != 2 {
		t.Errorf("%d", len(all))
	}
	// Nobody was known, now they are; and the report is another domain's now.
	cells := slices.Clone(aggregate("1", 2).Cells)
	cells[2].Signer, cells[2].How = mx2, report.Inferred
	cells = append(cells, cells[2]) // the same again is the same cell
	must(t, r.ReplaceCells(ctx, ids[1], "example.net", cells))
	if v, _ := r.total(t, testDomain); v != 45 {
		t.Errorf("%d messages", v)
	}
	if v, _ := r.total(t, "example.net"); v != 15+17 {
		t.Errorf("%d messages", v)
	}
	if v, _ := r.total(t); v != 45+15+17 {
		t.Errorf("%d messages", v)
	}
	must(t, r.ReplaceCells(ctx, ids[1], "example.net", cells))
	must(t, r.ReplaceCells(ctx, ids[1], testDomain, cells)) // only the domain is another
	if v, _ := r.total(t, testDomain); v != 45+17 {
		t.Errorf("%d messages", v)
	}
	must(t, r.ReplaceCells(ctx, ids[1], "example.net", nil))
	if v, _ := r.total(t); v != 45+15 {
		t.Errorf("%d messages", v)
	}
	if c := get[report.Counting](t)(r.Counting(ctx)); c != (report.Counting{}) {
		t.Errorf("%+v", c)
	}
	for _, want := range []report.Counting{{Roll: "7", Reader: 1, Step: report.CountingReports, After: ids[1]}, {Roll: "8", Reader: 2}} {
		must(t, r.SetCounting(ctx, want))
		if c := get[report.Counting](t)(r.Counting(ctx)); c != want {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	if err := r.ReplaceCells(ctx, ids[1], "", nil); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func testPrune(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	var receipts []report.Receipt
	for i := range 4 { // arrived 40, 30, 20 and 10 days ago
		a, hash := arrival(fmt.Sprint("octets ", i))
		a.At = reportNow.Add(-time.Duration(40-10*i) * reportDay)
		f := aggregate(fmt.Sprint(i), i)
		f.Shapes[0].HeaderFrom = fmt.Sprintf("only%d.example", i)
		receipts = append(receipts, get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{f, {Problem: "broken"}})))
	}
	ago := func(days int) time.Time { return reportNow.Add(-time.Duration(days) * reportDay) }
	prune := func(c report.Cutoffs) (sum report.Pruned) {
		for range 100 {
			p := get[report.Pruned](t)(r.Prune(ctx, c))
			sum.Octets, sum.Rows, sum.Inputs, sum.Reports, sum.Unused = sum.Octets+p.Octets, sum.Rows+p.Rows, sum.Inputs+p.Inputs, sum.Reports+p.Reports, sum.Unused+p.Unused
			if !p.More {
				return sum
			}
		}
		t.Fatal("it never ends")
		return sum
	}
	if p := prune(report.Cutoffs{}); p != (report.Pruned{}) {
		t.Errorf("never is never: %+v", p)
	}
	if p := prune(report.Cutoffs{Octets: ago(15), Rows: ago(25)}); p != (report.Pruned{Octets: 3, Rows: 2}) {
		t.Errorf("%+v", p)
	}
	if _, err := r.Octets(ctx, receipts[2].Input); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
	get[report.Arrival](t)(r.Octets(ctx, receipts[3].Input))
	d := get[report.Detail](t)(r.Report(ctx, receipts[1].Reports[0].ID))
	if rows := get[[]report.StoredRow](t)(r.Rows(ctx, d.ID, 0, 10)); len(rows) != 0 || d.RowsKept || len(d.Cells) != 3 {
		t.Errorf("%d rows of %+v", len(rows), d)
	}
	if rows := get[[]report.StoredRow](t)(r.Rows(ctx, receipts[2].Reports[0].ID, 0, 10)); len(rows) != 5 {
		t.Errorf("%d rows", len(rows))
	}
	if v, _ := r.total(t, testDomain); v != 60 {
		t.Errorf("%d messages", v)
	}
	// The same octets are known still, though they are not kept.
	if again := r.save(t, "octets 0", aggregate("0", 0)); !again.Again {
		t.Errorf("%+v", again)
	}
	if p := prune(report.Cutoffs{All: ago(25)}); p != (report.Pruned{Inputs: 2, Reports: 4}) {
		t.Errorf("%+v", p)
	}
	if v, _ := r.total(t, testDomain); v != 30 {
		t.Errorf("%d messages", v)
	}
	if _, err := r.Report(ctx, d.ID); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
	// Everything but the last one, when the shapes of the others have not been used for long.
	db.clock.advance(100 * reportDay)
	a, hash := arrival("octets 9")
	a.At = db.clock.Now()
	f := aggregate("9", 0)
	f.Shapes[0].HeaderFrom = "only9.example"
	get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{f}))
	if p := prune(report.Cutoffs{All: db.clock.Now().Add(-reportDay)}); p != (report.Pruned{Octets: 1, Rows: 2, Inputs: 2, Reports: 4, Unused: 4}) {
		t.Errorf("%+v", p)
	}
	if v, _ := r.total(t); v != 15 {
		t.Errorf("%d messages", v)
	}
	if rows := get[[]report.StoredRow](t)(r.Rows(ctx, get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{Limit: 1}))[0].ID, 0, 10)); len(rows) != 5 || rows[0].HeaderFrom != "only9.example" {
		t.Errorf("%+v", rows)
	}
	// And at last that, with all there is. A cutoff in the future is now.
	db.clock.advance(100 * reportDay)
	prune(report.Cutoffs{All: db.clock.Now().Add(10 * reportDay)})
	for _, table := range []string{"report_inputs", "report_octets", "reports", "report_rows", "report_cells", "report_daily", "report_totals", "report_shapes", "report_groups", "report_senders", "report_names"} {
		var n int
		must(t, r.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
}

func testReportLimits(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	huge := aggregate("1", 1)
	huge.Rows[0].Count = 1 << 62
	huge.Rows[1].Count = 1 << 62
	astray := aggregate("2", 1)
	astray.Rows[0].Shape = 99
	shapes := aggregate("3", 1)
	shapes.Shapes = make([]report.Shape, maxReportShapes+1)
	tls := report.Facts{Type: report.TLS, Ours: testDomain, Key: [32]byte{1}, TLS: &report.TLSReport{}}
	for range 1000 {
		p := report.TLSPolicy{Domain: testDomain}
		for range 200 {
			p.Failures = append(p.Failures, report.TLSFailure{Result: "certificate-expired"})
		}
		tls.TLS.Policies = append(tls.TLS.Policies, p)
	}
	receipt := r.save(t, "a", huge, astray, shapes, tls)
	if s := states(receipt); s != "unreadable unreadable unreadable stored" {
		t.Errorf("%+v", receipt)
	}
	if d := get[report.Detail](t)(r.Report(ctx, receipt.Reports[3].ID)); len(d.TLS.Policies) != 1000 || len(d.TLS.Policies[0].Failures) != 10 {
		t.Errorf("%d policies", len(d.TLS.Policies))
	}
	// Dates that nobody means, and counts below nothing.
	odd := aggregate("4", 1)
	odd.Begin, odd.End = time.Unix(-1<<60, 0), time.Unix(1<<60, 0)
	odd.Cells[0].Day, odd.Cells[1].Messages, odd.Rows[0].Count = time.Unix(1<<60, 0), -5, -4
	id := r.save(t, "b", odd).Reports[0].ID
	d := get[report.Detail](t)(r.Report(ctx, id))
	if !d.Begin.IsZero() || d.End.Year() != lastYear || len(d.Cells) != 2 || d.Cells[1].Day.Year() != lastYear {
		t.Errorf("%+v", d)
	}
	// Very many cells lose their names; no message is lost.
	many := aggregate("5", 1)
	many.Cells = nil
	for i := range 3 * maxReportCells {
		many.Cells = append(many.Cells, report.Cell{Day: midnight(1), SigningDomain: testDomain, Selector: fmt.Sprint("s", i), Result: "pass", DKIM: true, Messages: int64(i)})
	}
	d = get[report.Detail](t)(r.Report(ctx, r.save(t, "c", many).Reports[0].ID))
	var sum int64
	nameless := 0
	for _, c := range d.Cells {
		if sum += c.Messages; c.Selector == report.Folded {
			nameless++
		}
	}
	const n = 3 * maxReportCells
	if len(d.Cells) != maxReportCells+1 || sum != n*(n-1)/2 || nameless != 1 {
		t.Errorf("%d cells, %d messages, %d without a name", len(d.Cells), sum, nameless)
	}
	// Very many documents.
	docs := make([]report.Facts, maxInputReports+10)
	for i := range docs {
		docs[i].Problem = "broken"
	}
	if receipt := r.save(t, "d", docs...); len(receipt.Reports) != maxInputReports+1 {
		t.Errorf("%d documents", len(receipt.Reports))
	}
	r.balanced(t)
}

// No octet that a stranger writes keeps a report from being stored, and none gets longer than what is allowed.
func testStrangeTexts(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	for i, s := range []string{"c\x00d", "a\xff\xfeb", strings.Repeat("ü", 5000), "'; DROP TABLE reports; --", "\u202e%s$1?", "a\xed\xa0\x80", strings.Repeat("\xff", 300)} {
		f := aggregate(fmt.Sprint(i), 1)
		f.Document, f.Domain, f.Ours, f.Org, f.Email, f.ReportID, f.Schema, f.Errors = s, s, s, s, s, s, dmarc.Schema(s), []string{s}
		f.Policy.Policy, f.Policy.FailureWhen = dmarc.Policy(s), s
		f.Shapes[0].Row = dmarc.Row{SourceIP: s, Disposition: s, DKIM: dmarc.Result(s), SPF: dmarc.Result(s), HeaderFrom: s, EnvelopeFrom: s, EnvelopeTo: s,
			Reasons: []dmarc.Reason{{Type: s, Comment: s}}, DKIMResults: []dmarc.DKIMResult{{Domain: s, Selector: s, Result: s, Human: s}}, SPFResults: []dmarc.SPFResult{{Domain: s, Scope: s, Result: s, Human: s}}}
		who := report.Who{Kind: s, ID: s, Name: s}
		f.Cells[0] = report.Cell{Day: midnight(1), HeaderFrom: s, SigningDomain: s, Selector: s, Result: s, Signer: who, How: report.Confidence(s), KeyID: s, Source: who, Disposition: s, Reason: s, Messages: 10}
		failure := report.Facts{Type: report.Failure, Ours: s, Key: [32]byte{9, byte(i)}, Failure: &report.FailureReport{Subject: s, Failed: []string{s}}}
		a, hash := arrival("octets " + s)
		a.Place, a.Name, a.Sender, a.Verdict = s, s, s, s
		receipt := get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{f, failure, {Problem: s}}))
		if states(receipt) != "stored stored unreadable" {
			t.Fatalf("%q: %+v", s, receipt)
		}
		want := cutText(s, maxReportText)
		if len(want) > maxReportText || strings.ContainsRune(want, 0) {
			t.Errorf("%q is no text", want)
		}
		d := get[report.Detail](t)(r.Report(ctx, receipt.Reports[0].ID))
		if d.Org != want || d.Ours != want || d.Policy.FailureWhen != want || d.Errors[0] != want || len(d.Cells) != 3 {
			t.Errorf("%q: %+v", s, d)
		}
		if rows := get[[]report.StoredRow](t)(r.Rows(ctx, d.ID, 0, 1)); rows[0].DKIMResults[0].Human != want {
			t.Errorf("%q: %+v", s, rows)
		}
		get[report.Volume](t)(r.CountFrom(ctx, s, reportNow))
		get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{Domains: []string{s}, Org: s, Type: report.Type(s), State: report.State(s), Limit: 1}))
		get[report.Sources](t)(r.Sources(ctx, report.Period{Domains: []string{s}}, 1))
		get[map[string]time.Time](t)(r.LastPassed(ctx, s, []string{s}, []string{s}, time.Time{}))
		if v, _ := r.total(t, s); v != 15 {
			t.Errorf("%q: %d messages", s, v)
		}
		if back := get[report.Arrival](t)(r.Octets(ctx, receipt.Input)); string(back.Octets) != "octets "+s {
			t.Errorf("%q: %q", s, back.Octets)
		}
	}
}

// TestReportMigrationsFitBothDatabases holds the migrations of reports to what both databases mean by the same words.
func TestReportMigrationsFitBothDatabases(t *testing.T) {
	files, err := fs.Glob(reportMigrations, "migrations/reports/*.sql")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	column := regexp.MustCompile(`(?m)^  ([a-z_]+) +([A-Z]+.*?),?(?: +--.*)?$`)
	for i, name := range files {
		if want := regexp.MustCompile(`^migrations/reports/\d{5}_[a-z0-9_]+\.sql$`); !want.MatchString(name) || !strings.HasPrefix(filepath.Base(name), fmt.Sprintf("%05d_", i+1)) {
			t.Errorf("%s: migrations are numbered without gaps", name)
		}
		raw, err := fs.ReadFile(reportMigrations, name)
		must(t, err)
		if strings.Contains(string(raw), "+goose Down") {
			t.Errorf("%s goes back; migrations go forward only", name)
		}
		n := 0
		for _, m := range column.FindAllStringSubmatch(string(raw), -1) {
			n++
			if !slices.Contains([]string{"TEXT   NOT NULL", "TEXT NOT NULL", "BIGINT NOT NULL", "BIGINT NOT NULL PRIMARY KEY", "BIGINT NOT NULL PRIMARY KEY CHECK (id = 1)", "BIGINT NOT NULL DEFAULT 0", "DOUBLE PRECISION", "BLOB   NOT NULL", "BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT"}, m[2]) {
				t.Errorf("%s: column %s is %q, which the two databases do not both understand", name, m[1], m[2])
			}
		}
		if n < 20 {
			t.Errorf("%s: only %d columns were found", name, n)
		}
		for _, word := range []string{"AUTOINCREMENT", "WITHOUT", "BLOB"} {
			if i := strings.Index(string(raw), "+goose Up"); strings.Contains(postgresWords().Replace(string(raw)[i:]), word) {
				t.Errorf("%s: PostgreSQL would see %s", name, word)
			}
		}
	}
}

// The two databases of a data directory, or of one PostgreSQL, do not disturb each other, and a newer one is refused.
func TestReportsBesideTheRest(t *testing.T) {
	dir := t.TempDir()
	databases := map[string]string{"sqlite": dir}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl"); len(found) > 0 || os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
		databases["postgres"] = startPostgres(t).empty(t)
	}
	for name, database := range databases {
		s, err := Open(t.Context(), Options{Database: database})
		must(t, err)
		r, err := OpenReports(t.Context(), Options{Database: database})
		must(t, err)
		r.save(t, "a", aggregate("1", 1))
		must(t, s.Journal(t.Context(), event("a line")))
		must(t, s.Close())
		_, err = r.writer.ExecContext(t.Context(), `INSERT INTO `+reportsVersions+` (version_id, is_applied) VALUES (99999, $1)`, true)
		must(t, err)
		must(t, r.Close())
		if s, err = Open(t.Context(), Options{Database: database}); err == nil {
			err = s.Close()
		}
		must(t, err)
		if _, err = OpenReports(t.Context(), Options{Database: database}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, ReportsFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%o", info.Mode().Perm())
	}
	for _, database := range []string{"", "mysql://x"} {
		if _, err := OpenReports(t.Context(), Options{Database: database}); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", database, err)
		}
	}
	db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(dir, ReportsFile)))
	must(t, err)
	defer db.Close()
	var mode string
	must(t, db.QueryRowContext(context.WithoutCancel(t.Context()), `PRAGMA journal_mode`).Scan(&mode))
	if mode != "wal" {
		t.Error(mode)
	}
}

// What was handed in by mistake goes with all that was counted of it, and may come again.
func testRemoveInput(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	kept := r.save(t, "kept", aggregate("1", 1))
	wrong := r.save(t, "wrong", aggregate("2", 1), aggregate("3", 2), report.Facts{Problem: "broken"})
	again := r.save(t, "again", aggregate("2", 1))                                // a duplicate
	both := r.save(t, "both", aggregate("2", 1), report.Facts{Problem: "broken"}) // and one with something else
	before, _ := r.total(t, testDomain)
	goes := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{With: wrong.Input, Limit: 10}))
	if len(goes) != 5 || goes[0].Input != both.Input || goes[0].State != report.Duplicate || goes[1].Input != again.Input || goes[4].Input != wrong.Input {
		t.Errorf("what goes: %+v", goes)
	}
	must(t, r.RemoveInput(ctx, wrong.Input))
	after, _ := r.total(t, testDomain)
	if before != 45 || after != 15 {
		t.Errorf("%d messages before, and %d after", before, after)
	}
	groups := get[[]report.Group](t)(r.Groups(ctx, report.Period{Domains: []string{testDomain}}, false))
	var sum int64
	for _, g := range groups {
		sum += g.Messages
	}
	if sum != after {
		t.Errorf("the cells are %d messages", sum)
	}
	listed := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{Limit: 10}))
	if len(listed) != 2 || listed[0].State != report.Unread || listed[0].Input != both.Input || listed[1].ID != kept.Reports[0].ID {
		t.Errorf("%+v", listed)
	}
	get[report.Arrival](t)(r.Octets(ctx, both.Input))
	for _, table := range []string{"report_rows", "report_cells"} {
		left := 0
		must(t, r.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table+` WHERE report NOT IN (SELECT id FROM reports)`).Scan(&left))
		if left != 0 {
			t.Errorf("%d of %s are nobody's", left, table)
		}
	}
	for name, err := range map[string]error{"octets": errOnly(r.Octets(ctx, wrong.Input)), "octets of a duplicate": errOnly(r.Octets(ctx, again.Input)), "once more": r.RemoveInput(ctx, wrong.Input), "no id": r.RemoveInput(ctx, "x"), "a report": errOnly(r.Report(ctx, wrong.Reports[0].ID))} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if back := r.save(t, "wrong", aggregate("2", 1), aggregate("3", 2), report.Facts{Problem: "broken"}); back.Again || back.Reports[0].State != report.Stored || back.Reports[1].State != report.Stored {
		t.Errorf("it comes again: %+v", back)
	}
	if n, _ := r.total(t, testDomain); n != before {
		t.Errorf("%d messages, want %d again", n, before)
	}
}
