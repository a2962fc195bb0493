package inventory

import (
	"reflect"
	"testing"
	"time"
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
