package report

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The name in a report is its sender's choice. Who counts as a reporter is who vouches for it.
func TestReporters(t *testing.T) {
	for _, c := range []struct{ org, domain, name, reporter string }{
		{"google.com", "google.com", "google.com", "google.com"},
		{"google.com", "mail.google.com", "google.com", "google.com"},
		{"Enterprise Outlook", "microsoft.com", "Enterprise Outlook (microsoft.com)", "microsoft.com"},
		{"Outlook.com", "microsoft.com", "Outlook.com (microsoft.com)", "microsoft.com"},
		{"Yahoo", "dmarc.yahoo.com", "Yahoo (dmarc.yahoo.com)", "yahoo.com"},
		{"Receiver Ltd", "", "Receiver Ltd", "Receiver Ltd"},
		{"", "receiver.example", "", ""},
		{"one.example.co.uk", "two.example.co.uk", "one.example.co.uk", "example.co.uk"},
		{"one.example.co.uk", "other.co.uk", "one.example.co.uk (other.co.uk)", "other.co.uk"},
		{"co.uk", "evil.co.uk", "co.uk (evil.co.uk)", "evil.co.uk"},
		// Somebody with one domain stays one, whatever he calls himself.
		{"google.com", "evil.example", "google.com (evil.example)", "evil.example"},
		{"google.com (google.com)", "evil.example", "google.com (google.com) (evil.example)", "evil.example"},
		{"a.evil.example", "a.evil.example", "a.evil.example", "evil.example"},
		{"b.evil.example", "b.evil.example", "b.evil.example", "evil.example"},
		{"google.com\u200b", "evil.example", "google.com\u200b (evil.example)", "evil.example"},
		{"GOOGLE.COM.", "evil.example", "GOOGLE.COM. (evil.example)", "evil.example"},
		{strings.Repeat("ä", 200), "evil.example", strings.Repeat("ä", 64) + " (evil.example)", "evil.example"},
	} {
		if got := reporterName(c.org, c.domain); got != c.name {
			t.Errorf("%s by %s is called %s, want %s", c.org, c.domain, got, c.name)
		}
		if got := ReporterOf(c.name); got != c.reporter {
			t.Errorf("%s counts as %s, want %s", c.name, got, c.reporter)
		}
	}
	// What is stored of a name holds all of it.
	if n := len(reporterName(strings.Repeat("x", 1000), strings.Repeat("a.", 120)+"example")); n > 128+3+253 {
		t.Errorf("%d octets", n)
	}
}

// takenFacts keeps what a Taker would store.
type takenFacts struct {
	Archive
	facts []Facts
}

func (a *takenFacts) Save(_ context.Context, _ Arrival, _ [32]byte, facts []Facts) (Receipt, error) {
	a.facts = append(a.facts, facts...)
	return Receipt{}, nil
}

type nobody struct{}

func (nobody) Directory(context.Context) (*Directory, error) { return NewDirectory(Roll{}), nil }

// What arrives in mail that is verified is named after whoever is verified; the same report is the same one, whichever way it comes.
func TestTakerNamesReporters(t *testing.T) {
	const text = `<feedback><report_metadata><org_name>google.com</org_name><email>noreply@google.com</email><report_id>1</report_id><date_range><begin>1764201600</begin><end>1764287999</end></date_range></report_metadata>` +
		`<policy_published><domain>example.com</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>` +
		`<identifiers><header_from>example.com</header_from></identifiers><auth_results/></record></feedback>`
	a := &takenFacts{}
	taker := NewTaker(a, nobody{}, time.Now)
	arrivals := []Arrival{
		{Way: BySMTP, Trust: Verified, Sender: "google.com"},
		{Way: BySMTP, Trust: Verified, Sender: "evil.example"},
		{Way: BySMTP, Trust: Unverified, Sender: "evil.example"},
		{Way: ByHand, Trust: Given},
	}
	want := []string{"google.com", "google.com (evil.example)", "google.com", "google.com"}
	for _, x := range arrivals {
		x.Octets = []byte(text)
		if _, err := taker.Take(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range a.facts {
		if f.Problem != "" || f.Org != want[i] || f.Key != a.facts[0].Key {
			t.Errorf("%d: %s, want %s; %s; the same report: %t", i, f.Org, want[i], f.Problem, f.Key == a.facts[0].Key)
		}
	}
}

// One with a domain of his own is one reporter under any number of names, and not Google: what he says is too little to be found, and no word of Google's rules.
func TestOneDomainIsOneReporter(t *testing.T) {
	mx1 := Who{Kind: "server", ID: "srv_1", Name: "mx1"}
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	scene := Scene{Domain: "example.com", From: at, To: at.Add(24 * time.Hour), Signers: []SceneSigner{{Who: mx1, Placed: true}}, Selectors: []SceneSelector{{Selector: "s1", Signer: mx1, KeyID: "key_1"}}}
	groups := func(names ...string) (out []Group) {
		for _, name := range names {
			c := Cell{Day: at, HeaderFrom: "example.com", SigningDomain: "example.com", Selector: "s1", Result: "fail", Cause: BodyChanged, Signer: mx1, Source: mx1, How: Exact, KeyID: "key_1", Messages: 1000}
			out = append(out, c.Group(name, true))
		}
		return out
	}
	own := groups("google.com (evil.example)", "Yahoo (evil.example)", "a.evil.example", "b.evil.example")
	if found := Diagnose(own, scene); len(found) > 0 {
		t.Errorf("one reporter makes %+v", found)
	}
	if rules := Bulk(own, scene); len(rules) > 0 {
		t.Errorf("who is not Google is asked about Google's rules: %+v", rules)
	}
	if found := Diagnose(groups("google.com", "Yahoo (dmarc.yahoo.com)"), scene); len(found) == 0 || len(found[0].Reporters) != 2 {
		t.Errorf("two reporters make %+v", found)
	}
	if rules := Bulk(groups("google.com", "Yahoo (dmarc.yahoo.com)", "Outlook.com (microsoft.com)", "Enterprise Outlook (microsoft.com)", "Yahoo", "gmail.com (google.com)"), scene); len(rules) != 3 || rules[0].Messages != 2000 || rules[1].Messages != 2000 || rules[2].Messages != 1000 {
		t.Errorf("%+v", rules)
	}
}
