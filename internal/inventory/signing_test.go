package inventory

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// What an entry says counts instead of what its domain says, field by field; what neither says stays unsaid, so that the
// agents' default counts.
func TestOverrides(t *testing.T) {
	f := fleetOf(t, base+`    subdomains: true
    no_key: tempfail
    signing: {headers: [X-A], canonicalization: relaxed/simple, expire: 14d}
    signers:
      - {server: mx1}
      - {server: mx2, subdomains: false, no_key: pass, signing: {headers: [X-B, X-C], expire: 0}}
      - {server: mx2, stream: news, signing: {canonicalization: relaxed/relaxed, oversign: [Subject, Date, To, Content-Type]}}
`)
	next, _, err := Apply(State{}, f, ApplyOptions{Now: monday, NewID: counter()})
	if err != nil {
		t.Fatal(err)
	}
	days := func(n int) *time.Duration { d := time.Duration(n) * 24 * time.Hour; return &d }
	for i, want := range []struct {
		signing    Signing
		subdomains bool
		noKey      NoKey
	}{
		{Signing{Headers: []string{"X-A"}, Canonicalization: "relaxed/simple", Expire: days(14)}, true, NoKeyTempfail},
		{Signing{Headers: []string{"X-B", "X-C"}, Canonicalization: "relaxed/simple", Expire: days(0)}, false, NoKeyPass},
		{Signing{Headers: []string{"X-A"}, Oversign: []string{"Subject", "Date", "To", "Content-Type"}, Canonicalization: "relaxed/relaxed", Expire: days(14)}, true, NoKeyTempfail},
	} {
		a, d := next.Assignments[i], next.Domains[0]
		if got := a.SigningIn(d); !reflect.DeepEqual(got, want.signing) || a.SubdomainsIn(d) != want.subdomains || a.NoKeyIn(d) != want.noKey {
			t.Errorf("%s: %+v, subdomains %v, no_key %s", a.Stream, got, a.SubdomainsIn(d), a.NoKeyIn(d))
		}
	}
	// Two streams of one server are two assignments, each with keys and selectors of its own.
	if a, b := next.Assignments[1], next.Assignments[2]; a.ID == b.ID || a.SignerID != b.SignerID || a.Stream == b.Stream {
		t.Errorf("%+v and %+v", a, b)
	}
}

// The lists that the pages call the default are those of package dkim, and what the example shows in comments can be
// written as it stands.
func TestDocumentedSigningDefaults(t *testing.T) {
	page, err := os.ReadFile("../../docs/fleet-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]string{"headers": dkim.DefaultHeaders(), "oversign": dkim.DefaultOversign()} {
		row := regexp.MustCompile("(?m)^\\| `" + key + "` \\| ([^|]*) \\|").FindSubmatch(page)
		if row == nil || string(row[1]) != strings.Join(want, ", ") {
			t.Errorf("the default of %s is documented as %q", key, row)
		}
		if key == "oversign" && slices.ContainsFunc(shownFields(), func(name string) bool { return !slices.Contains(want, name) }) {
			t.Errorf("the default of oversign lacks one of %v, and nothing warns of it", shownFields())
		}
	}
	example, err := os.ReadFile("../../packaging/fleet.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^    # (signing:|  [a-z]+: )`).ReplaceAllString(string(example), "    $1")
	f := fleetOf(t, text)
	if s := f.Domains[0].Signing; len(f.Warnings) > 0 || !slices.Equal(s.Headers, dkim.DefaultHeaders()) || !slices.Equal(s.Oversign, dkim.DefaultOversign()) ||
		s.Canonicalization != DefaultCanonicalization || s.Expires() != 14*24*time.Hour {
		t.Errorf("the example's comments: %+v, warnings %v", s, f.Warnings)
	}
}
