package inventory

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

var (
	monday  = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	tuesday = monday.AddDate(0, 0, 1)
)

func fleetOf(t *testing.T, text string) Fleet {
	t.Helper()
	f, err := ParseFleet("f", []byte(text), catalogue(t))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return f
}

// small is a fleet that tables change by replacing parts of it.
const small = `
publishers:
  hand: {manual: {contact: dns@example.com}}
  own: {manual: {contact: own@example.com}}
servers: {mx1: {}, mx2: {}, web1: {}, web2: {}}
pools: {web: {members: [web1, web2]}}
domains:
  example.com:
    publisher: hand
    dmarc: v=DMARC1; p=none
    signers:
      - {server: mx1}
      - {server: mx2, algorithms: [rsa2048, ed25519]}
      - {pool: web}
      - {service: sendgrid, cname: {s1: s1.domainkey.u1.wl1.sendgrid.net, s2: s2.domainkey.u1.wl1.sendgrid.net}}
  example.net:
    publisher: own
    signers: [{server: mx1}]
`

func applied(t *testing.T, text string) State {
	t.Helper()
	s, _, err := Apply(State{}, fleetOf(t, text), ApplyOptions{Now: monday, By: "ada", NewID: counter()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestApplyToNothing(t *testing.T) {
	s := applied(t, small)
	if s.Generation != 1 || len(s.Signers) != 6 || len(s.Domains) != 2 || len(s.Assignments) != 5 || len(s.Publishers) != 2 {
		t.Fatalf("%+v", s)
	}
	pool := s.Signers[slices.IndexFunc(s.Signers, func(g Signer) bool { return g.Name == "web" })]
	if pool.Kind != KindPool || len(pool.Members) != 2 || !slices.Contains(pool.Members, s.Signers[2].ID) || !slices.Contains(pool.Members, s.Signers[3].ID) {
		t.Errorf("pool %+v", pool)
	}
	service := s.Signers[slices.IndexFunc(s.Signers, func(g Signer) bool { return g.Kind == KindService })]
	if service.Service != "sendgrid" {
		t.Errorf("service %+v", service)
	}
	seen := make(map[string]bool)
	for _, g := range s.Signers {
		seen[g.ID] = true
	}
	for _, a := range s.Assignments {
		if !seen[a.SignerID] || a.Stream != DefaultStream {
			t.Errorf("assignment %+v", a)
		}
		seen[a.ID] = true
	}
	if len(seen) != len(s.Signers)+len(s.Assignments) {
		t.Error("ids are not unique")
	}
	if s.Domains[0].DMARC != "v=DMARC1; p=none" || !reflect.DeepEqual(s.Domains[0].Policy, DefaultPolicy()) {
		t.Errorf("domain %+v", s.Domains[0])
	}
}

func TestApplyChanges(t *testing.T) {
	replace := func(pairs ...string) func(string) string {
		return func(s string) string {
			for i := 0; i < len(pairs); i += 2 {
				if !strings.Contains(s, pairs[i]) {
					t.Fatalf("%q is not in the fleet", pairs[i])
				}
				s = strings.Replace(s, pairs[i], pairs[i+1], 1)
			}
			return s
		}
	}
	for _, tc := range []struct {
		name    string
		edit    func(string) string
		current func(*State) // something that happened meanwhile
		want    []string     // "action noun: sentence"; a ! in front: needs Prune
		refused string       // a conflict instead
	}{
		{name: "nothing", edit: replace(), want: nil},
		{name: "another order", edit: replace("{server: mx2, algorithms: [rsa2048, ed25519]}", "{server: mx2, algorithms: [ed25519, rsa2048]}", "mx1: {}, mx2: {}", "mx2: {}, mx1: {}"), want: nil},
		{name: "a new server", edit: replace("mx2: {},", "mx2: {}, mx3: {},"), want: []string{"add server: mx3 is a new server"}},
		{name: "a new assignment", edit: replace("[{server: mx1}]", "[{server: mx1}, {server: mx2}]"), want: []string{"add assignment: mx2 signs for example.net with keys of its own (rsa2048)"}},
		{name: "a stream", edit: replace("[{server: mx1}]", "[{server: mx1}, {server: mx1, stream: news, bulk: true}]"), want: []string{"add assignment: mx1 (news) signs for example.net"}},
		{name: "a label", edit: replace("mx1: {}", "mx1: {label: berlin}"), want: []string{"change server: new selectors of mx1 begin with berlin instead of mx1"}},
		{name: "an assignment that is not named", edit: replace("      - {server: mx1}\n", ""), want: []string{"!end assignment: mx1 signs for example.com today and will no longer: its keys go through retirement"}},
		{name: "a service that is not named", edit: replace("      - {service: sendgrid, cname: {s1: s1.domainkey.u1.wl1.sendgrid.net, s2: s2.domainkey.u1.wl1.sendgrid.net}}\n", ""), want: []string{"!end assignment: sendgrid signs for example.com today and will no longer: its records are taken away"}},
		{name: "a server that is not named anywhere", edit: replace("mx2: {}, ", "", "      - {server: mx2, algorithms: [rsa2048, ed25519]}\n", ""), want: []string{"!end assignment: mx2 signs for example.com today"}},
		{name: "a server that signs for nothing is kept", edit: replace("web1: {}, web2: {}", "web1: {}, web2: {}"), current: func(s *State) {
			s.Signers = append(s.Signers, Signer{ID: "s_old", Kind: KindServer, Name: "old", Label: "old"})
		}, want: nil},
		{name: "a server declared gone", edit: replace("mx2: {}, ", "", "      - {server: mx2, algorithms: [rsa2048, ed25519]}\n", ""), current: func(s *State) {
			s.Signers[1].Decommissioned = monday
		}, want: []string{"end assignment: mx2 was declared gone and signs for example.com no more"}},
		{name: "a server declared gone and still named", edit: replace(), current: func(s *State) {
			s.Signers[1].Decommissioned, s.Signers[1].DecommissionedBy = monday, "ada"
		}, refused: "the server mx2 was declared gone by ada at 2026-11-23 09:00 UTC"},
		{name: "a domain that is not named", edit: replace("  example.net:\n    publisher: own\n    signers: [{server: mx1}]\n", ""), want: []string{"!end assignment: mx1 signs for example.net today"}},
		{name: "a domain with DMARC that is not named", edit: func(s string) string {
			from, to := strings.Index(s, "  example.com:"), strings.Index(s, "  example.net:")
			return s[:from] + s[to:]
		}, want: []string{"!end assignment: mx1 signs for example.com", "!end assignment: mx2 signs for example.com", "!end assignment: web signs for example.com",
			"!end assignment: sendgrid signs for example.com", "!end domain: the DMARC policy at _dmarc.example.com is no longer wanted"}},
		{name: "managed to observed", edit: replace("    publisher: own\n", "    publisher: own\n    mode: observed\n"), want: []string{"change domain: example.net becomes observed: nothing is changed any more"}},
		{name: "another publisher, and the old one is not needed", edit: replace("    publisher: own\n", "    publisher: hand\n", "  own: {manual: {contact: own@example.com}}\n", ""), want: []string{
			"change domain: records of example.net are written through hand instead of own", "remove publisher: no domain is written through own any more"}},
		{name: "a publisher that writes in another way", edit: replace("{manual: {contact: own@example.com}}", "{rfc2136: {server: 192.0.2.1, key_file: /tsig}}"), want: []string{"change publisher: own writes in another way"}},
		{name: "who is asked", edit: replace("own@example.com", "two@example.com"), want: []string{"change publisher: tickets of own: for two@example.com, steps for generic, a reminder every 2d, expiry after 14d"}},
		{name: "how people are asked", edit: replace("{contact: own@example.com}", "{contact: own@example.com, host: strato, remind_every: 1d, expires_after: 10d}"), want: []string{
			"change publisher: tickets of own: for own@example.com, steps for strato, a reminder every 1d, expiry after 10d"}},
		{name: "a publisher that a domain still needs", edit: replace("  example.net:\n    publisher: own\n    signers: [{server: mx1}]\n", "", "  own: {manual: {contact: own@example.com}}\n", ""), want: []string{"!end assignment: mx1 signs for example.net today"}},
		{name: "settings of a domain", edit: replace("    publisher: own\n", "    publisher: own\n    no_key: tempfail\n    labels: [b, a]\n    dmarc: v=DMARC1; p=reject\n    policy: {retention: 20d, jitter_percent: 5, opaque_selectors: true, need_approval: [activate]}\n"), want: []string{
			"change domain: the labels of example.net become: a, b", "change domain: mail of example.net that cannot be signed is deferred",
			"change domain: the policy of example.net changes: retention 20d instead of 30d, jitter_percent 5 instead of 10, opaque_selectors true",
			"change domain: these steps wait for a named person in example.net: activate", "change domain: the DMARC policy of example.net becomes v=DMARC1; p=reject"}},
		{name: "settings of all", edit: func(s string) string {
			return "policy: {need_approval: [remove]}\ndns: {resolvers: [192.0.2.53]}\nwindows: [{days: [sat], from: \"22:00\", to: \"04:00\"}]\n" + s
		}, want: []string{"change dns: other name servers", "change windows: planned changes happen only sat 22:00 to 04:00 UTC", "change approvals: these steps wait for a named person in every domain: remove"}},
		{name: "no DMARC policy any more", edit: replace("    dmarc: v=DMARC1; p=none\n", ""), want: []string{"!end domain: the DMARC policy at _dmarc.example.com is no longer wanted"}},
		{name: "an algorithm less", edit: replace("[rsa2048, ed25519]", "[rsa2048]"), want: []string{"change assignment: mx2 signs for example.com with keys of rsa2048 instead of rsa2048, ed25519"}},
		{name: "bulk and slots", edit: replace("[{server: mx1}]", "[{server: mx1, bulk: true, slots: [a, b]}]"), want: []string{"change assignment: mail of mx1 for example.net counts as bulk", "change assignment: mx1 uses these selectors in turn for example.net: a, b"}},
		{name: "a standby", edit: replace("[{server: mx1}]", "[{server: mx1, standby: true}]"), want: []string{"change assignment: mx1 keeps a standby key for example.net: a further one is made, published and proven ahead of time"}},
		{name: "a standby from the beginning", edit: replace("[{server: mx1}]", "[{server: mx1}, {server: mx1, stream: news, standby: true}]"), want: []string{
			"add assignment: mx1 (news) signs for example.net", "add assignment: mx1 (news) keeps a standby key for example.net"}},
		{name: "a standby no more", edit: replace(), current: func(s *State) {
			for i := range s.Assignments {
				if a := &s.Assignments[i]; a.Domain == "example.net" {
					a.Standby = true
				}
			}
		}, want: []string{"change assignment: mx1 keeps no standby key for example.net any more: the one there is comes into use"}},
		{name: "slots that lead to a zone of ours", edit: replace("[{server: mx1}]", "[{server: mx1, slots: {names: [a, b, c], through: keys}}]", "  own: {manual:", "  keys: {builtin: {zone: keys.example.net}}\n  own: {manual:"), want: []string{
			"add publisher: records can be written through keys (builtin)",
			"change assignment: mx1 uses slots that lead to keys: a._domainkey.example.net CNAME a.example.net.keys.example.net, b._domainkey.example.net CNAME b.example.net.keys.example.net"}},
		{name: "slots that led to a zone of ours and shall not", edit: replace("[{server: mx1}]", "[{server: mx1, slots: [a, b, c]}]"), current: func(s *State) {
			for i := range s.Assignments {
				if a := &s.Assignments[i]; a.Domain == "example.net" {
					a.Slots, a.Through = []string{"a", "b", "c"}, "keys"
				}
			}
			s.Publishers = append(s.Publishers, Publisher{Name: "keys", Kind: PublisherBuiltin, Zone: "keys.example.net"})
		}, refused: "the slots of mx1 for example.net lead to keys, where their keys lie"},
		{name: "the zone that slots lead to", edit: replace("[{server: mx1}]", "[{server: mx1, slots: {names: [a, b, c], through: keys}}]", "  own: {manual:", "  keys: {builtin: {zone: other.example.net}}\n  own: {manual:"), current: func(s *State) {
			for i := range s.Assignments {
				if a := &s.Assignments[i]; a.Domain == "example.net" {
					a.Slots, a.Through = []string{"a", "b", "c"}, "keys"
				}
			}
			s.Publishers = append(s.Publishers, Publisher{Name: "keys", Kind: PublisherBuiltin, Zone: "keys.example.net"})
		}, refused: "slots lead to the zone keys.example.net of the publisher keys, where their keys lie"},
		{name: "a publisher that slots once led to stays", edit: replace(), current: func(s *State) {
			s.Assignments = append(s.Assignments, Assignment{ID: "a_old", Domain: "example.net", SignerID: s.Signers[0].ID, Stream: "old", Class: ClassManaged, Slots: []string{"x", "y"}, Through: "keys", Ended: monday})
			s.Publishers = append(s.Publishers, Publisher{Name: "keys", Kind: PublisherBuiltin, Zone: "keys.example.net"})
		}, want: nil},
		{name: "how a domain's signatures are made", edit: replace("    publisher: own\n", "    publisher: own\n    subdomains: true\n    signing: {headers: [Sender, X-A], canonicalization: relaxed/simple, expire: 14d}\n"), want: []string{
			"change domain: mail of subdomains without signers of their own is signed with d=example.net: subdomains true instead of false",
			"change domain: signatures of example.net are made in another way: headers [Sender, X-A] instead of the default, canonicalization relaxed/simple instead of relaxed/relaxed, expire 14d instead of never"}},
		{name: "what a domain's signatures are by default", edit: replace("    publisher: own\n", "    publisher: own\n    subdomains: false\n    signing: {canonicalization: relaxed/relaxed, expire: 0}\n"), want: nil},
		{name: "how a signer's signatures are made", edit: replace("[{server: mx1}]", "[{server: mx1, no_key: tempfail, subdomains: false, signing: {oversign: [Subject, Date, To, Content-Type], expire: 0}}]"), want: []string{
			"change assignment: mail of mx1 for example.net that cannot be signed is deferred: no_key tempfail instead of the domain's",
			"change assignment: mx1 does not sign mail of subdomains with d=example.net: subdomains false instead of the domain's",
			"change assignment: signatures of mx1 for example.net are made in another way: oversign [Subject, Date, To, Content-Type] instead of the domain's, expire never instead of the domain's"}},
		{name: "a signer's signatures as its domain's again", edit: replace(), current: func(s *State) {
			on, week := true, 7*24*time.Hour
			s.Assignments[0].NoKey, s.Assignments[0].Subdomains, s.Assignments[0].Signing = NoKeyPass, &on, Signing{Headers: []string{"X-A"}, Canonicalization: "simple/simple", Expire: &week}
		}, want: []string{
			"change assignment: mail of mx1 for example.com that cannot be signed is treated as the domain says: no_key the domain's instead of pass",
			"change assignment: whether mx1 signs for subdomains is as example.com says: subdomains the domain's instead of true",
			"change assignment: signatures of mx1 for example.com are made in another way: headers the domain's instead of [X-A], canonicalization the domain's instead of simple/simple, expire the domain's instead of 7d"}},
		{name: "another target", edit: replace("s1.domainkey.u1.", "s1.domainkey.u2."), want: []string{"change assignment: the record s1._domainkey.example.com of sendgrid gets another value (CNAME)"}},
		{name: "a selector more", edit: replace("{s1: ", "{s3: s3.domainkey.u1.wl1.sendgrid.net, s1: "), want: []string{"change assignment: sendgrid gets the CNAME record s3._domainkey.example.com"}},
		{name: "a selector less", edit: replace(", s2: s2.domainkey.u1.wl1.sendgrid.net", ""), want: []string{"!end assignment: sendgrid uses the record s2._domainkey.example.com today, and it is no longer wanted"}},
		{name: "from CNAME to TXT", edit: replace("cname: {s1: s1.domainkey.u1.wl1.sendgrid.net, s2: s2.domainkey.u1.wl1.sendgrid.net}", "txt: {s1: v=DKIM1; p=AAAA, s2: v=DKIM1; p=AAAA}"), want: []string{
			"end assignment: sendgrid goes over from CNAME to TXT records for example.com", "add assignment: sendgrid signs for example.com: TXT records at s1, s2"}},
		{name: "from CNAME to TXT with a selector less", edit: replace("cname: {s1: s1.domainkey.u1.wl1.sendgrid.net, s2: s2.domainkey.u1.wl1.sendgrid.net}", "txt: {s1: v=DKIM1; p=AAAA}"), want: []string{
			"end assignment: sendgrid goes over", "!end assignment: sendgrid uses the record s2._domainkey.example.com today", "add assignment: sendgrid signs"}},
		{name: "a member joins", edit: replace("[web1, web2]", "[web1, web2, mx1]"), want: []string{"change pool: mx1 shares the keys of the pool web from now on"}},
		{name: "a member leaves", edit: replace("[web1, web2]", "[web1]"), want: []string{"!change pool: web2 signs for example.com today as a member of the pool web, and no longer will"}},
		{name: "a member leaves a pool that signs for nothing", edit: replace("[web1, web2]", "[web1]"), current: func(s *State) {
			for i := range s.Assignments {
				if s.Assignments[i].Domain == "example.com" && s.Signers[4].ID == s.Assignments[i].SignerID {
					s.Assignments[i].Ended = monday
				}
			}
		}, want: []string{"change pool: web2 is no longer a member of the pool web", "add assignment: web signs for example.com again, with new keys"}},
		{name: "a name that is taken", edit: replace("mx1: {}, mx2: {}", "mx1: {}, mx2: {}, sendgrid2: {}"), current: func(s *State) {
			s.Signers[5].Name = "sendgrid2"
		}, refused: "sendgrid2 is a service already and cannot be a server"},
		{name: "a service with the name of a server", edit: replace(), current: func(s *State) {
			s.Signers[5].Kind = KindServer
		}, refused: "sendgrid is not a service"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			current := applied(t, small)
			if tc.current != nil {
				tc.current(&current)
			}
			before, _ := json.Marshal(current)
			f := fleetOf(t, tc.edit(small))

			next, changes, err := Apply(current, f, ApplyOptions{Now: tuesday, By: "ada", NewID: counter(), Prune: true})
			if after, _ := json.Marshal(current); string(before) != string(after) {
				t.Error("the current state was written to")
			}
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) || fault.CodeOf(err) != fault.Conflict {
					t.Errorf("err = %v, want %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			removals := false
			for _, c := range changes {
				line := string(c.Action) + " " + c.Noun + ": " + c.Why
				if c.Destructive {
					line, removals = "!"+line, true
				}
				got = append(got, line)
			}
			if !slices.EqualFunc(got, tc.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if len(changes) == 0 && !reflect.DeepEqual(next, current) || len(changes) > 0 && next.Generation != current.Generation+1 {
				t.Errorf("generation %d", next.Generation)
			}
			if again, more, err := Apply(next, f, ApplyOptions{Now: tuesday, NewID: counter()}); err != nil || len(more) > 0 || !reflect.DeepEqual(again, next) {
				t.Errorf("applied again: %v, %v", more, err)
			}

			same, planned, err := Apply(current, f, ApplyOptions{Now: tuesday, By: "ada", NewID: counter()})
			var needed *PruneNeeded
			if errors.As(err, &needed) != removals {
				t.Fatalf("without prune: %v", err)
			}
			if !reflect.DeepEqual(planned, changes) {
				t.Errorf("planned without prune %v, with %v", planned, changes)
			}
			if removals {
				if !reflect.DeepEqual(same, current) || fault.CodeOf(err) != fault.Conflict {
					t.Errorf("without prune: code %s, or the state changed", fault.CodeOf(err))
				}
				for _, c := range needed.Removals {
					if !strings.Contains(err.Error(), c.Why) {
						t.Errorf("the error does not name %q: %v", c.Why, err)
					}
				}
				if _, hint := fault.Show(err); !strings.Contains(hint, "--prune") {
					t.Errorf("hint %q", hint)
				}
			}
		})
	}
}

func TestApplyBringsBack(t *testing.T) {
	f, state := fleetOf(t, small), applied(t, small)
	without := fleetOf(t, small[:strings.Index(small, "      - {server: mx1}")]+"      - {server: mx2, algorithms: [rsa2048, ed25519]}\n")
	ended, _, err := Apply(state, without, ApplyOptions{Now: tuesday, By: "ada", Prune: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range ended.Assignments {
		if gone := a.Ended.Equal(tuesday) && a.EndedBy == "ada"; gone == (a.SignerID == state.Signers[1].ID) {
			t.Errorf("%+v", a)
		}
	}
	back, _, err := Apply(ended, f, ApplyOptions{Now: tuesday.Add(time.Hour), By: "ada", NewID: counter()})
	if err != nil {
		t.Fatal(err)
	}
	managed, services := 0, 0
	for i, a := range back.Assignments {
		switch {
		case i < len(ended.Assignments) && a.Class == ClassManaged && a.Ended != ended.Assignments[i].Ended:
			t.Errorf("an ended managed assignment was touched: %+v", a)
		case i >= len(ended.Assignments) && a.Class == ClassManaged:
			managed++
		case a.Class == ClassDelegated && a.Ended.IsZero() && a.EndedBy == "" && a.ID == ended.Assignments[i].ID:
			services++
		}
	}
	if managed != 3 || services != 1 || len(back.Assignments) != len(ended.Assignments)+3 {
		t.Errorf("%d managed rows are new, %d services came back: %+v", managed, services, back.Assignments)
	}
}

func TestApplyKeepsWhatPeopleDid(t *testing.T) {
	state := applied(t, small)
	state.Assignments[0].RotateRequested, state.Assignments[0].RotateBy = monday, "ada"
	next, _, err := Apply(state, fleetOf(t, strings.Replace(small, "{server: mx1}", "{server: mx1, bulk: true}", 1)), ApplyOptions{Now: tuesday})
	if err != nil {
		t.Fatal(err)
	}
	if a := next.Assignments[0]; !a.Bulk || !a.RotateRequested.Equal(monday) || a.ID != state.Assignments[0].ID {
		t.Errorf("%+v", a)
	}
}

func TestApplyChecks(t *testing.T) {
	f := fleetOf(t, small)
	f.Domains[0].Signers[0].Server = "mx9"
	f.Domains[0].Mode = "nonsense"
	_, _, err := Apply(State{}, f, ApplyOptions{Now: monday})
	var ps Problems
	if !errors.As(err, &ps) || fault.CodeOf(err) != fault.Invalid || len(ps) != 2 || ps[1].Path != "domains[0].signers[0].server" {
		t.Errorf("err = %v", err)
	}
}

func TestPruneNeededIsBounded(t *testing.T) {
	e := &PruneNeeded{Removals: make([]Change, 500)}
	for i := range e.Removals {
		e.Removals[i].Why = strings.Repeat("x", 100)
	}
	if n := len(e.Error()); n > 5000 || !strings.HasSuffix(e.Error(), "and 480 more") {
		t.Errorf("%d octets: …%s", n, e.Error()[n-30:])
	}
}

func TestNeedApprovalOf(t *testing.T) {
	s := State{NeedApproval: []string{"remove", "activate"}}
	if got := s.NeedApprovalOf(Domain{Policy: Policy{NeedApproval: []string{"activate", "publish"}}}); !slices.Equal(got, []string{"activate", "publish", "remove"}) {
		t.Error(got)
	}
}

// A number that is added to Policy and forgotten in its sentence would change without a word.
func TestPolicyTextKnowsEveryField(t *testing.T) {
	for i := range reflect.TypeFor[Policy]().NumField() {
		field := reflect.TypeFor[Policy]().Field(i)
		var p Policy
		switch v := reflect.ValueOf(&p).Elem().Field(i); v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(time.Second))
		case reflect.String:
			v.SetString("x")
		default:
			if field.Name != "NeedApproval" { // has a sentence of its own
				t.Errorf("%s is of a kind that this test does not know", field.Name)
			}
			continue
		}
		if policyText(Policy{}, p) == "" {
			t.Errorf("a change of %s is not told", field.Name)
		}
	}
}
