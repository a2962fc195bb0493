package resolver_test

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	name = "mx1-2611abcd._domainkey.example.com"
	key  = "v=DKIM1; k=rsa; p=MIIBIjANBgkq"
)

// open returns a resolver that lives in the fake network.
func open(t *testing.T, network *fakedns.Net, change ...func(*resolver.Config)) *resolver.Resolver {
	t.Helper()
	cfg := resolver.Config{AuthorityPort: network.Port(), Timeout: fakedns.Patience, Tries: 1}
	for _, s := range network.Recursives() {
		cfg.Recursive = append(cfg.Recursive, s.Addr())
	}
	for _, c := range change {
		c(&cfg)
	}
	r, err := resolver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// look asks and fails the test on an error.
func look(t *testing.T, r *resolver.Resolver, name, rrtype string) resolver.View {
	t.Helper()
	v, err := r.Authoritative(t.Context(), name, rrtype)
	if err != nil {
		t.Fatalf("%s %s: %v", name, rrtype, err)
	}
	return v
}

// statuses says each server's answer in short: "ns1=ok".
func statuses(v resolver.View) string {
	var list []string
	for _, a := range v.Answers {
		word := string(a.Status)
		if a.Detail != "" {
			word += ":" + a.Detail
		}
		host, _, _ := strings.Cut(a.Server, ".")
		list = append(list, host+"="+word)
	}
	return strings.Join(list, " ")
}

func servers(list []resolver.Answer) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.Server)
	}
	slices.Sort(out)
	return out
}

// label is how an answer names a fake server.
func label(s *fakedns.Server) string { return s.Name() + " (" + s.Addr() + ")" }
