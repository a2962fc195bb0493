package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
)

func TestFreeSlots(t *testing.T) {
	s := newScene().server("mx1")
	s.assignment("mx1").Slots = []string{"s1", "s2", "s3", "s4", "s5", "s6"}
	removed := func(ago, positive, negative time.Duration) func(*Key) {
		return func(k *Key) {
			k.Removed, k.Record.PositiveTTL, k.Record.NegativeTTL, k.Record.TTL = noon.Add(-ago), positive, negative, time.Hour
		}
	}
	s.key("s1", "mx1", Removed, removed(90*time.Minute, time.Minute, 0)) // an older key of a slot that is in use
	s.key("s1", "mx1", Active)
	s.key("s2", "mx1", Removed, removed(30*time.Minute, time.Minute, 0))    // the record's own TTL
	s.key("s3", "mx1", Removed, removed(90*time.Minute, 2*time.Hour, 0))    // a longer one was seen
	s.key("s4", "mx1", Removed, removed(2*time.Hour, time.Hour, time.Hour)) // forgotten
	s.key("s5", "mx1", Removed, removed(3*time.Hour, time.Hour, time.Hour)) // forgotten, and empty for longer
	free, next := freeSlots(&s.Situation, s.assignment("mx1"))
	if !slices.Equal(free, []string{"s6", "s5", "s4"}) {
		t.Errorf("free, in turn: %q", free)
	}
	if !next.at.Equal(noon.Add(30 * time.Minute)) {
		t.Errorf("the next one is free at %s: %s", next.at, next.text)
	}
}

// led is a scene with a server whose slots k1 and k2 lead to our zone, and the CNAMEs as they were seen.
func led(since time.Duration, shown ...string) *scene {
	s := newScene().server("mx1")
	s.assignment("mx1").Slots, s.assignment("mx1").Through = []string{"k1", "k2"}, "own"
	s.Through = map[string]string{"own": "keys.example.net"}
	for _, w := range slotRecords(&s.Situation) {
		r := Record{ID: w.Name, Domain: "example.com", Purpose: Purpose(w.Purpose), AssignmentID: w.AssignmentID, Name: w.Name, Type: w.Type, TTL: time.Hour, Want: w.Value}
		values := slices.Clone(shown)
		for i := range values {
			values[i] = strings.ReplaceAll(values[i], "OURS", w.Value)
		}
		look(&r, noon.Add(-since), values...)
		s.Records = append(s.Records, r)
	}
	return s
}

// A slot that leads to our zone gets a key once its CNAME stands on every server and caches know it.
func TestSlotWaits(t *testing.T) {
	const name, target = "k1._domainkey.example.com", "k1.example.com.keys.example.net"
	tests := []struct {
		name string
		s    *scene
		want string // "" = it may be used
	}{
		{"stands", led(2*time.Hour, "OURS", "OURS"), ""},
		{"stands since a moment", led(time.Minute, "OURS", "OURS"), "k1 leads to " + target + "; waiting until"},
		{"on one server only", led(2*time.Hour, "OURS", ""), "k1 waits for its CNAME to " + target + ": ns2"},
		{"a server is silent", led(2*time.Hour, "OURS", silentServer), "k1 waits for its CNAME to " + target + ": ns2"},
		{"leads elsewhere", led(2*time.Hour, "elsewhere.example", "elsewhere.example"), "k1 waits for its CNAME to " + target},
		{"not there", led(2*time.Hour, "", ""), "k1 waits for its CNAME to " + target},
		{"not looked yet", led(2 * time.Hour), "k1 waits for its CNAME to " + target},
	}
	lost := led(2*time.Hour, "OURS", "OURS")
	lost.Through = nil
	tests = append(tests, struct {
		name string
		s    *scene
		want string
	}{"the publisher is gone", lost, "k1 leads nowhere: there is no publisher own with a zone"})
	moved := led(2*time.Hour, "OURS", "OURS")
	moved.Through = map[string]string{"own": "other.example.net"}
	tests = append(tests, struct {
		name string
		s    *scene
		want string
	}{"it led to another zone of ours", moved, "k1 waits for its CNAME to k1.example.com.other.example.net"})
	plain := led(2*time.Hour, "OURS", "OURS")
	plain.assignment("mx1").Through = ""
	tests = append(tests, struct {
		name string
		s    *scene
		want string
	}{"it shall lead nowhere any more", plain, "k1 still leads elsewhere"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			why, _ := slotWaits(&tt.s.Situation, tt.s.assignment("mx1"), "k1")
			if tt.want == "" && why != "" || !strings.HasPrefix(why, tt.want) {
				t.Errorf("%q, want %q", why, tt.want)
			}
			s := tt.s.Situation
			steps := Next(s).stepList()
			if generates := slices.Contains(steps, "generate mx1/rsa2048"); generates != (tt.want == "") {
				t.Errorf("steps %q", steps)
			}
		})
	}
	if got := WantedRecords(led(time.Hour).Situation); len(got) != 2 || got[0].Name != name || got[0].Type != "CNAME" || got[0].Want != target || got[0].Purpose != ForSlot {
		t.Errorf("wanted: %+v", got)
	}
}

