package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// record adds a record that is not of a managed key: what is wanted, what Postseal wrote, and what the name servers show.
func (s *scene) record(id, name, want, written string, shown []string, f ...func(*Record)) *scene {
	r := Record{ID: id, Domain: "example.com", Purpose: ForForeign, Name: name, Type: "TXT", TTL: time.Hour, Revision: 1, Want: want, Written: written}
	if written != "" {
		r.WrittenAt = noon.Add(-day)
	}
	if written == want && written != "" {
		look(&r, noon.Add(-2*time.Hour), want, want)
	}
	if shown != nil {
		look(&r, noon.Add(-time.Second), shown...)
	}
	for _, change := range f {
		change(&r)
	}
	s.Records = append(s.Records, r)
	return s
}

func TestServiceRecords(t *testing.T) {
	const name, ours, older, theirs = "google._domainkey.example.com", "v=DKIM1; p=NEW", "v=DKIM1; p=OLD", "v=DKIM1; p=THEIRS"
	everywhere := func(v string) []string { return []string{v, v} }
	pending := func(ago time.Duration) func(*Record) {
		return func(r *Record) { r.Pending, r.WrittenAt = true, noon.Add(-ago) }
	}
	r := func(want, written string, shown []string, f ...func(*Record)) func(*scene) {
		return func(s *scene) { s.record("r1", name, want, written, shown, f...) }
	}
	for _, c := range []planCase{
		{name: "not looked yet", setup: r(ours, "", nil), says: []string{"not looked yet"}},
		{name: "nothing stands there", setup: r(ours, "", everywhere("")), steps: []string{"publish r1"}},
		{name: "ours stands", setup: r(ours, ours, everywhere(ours)), says: []string{"stands on every authoritative server"}},
		{name: "exactly ours stands already, made by somebody else", setup: r(ours, "", everywhere(ours)), says: []string{"stands on every authoritative server"}},
		{name: "somebody else's stands", setup: r(ours, "", everywhere(theirs)),
			says: []string{`somebody else's record stands there and is left alone: "v=DKIM1; p=THEIRS"`}, block: true},
		{name: "somebody else's stands on one server", setup: r(ours, "", []string{"", theirs}), says: []string{"somebody else's record"}, block: true},
		{name: "the publisher knows better", setup: r(ours, "", everywhere(""), func(r *Record) { r.Condition = takenLead + "a CNAME stands there" }),
			steps: []string{"publish r1"}, says: []string{"it does not stand yet; last try: the name is taken: a CNAME stands there"}, block: true},
		{name: "the zone cannot be found", setup: r(ours, "", everywhere(""), func(r *Record) { r.Last.Problem, r.Last.Servers = "example.com is not delegated", nil }),
			says: []string{"its name cannot be looked at: example.com is not delegated"}, block: true},
		{name: "the value changed", setup: r(ours, older, everywhere(older)), steps: []string{"publish r1"}},
		{name: "the value changed, and a server lags behind both", setup: r(ours, older, []string{older, "v=DKIM1; p=OLDEST"}), steps: []string{"publish r1"}},
		{name: "the value changed, and what stands is not ours any more", setup: r(ours, older, everywhere(theirs)), says: []string{"left alone"}, block: true},
		{name: "a server lags", setup: r(ours, ours, []string{ours, ""}, func(r *Record) { r.FirstAgreed = time.Time{} }),
			says: []string{"written; not every server shows it: ns2: NXDOMAIN"}, block: true},
		{name: "a server is silent", setup: r(ours, ours, []string{ours, silentServer}), says: []string{"not every server shows it: ns2: timeout"}, block: true},
		{name: "others changed it", setup: r(ours, ours, everywhere(theirs)), says: []string{"it was changed by others: ns1: answers"}, block: true},
		{name: "others changed it where that is repaired", setup: func(s *scene) { r(ours, ours, everywhere(theirs))(s); s.Repair = true }, steps: []string{"repair r1"}},
		{name: "asked of a person", setup: r(ours, "", everywhere(""), pending(time.Hour)), says: []string{"waiting for a person to publish it"}, block: true},
		{name: "a person mistyped it", setup: r(ours, "", everywhere("v=DKIM1;p=NEW"), pending(time.Hour)), says: []string{`"v=DKIM1;p=NEW" stands there`}, block: true},
		{name: "a person has done it", setup: r(ours, "", everywhere(ours), pending(time.Hour)), steps: []string{"publish r1"}},
		{name: "a person is asked again", setup: r(ours, "", everywhere(""), pending(7*time.Hour)), steps: []string{"publish r1"}, says: []string{"asked again"}},
		{name: "not wanted any more", setup: r("", ours, everywhere(ours)), steps: []string{"remove r1"}},
		{name: "a person is asked to remove it", setup: r("", ours, everywhere(ours), pending(time.Hour)), says: []string{"waiting for a person to delete it"}, block: true},
		{name: "not wanted any more, and not ours", setup: r("", "", everywhere(theirs)), says: []string{"Postseal did not make it, so it stays"}},
		{name: "removed a moment ago, and not looked since", setup: r("", "", everywhere(ours), func(r *Record) { r.WrittenAt = noon }), says: []string{"Postseal has removed it; not looked since"}},
		{name: "removed, and a server lags behind", setup: r("", "", []string{"", ours}, func(r *Record) { r.WrittenAt = noon.Add(-time.Minute) }),
			says: []string{"what still stands lags behind, or is somebody else's and stays: ns2"}},
		{name: "not wanted any more, and gone", setup: r("", ours, everywhere("")), steps: []string{"end r1"}},
		{name: "not wanted any more, and somebody else's by now", setup: r("", ours, everywhere(theirs)), steps: []string{"end r1"}},
		{name: "not wanted any more, and still on one server", setup: r("", ours, []string{"", ours}), steps: []string{"remove r1"}},
		{name: "not wanted any more, and one server is silent", setup: r("", ours, []string{"", silentServer}), steps: []string{"remove r1"}},
		{name: "gone is gone", setup: r("", "", everywhere(""), func(r *Record) { r.Gone = noon.Add(-time.Hour) })},
		{name: "on hold", setup: func(s *scene) {
			r(ours, "", everywhere(""))(s)
			s.Controls.Holds = []inventory.Hold{{Domain: "example.com", By: "bob"}}
		}, says: []string{"it does not stand yet; held back: the domain is on hold by bob"}, block: true},
		{name: "only observed", setup: func(s *scene) { r(ours, "", everywhere(""))(s); s.Domain.Mode = inventory.Observed },
			says: []string{"only observed: nothing is changed; otherwise now: it does not stand yet"}},
	} {
		c.run(t)
	}
}

