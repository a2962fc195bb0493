package inventory

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// anyFleet draws a fleet from a small world, so that the same names come and go.
func anyFleet(t *rapid.T) Fleet {
	some := func(name string, of ...string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(s string) bool { return !rapid.Bool().Draw(t, name+" "+s) })
	}
	f := Fleet{NeedApproval: some("approve", approvable()...)}
	for _, name := range []string{"bind", "hand"} {
		f.Publishers = append(f.Publishers, Publisher{Name: name, Kind: PublisherManual, Contact: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "contact")})
	}
	servers := append([]string{"mx1"}, some("server", "mx2", "mx3")...)
	for _, name := range servers {
		f.Servers = append(f.Servers, FleetServer{Name: name, Label: rapid.SampledFrom([]string{name, "other"}).Draw(t, "label")})
	}
	if rapid.Bool().Draw(t, "pool") {
		f.Pools = []FleetPool{{Name: "web", Label: "web", Members: append([]string{"mx1"}, some("member", servers[1:]...)...)}}
	}
	for _, name := range some("domain", "example.com", "example.net", "example.org") {
		d := FleetDomain{Domain: Domain{
			Name: name, Mode: rapid.SampledFrom([]Mode{Managed, Observed}).Draw(t, "mode"), NoKey: NoKeyPass, Policy: DefaultPolicy(),
			Publisher: rapid.SampledFrom([]string{"bind", "hand"}).Draw(t, "publisher"), DMARC: rapid.SampledFrom([]string{"", "v=DMARC1; p=none"}).Draw(t, "dmarc"),
			Labels: some("label", "a", "b"),
		}}
		for _, server := range some("signer", servers...) {
			d.Signers = append(d.Signers, FleetSigner{Server: server, Stream: rapid.SampledFrom([]string{"default", "news"}).Draw(t, "stream"),
				Class: ClassManaged, Algorithms: append([]string{"rsa2048"}, some("algorithm", "ed25519")...), Bulk: rapid.Bool().Draw(t, "bulk"), Standby: rapid.Bool().Draw(t, "standby")})
		}
		if len(f.Pools) > 0 && rapid.Bool().Draw(t, "pool signs") {
			d.Signers = append(d.Signers, FleetSigner{Pool: "web", Stream: "default", Class: ClassManaged, Algorithms: []string{"rsa2048"}})
		}
		if rapid.Bool().Draw(t, "service signs") {
			s := FleetSigner{Service: "sendgrid", Stream: "default", Class: ClassDelegated}
			rrtype, value := "CNAME", rapid.SampledFrom([]string{"a.example.net", "b.example.net"}).Draw(t, "target")
			if rapid.Bool().Draw(t, "txt") {
				s.Class, rrtype, value = ClassForeign, "TXT", "v=DKIM1; p=AAAA"
			}
			for _, selector := range append([]string{"s1"}, some("selector", "s2", "s3")...) {
				s.Records = append(s.Records, ServiceRecord{selector, rrtype, value})
			}
			d.Signers = append(d.Signers, s)
		}
		f.Domains = append(f.Domains, d)
	}
	return f
}

// live lists the assignments that sign, by what makes them what they are.
func live(s State) map[string]Assignment {
	out := make(map[string]Assignment)
	for _, a := range s.Assignments {
		if a.Ended.IsZero() {
			out[fmt.Sprint(a.Domain, a.SignerID, a.Stream)] = a
		}
	}
	return out
}

func TestApplyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := State{}
		opts := ApplyOptions{By: "ada"}
		for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
			opts.Now = monday.AddDate(0, 0, step)
			f := anyFleet(t)
			opts.Prune = rapid.Bool().Draw(t, "prune")
			next, changes, err := Apply(state, f, opts)
			var needed *PruneNeeded
			switch {
			case errors.As(err, &needed) && !opts.Prune:
				if !reflect.DeepEqual(next, state) {
					t.Fatal("an apply that was refused changed the state")
				}
				continue
			case err != nil:
				t.Fatal(err)
			case len(changes) == 0 && !reflect.DeepEqual(next, state):
				t.Fatal("something changed and nobody was told")
			case len(changes) > 0 && (next.Generation != state.Generation+1 || reflect.DeepEqual(next, state)):
				t.Fatal("a change that changes nothing, or without a generation")
			}
			before, after := live(state), live(next)
			for key, a := range before {
				if b, ok := after[key]; ok && a.ID != b.ID && a.Class == b.Class {
					t.Fatalf("%s has another id", key)
				} else if !ok && !opts.Prune {
					t.Fatalf("%s was lost without prune", key)
				}
			}
			wanted := 0
			for _, d := range f.Domains {
				wanted += len(d.Signers)
			}
			if len(after) != wanted {
				t.Fatalf("%d assignments sign, the fleet names %d", len(after), wanted)
			}
			for i, a := range state.Assignments {
				if next.Assignments[i].ID != a.ID {
					t.Fatal("a row was lost")
				}
				if next.Assignments[i].Class != a.Class {
					t.Fatal("a row has another class")
				}
				if !a.Ended.IsZero() && a.Class == ClassManaged && !next.Assignments[i].Ended.Equal(a.Ended) {
					t.Fatal("an ended managed assignment came back to life")
				}
			}
			for i, s := range state.Signers {
				if next.Signers[i].ID != s.ID || next.Signers[i].Name != s.Name {
					t.Fatal("a signer was lost")
				}
			}
			if len(next.Domains) < len(state.Domains) {
				t.Fatal("a domain was lost")
			}
			for _, d := range next.Domains {
				if !slices.ContainsFunc(next.Publishers, func(p Publisher) bool { return p.Name == d.Publisher }) {
					t.Fatalf("%s has no publisher any more", d.Name)
				}
			}
			if again, more, err := Apply(next, f, ApplyOptions{Now: opts.Now}); err != nil || len(more) > 0 || !reflect.DeepEqual(again, next) {
				t.Fatalf("applied again: %v, %v", more, err)
			}
			state = next
		}
	})
}