// A CNAME stays as long as a key lies behind it, and comes only where no key's own record stands.
func TestSlotRecords(t *testing.T) {
	list := func(s *scene) (out []string) {
		for _, w := range slotRecords(&s.Situation) {
			out = append(out, strings.TrimSuffix(w.Name, "._domainkey.example.com")+" "+w.Value)
		}
		slices.Sort(out)
		return out
	}
	const k1, k2 = "k1 k1.example.com.keys.example.net", "k2 k2.example.com.keys.example.net"
	s := led(time.Hour)
	if got := list(s); !slices.Equal(got, []string{k1, k2}) {
		t.Errorf("new: %q", got)
	}
	s.key("k1", "mx1", Retired).behind("k1.example.com.keys.example.net", 0)
	s.assignment("mx1").Ended = noon
	if got := list(s); !slices.Equal(got, []string{k1}) {
		t.Errorf("ended, with a key that is kept: %q", got)
	}
	s.Keys[0].State = Removed
	if got := list(s); len(got) != 0 {
		t.Errorf("ended, the key is removed: %q", got)
	}
	s = led(time.Hour)
	s.key("k1", "mx1", Active) // from the time before
	if got := list(s); !slices.Equal(got, []string{k2}) {
		t.Errorf("a key's own record stands at k1: %q", got)
	}
	s = led(time.Hour)
	s.key("k1", "mx1", Active).behind("k1.example.com.keys.example.net", 0)
	s.Through = map[string]string{"own": "other.example.net"}
	if got := list(s); !slices.Equal(got, []string{k1, "k2 k2.example.com.other.example.net"}) {
		t.Errorf("another zone: %q", got)
	}
}

// What a look at a slot means for the record behind it.
func TestThroughAlias(t *testing.T) {
	const target, value = "k1.example.com.keys.example.net", "v=DKIM1; p=A"
	sight := func(verdict evidence.Verdict, cname, detail string, values ...string) evidence.ServerSight {
		return evidence.ServerSight{Server: "ns1", Verdict: verdict, CNAME: cname, Detail: detail, Values: values}
	}
	tests := []struct {
		name     string
		expected string
		seen     evidence.ServerSight
		want     evidence.Verdict
		misled   bool
		foreign  string
	}{
		{"leads to the key", value, sight(evidence.Shows, target, "", value), evidence.Shows, false, ""},
		{"leads to nothing yet", value, sight(evidence.Differs, target, "CNAME to "+target+": NXDOMAIN"), evidence.Differs, false, ""},
		{"leads to nothing, as expected", "", sight(evidence.Differs, target, "CNAME to "+target+": NXDOMAIN"), evidence.Shows, false, ""},
		{"leads to another key", value, sight(evidence.Differs, target, "", "v=DKIM1; p=B"), evidence.Differs, false, "v=DKIM1; p=B"},
		{"leads elsewhere, where the same key stands", value, sight(evidence.Shows, "elsewhere.example", "", value), evidence.Differs, true, "CNAME elsewhere.example"},
		{"the key stands there itself", value, sight(evidence.Shows, "", "", value), evidence.Differs, true, ""},
		{"no CNAME", value, sight(evidence.Differs, "", "NXDOMAIN"), evidence.Differs, true, ""},
		{"no CNAME, and nothing is expected", "", sight(evidence.Shows, "", "NXDOMAIN"), evidence.Differs, true, ""},
		{"our servers do not answer", value, sight(evidence.Silent, target, "timeout"), evidence.Silent, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Record{Alias: "k1._domainkey.example.com", Name: target, Want: tt.expected}
			r.See(throughAlias(evidence.Sighting{Type: "TXT", Expected: tt.expected, Servers: []evidence.ServerSight{tt.seen}}, target), nil)
			got := r.Last.Servers[0]
			if got.Verdict != tt.want || r.misled() != tt.misled || r.Last.Foreign(value) != tt.foreign {
				t.Errorf("%+v, misled %t, foreign %q", got, r.misled(), r.Last.Foreign(value))
			}
		})
	}
}