// A record that Postseal has removed is looked at again soon, and not only when everything is checked.
func TestRemovedRecordIsLookedAtSoon(t *testing.T) {
	s := newScene()
	s.record("r1", "google._domainkey.example.com", "", "", []string{"v=DKIM1; p=NEW", "v=DKIM1; p=NEW"}, func(r *Record) { r.WrittenAt = noon })
	if due := Next(s.Situation).Due; due.After(noon.Add(lookEvery(s.Domain.Policy))) {
		t.Errorf("looked at again %s later", due.Sub(noon))
	}
}

func TestWantedRecords(t *testing.T) {
	s := newScene()
	s.Domain.DMARC = "v=DMARC1; p=reject"
	s.Assignments = []inventory.Assignment{
		{ID: "asg_s", Domain: "example.com", SignerID: "s", Class: inventory.ClassForeign, Records: []inventory.ServiceRecord{{Selector: "s1", Type: "TXT", Value: "v=DKIM1; p=B"}}},
		{ID: "asg_old", Domain: "example.com", SignerID: "o", Class: inventory.ClassForeign, Ended: noon, Records: []inventory.ServiceRecord{{Selector: "o1", Type: "TXT", Value: "v=DKIM1; p=O"}}},
		{ID: "asg_new", Domain: "example.com", SignerID: "n", Class: inventory.ClassDelegated, Records: []inventory.ServiceRecord{{Selector: "n1", Type: "CNAME", Value: "n1.n.net"}}},
	}
	s.record("r1", "s1._domainkey.example.com", "v=DKIM1; p=A", "v=DKIM1; p=A", []string{"v=DKIM1; p=A"}, func(r *Record) { r.Pending, r.Condition = true, "was asked" })
	s.record("r2", "o1._domainkey.example.com", "v=DKIM1; p=O", "v=DKIM1; p=O", []string{"v=DKIM1; p=O"})
	s.record("r3", "_dmarc.example.com", "", "", []string{""}, func(r *Record) { r.Gone = noon.Add(-time.Hour) })
	got := WantedRecords(s.Situation)
	if len(got) != 4 {
		t.Fatalf("%d records, want 4: %+v", len(got), got)
	}
	changed, ended, again, fresh := got[0], got[1], got[2], got[3]
	if changed.ID != "r1" || changed.Want != "v=DKIM1; p=B" || changed.Written != "v=DKIM1; p=A" {
		t.Errorf("a changed value: %+v", changed)
	}
	if !changed.AgreedSince.IsZero() || !changed.FirstAgreed.IsZero() || changed.Pending || changed.Condition != "" {
		t.Errorf("what was known of the old value is taken for the new one: %+v", changed)
	}
	if ended.Want != "" || ended.Written == "" {
		t.Errorf("an ended service: %+v", ended)
	}
	if !again.Gone.IsZero() || again.Want != s.Domain.DMARC || again.Purpose != ForDMARC {
		t.Errorf("a record that is wanted again: %+v", again)
	}
	if fresh.ID != "" || fresh.Name != "n1._domainkey.example.com" || fresh.Type != "CNAME" || fresh.Purpose != ForDelegated || fresh.AssignmentID != "asg_new" {
		t.Errorf("a new record: %+v", fresh)
	}
	if s.Records[0].Want != "v=DKIM1; p=A" {
		t.Error("the situation itself was changed")
	}
}

