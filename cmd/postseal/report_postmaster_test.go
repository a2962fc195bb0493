package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/api/client"
)

func TestPostmasterIsPrinted(t *testing.T) {
	share := func(v float64) *float64 { return &v }
	at := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	p := client.Postmaster{Domain: "example.com", On: true, Account: client.PostmasterAsked{Asked: at(28)},
		Domains: []client.PostmasterAsked{{Domain: "example.com", Asked: at(28)}, {Domain: "shop.example.com", Asked: at(28), Problem: "shop.example.com is not verified", Hint: "verify it"}},
		Disagreements: []client.PostmasterDisagreement{
			{Domain: "example.com", Day: at(24), Message: "an old one"}, {Domain: "example.com", Day: at(25), Message: "DKIM of example.com on 2026-11-25: they differ"},
		}}
	for n := 16; n <= 25; n++ {
		p.Days = append(p.Days, client.PostmasterDay{Domain: "example.com", Day: at(n), DKIM: share(0.9999), Spam: share(0.00012)})
	}
	last := &p.Days[len(p.Days)-1]
	last.DKIM, last.SPF, last.DMARC, last.Spam, last.Reputation = share(1), share(0.995), share(0), share(0.0042), "LOW"
	last.Errors = []client.PostmasterError{{Class: "TEMPORARY_ERROR", Type: "SUSPECTED_SPAM", Share: 0.02}, {Class: "PERMANENT_ERROR", Type: "BAD_DMARC_POLICY", Share: 0.01}}
	last.Reports = &client.PostmasterReported{Messages: 1000, Signed: 900, DKIM: 720, DMARC: 720}

	print := func(p client.Postmaster, days, disagreements int) string {
		var out bytes.Buffer
		if err := printPostmaster(&out, p, days, disagreements); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const line = "example.com\t2026-11-25\t100 %\t99.5 %\t0 %\t0.42 %\t2.0 % suspected_spam and 1 more\t1000\t80.0 %\t72.0 %"
	all := print(p, len(p.Days), len(p.Disagreements))
	for _, want := range []string{"No new figures: shop.example.com is not verified.\n\t→ verify it\n", line, "example.com\t2026-11-16\t99.9 %\t-\t-\t0.012 %\t-\t-\t-\t-\n", "\nan old one.\n", "they differ.\n"} {
		if !strings.Contains(squeezed(all), want) {
			t.Errorf("without %q:\n%s", want, all)
		}
	}
	few := print(p, 2, 1)
	if strings.Count(few, "2026-11-") != 2+1 || !strings.Contains(few, "1 earlier disagreements") || strings.Contains(few, "an old one") {
		t.Errorf("a summary:\n%s", few)
	}
	for what, c := range map[string]struct {
		p    client.Postmaster
		want string
	}{
		"no account":          {client.Postmaster{Domain: "example.com"}, "serve --postmaster-credential"},
		"not asked yet":       {client.Postmaster{Domain: "example.com", On: true}, "have not been asked yet"},
		"another's account":   {client.Postmaster{Domain: "example.com", On: true, Account: client.PostmasterAsked{Asked: at(28)}}, "neither example.com nor a name below it"},
		"a refused key":       {client.Postmaster{Domain: "example.com", On: true, Account: client.PostmasterAsked{Asked: at(28), Problem: "Google refuses the credential", Hint: "make a new key"}}, "Google refuses the credential.\n  → make a new key"},
		"no account any more": {client.Postmaster{Domain: "example.com", Days: p.Days}, "not asked any more"},
	} {
		if got := print(c.p, 100, 100); !strings.Contains(got, c.want) {
			t.Errorf("%s:\n%s", what, got)
		}
	}

	rows := postmasterRows(p)
	want := []string{"example.com", "2026-11-25", "1", "0.995", "0", "0.0042", "LOW", "TEMPORARY_ERROR/SUSPECTED_SPAM:0.02 PERMANENT_ERROR/BAD_DMARC_POLICY:0.01", "1000", "900", "720", "720",
		"DKIM of example.com on 2026-11-25: they differ", ""}
	if diff := cmp.Diff(want, rows[len(rows)-1]); diff != "" || len(rows) != 10 {
		t.Errorf("%d rows\n%s", len(rows), diff)
	}
	want = []string{"example.com", "2026-11-16", "0.9999", "", "", "0.00012", "", "", "", "", "", "", "", ""}
	if diff := cmp.Diff(want, rows[0]); diff != "" {
		t.Error(diff)
	}
}

// squeezed has a tab where columns are apart.
func squeezed(text string) string {
	for strings.Contains(text, "   ") {
		text = strings.ReplaceAll(text, "   ", "  ")
	}
	return strings.ReplaceAll(text, "  ", "\t")
}
