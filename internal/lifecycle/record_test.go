package lifecycle

import (
	"testing"
	"time"
)

func TestSee(t *testing.T) {
	r := Record{Name: "k._domainkey.example.com", Type: "TXT", Want: "A"}
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for _, step := range []struct {
		minute int
		shown  []string
		since  int // minute of AgreedSince; -1 = they do not agree
		why    string
	}{
		{0, []string{"", ""}, -1, "nothing yet"},
		{1, []string{"A", ""}, -1, "one server is not enough"},
		{2, []string{"A", "A"}, 2, "all agree"},
		{3, []string{"A", "A"}, 2, "the wait goes on"},
		{4, []string{"A", silentServer}, 2, "silence is no evidence"},
		{5, []string{silentServer, silentServer}, 2, "nor is silence everywhere"},
		{6, []string{"A", "B"}, -1, "a contradiction is"},
		{7, []string{"A", silentServer}, -1, "what is silent has not agreed again"},
		{8, []string{"A", "A"}, 8, "the wait begins anew"},
	} {
		look(&r, at(step.minute), step.shown...)
		want := time.Time{}
		if step.since >= 0 {
			want = at(step.since)
		}
		if !r.AgreedSince.Equal(want) {
			t.Errorf("%s: agreed since %s, want %s", step.why, r.AgreedSince, want)
		}
	}
	if !r.FirstAgreed.Equal(at(2)) || r.PositiveTTL != time.Hour || r.NegativeTTL != 10*time.Minute {
		t.Errorf("first %s, TTLs %s %s", r.FirstAgreed, r.PositiveTTL, r.NegativeTTL)
	}
	r.wish("B")
	look(&Record{}, at(9)) // a look at something else changes nothing here
	stale := r
	stale.Last.Expected = "A"
	stale.See(stale.Last, nil)
	if !stale.AgreedSince.IsZero() {
		t.Error("a look at an older wish counts for the new one")
	}
	r.Written, r.Pending = "B", true
	look(&r, at(10), "B", "A")
	if !r.Pending {
		t.Error("a repair is done although a server does not show it")
	}
	look(&r, at(11), "B", "B")
	if r.Pending {
		t.Error("a repair that was asked for and stands is still waited for")
	}
}