func TestFindings(t *testing.T) {
	name := "google._domainkey.example.com"
	for _, c := range []struct {
		name  string
		setup func(*scene)
		want  []string
	}{
		{"a name that is taken", func(s *scene) { s.record("r1", name, "A", "", []string{"B", "B"}) }, []string{"LIFE-01 warning " + name}},
		{"exactly ours", func(s *scene) { s.record("r1", name, "A", "", []string{"A", "A"}) }, nil},
		{"a name that the publisher finds taken", func(s *scene) {
			s.record("r1", name, "A", "", []string{"", ""}, func(r *Record) { r.Condition = takenLead + "x" })
		}, []string{"LIFE-01 warning " + name}},
		{"a lagging server is not somebody else", func(s *scene) { s.record("r1", name, "A", "B", []string{"B", "C"}) }, nil},
		{"a record that others changed", func(s *scene) { s.record("r1", name, "A", "A", []string{"B", "A"}) }, []string{"LIFE-02 warning " + name}},
		{"a record that others removed", func(s *scene) { s.record("r1", name, "A", "A", []string{"", ""}) }, []string{"LIFE-02 warning " + name}},
		{"a record that never stood yet", func(s *scene) {
			s.record("r1", name, "A", "A", []string{"", ""}, func(r *Record) { r.FirstAgreed = time.Time{} })
		}, nil},
		{"silence", func(s *scene) { s.record("r1", name, "A", "A", []string{silentServer, silentServer}) }, nil},
		{"a record that is gone on purpose", func(s *scene) {
			s.record("r1", name, "", "A", []string{"B", "B"}, func(r *Record) { r.Gone = noon })
		}, nil},
		{"a key in use", func(s *scene) { s.server("mx1").key("k1", "mx1", Active, shows("", "")) }, []string{"LIFE-02 error k1._domainkey.example.com"}},
		{"a retired key", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, shows("", "")).key("k2", "mx1", Active)
		},
			[]string{"LIFE-02 warning k1._domainkey.example.com"}},
		{"a name that was given up", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, func(k *Key) { k.EndReason, k.Removed = takenReason, noon.Add(-day) }, shows("B", "B")).key("k2", "mx1", Active)
		}, []string{"LIFE-01 warning k1._domainkey.example.com"}},
		{"a name that was given up and is free", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, func(k *Key) { k.EndReason = takenReason }).key("k2", "mx1", Active)
		}, nil},
		{"a name that was given up long ago", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, func(k *Key) { k.EndReason, k.Removed = takenReason, noon.Add(-takenWatched-time.Hour) }, shows("B", "B")).key("k2", "mx1", Active)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene()
			c.setup(s)
			var got []string
			for _, f := range Next(s.Situation).Findings {
				got = append(got, f.ID+" "+f.Severity+" "+f.Subject)
				if f.Domain != "example.com" || f.Message == "" || f.Fix == "" {
					t.Errorf("incomplete: %+v", f)
				}
				if strings.Contains(f.Fix, "record adopt") && !strings.Contains(f.Fix, "--reason TEXT --yes") {
					t.Errorf("a command that would be refused: %s", f.Fix)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("findings %q, want %q", got, c.want)
			}
		})
	}
}
