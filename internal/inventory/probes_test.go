package inventory

import (
	"strings"
	"testing"
	"time"
)

func TestProbesAreRead(t *testing.T) {
	f, err := ParseFleet("f", []byte("probes: {address: Probe@Reports.Exämple.com.}\n"), nil)
	if err != nil || f.Probes != (Probes{"probe@reports.xn--exmple-cua.com", DefaultProbeEvery}) {
		t.Fatalf("%+v, %v", f.Probes, err)
	}
	f, err = ParseFleet("f", []byte("probes: {address: p@example.com, every: 0}\npolicy: {gate: probe}\n"+base), nil)
	if err != nil || f.Probes != (Probes{"p@example.com", 0}) || f.Domains[0].Policy.Gate != GateProbe {
		t.Fatalf("%+v, %v", f, err)
	}
	state, changes, err := Apply(State{}, f, ApplyOptions{Now: time.Unix(1, 0), NewID: counter()})
	if err != nil || state.Probes != f.Probes || !strings.Contains(changes[0].Why, "probes go to p@example.com, when somebody asks for one") {
		t.Errorf("%+v, %+v, %v", state.Probes, changes, err)
	}
	for text, want := range map[string]string{
		"probes: {every: 1h}\n":                                            "1:1: probes has no address",
		"probes: {address: reports.example.com}\n":                         "is not an address",
		"probes: {address: 'a b@example.com'}\n":                           "is not an address",
		"probes: {address: probe@localhost}\n":                             "names no host",
		"probes: {address: " + strings.Repeat("p", 38) + "@example.com}\n": "leaves no room for a token",
		"probes: {address: p@example.com, every: 10m}\n":                   "every is 10m; 1h at least",
		"probes: {address: p@example.com, often: 1h}\n":                    `unknown key "often"`,
		"policy: {gate: prob}\n":                                           `1:16: unknown gate "prob"`,
		"policy: {gate: probe}\n":                                          "there is no address for probes",
		"policy: {gate: prob}\n" + base:                                    `unknown gate "prob"`,
		"policy: {gate: probe}\n" + base:                                   "there is no address for probes",
	} {
		if _, err := ParseFleet("f", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestProbeAddresses(t *testing.T) {
	p := Probes{Address: "probe@reports.example.com"}
	const token = "abcdefghijklmnopqrstuvwx23"
	for _, c := range []struct {
		to string
		ok bool
	}{
		{p.AddressOf(token), true},
		{"PROBE+" + strings.ToUpper(token) + "@Reports.Example.COM", true},
		{"probe+" + token + "@reports.example.com.", true},
		{"probe@reports.example.com", false},
		{"probe+" + token[1:] + "@reports.example.com", false},
		{"probe+" + token + "a@reports.example.com", false},
		{"probe+" + strings.Replace(token, "2", "1", 1) + "@reports.example.com", false},
		{"probe+" + token + "@example.com", false},
		{"probe+" + token + "@reports.example.com@example.net", false},
		{"xprobe+" + token + "@reports.example.com", false},
		{"", false},
	} {
		if got, ok := p.TokenIn(c.to); ok != c.ok || ok && got != token {
			t.Errorf("%q: %q, %v", c.to, got, ok)
		}
	}
	if _, ok := (Probes{}).TokenIn("+" + token + "@"); ok {
		t.Error("an installation without an address takes probes")
	}
}

// Recipients come from strangers.
func FuzzProbeToken(f *testing.F) {
	p := Probes{Address: "probe@reports.example.com"}
	f.Add(p.AddressOf("abcdefghijklmnopqrstuvwx23"))
	f.Add("probe+@reports.example.com")
	f.Fuzz(func(t *testing.T, to string) {
		if token, ok := p.TokenIn(to); ok && (!isProbeToken(token) || !strings.EqualFold(strings.TrimSuffix(to, "."), p.AddressOf(token))) {
			t.Errorf("%q holds %q", to, token)
		}
	})
}
