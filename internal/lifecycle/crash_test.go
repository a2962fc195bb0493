package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// dies is a process that dies at the nth write or effect, before it has happened or after.
type dies struct {
	at, seen int
	dead     bool
}

// here reports whether the process is dead from here on.
func (d *dies) here() bool {
	if !d.dead && d.seen == d.at {
		d.dead = true
	}
	d.seen++
	return d.dead
}

func (d *dies) err() error {
	if d.here() {
		return fault.New(fault.Unavailable, "the process died")
	}
	return nil
}

// wholeLife takes a domain from nothing through a rotation to removal, with a service's record that appears, changes and
// ends, and returns what is left. The process dies once, at the given write or effect; -1 = never.
func wholeLife(t *testing.T, manual bool, at int) (outcome string, points int) {
	w := newTown(t)
	w.manual = manual
	d := &dies{at: at}
	w.m.crash = func(string) bool { return d.here() }
	w.refuse = func(_, _ string, done bool) error { return d.err() }
	w.m.assignments = append(w.m.assignments, inventory.Assignment{ID: "svc", Domain: "example.com", SignerID: "svc", Class: inventory.ClassForeign,
		Records: []inventory.ServiceRecord{{Selector: "google", Type: "TXT", Value: "v=DKIM1; p=A"}}})
	until := func(what string, done func() bool) {
		for end := w.m.now.Add(2 * day); !done(); {
			w.obey()
			w.people()
			due, err := w.domain()
			switch {
			case d.dead: // somebody starts it again
				d.dead = false
				d.at = -1
				w.restart()
				due = w.m.now.Add(lease)
			case err != nil:
				t.Fatalf("dies at %d: %v", at, err)
			}
			w.check(due)
			w.m.now = earliest(due, w.m.now.Add(20*time.Minute))
			if w.m.now.After(end) {
				t.Fatalf("dies at %d: never %s: %s", at, what, w.outcome())
			}
		}
	}
	google := "google._domainkey.example.com"
	until("in use", func() bool {
		return len(w.m.keys) == 1 && !w.m.keys[0].Signing.IsZero() && len(w.m.records) == 1 && w.m.records[0].Written != "" && len(w.dns[google]) == 1
	})
	w.m.assignments[0].RotateRequested, w.m.assignments[0].RotateBy = w.m.now, "ann"
	w.m.assignments[1].Records = []inventory.ServiceRecord{{Selector: "google", Type: "TXT", Value: "v=DKIM1; p=B"}}
	until("rotated", func() bool { return len(w.in(Removed)) == 1 && w.m.records[0].Written == "v=DKIM1; p=B" })
	if len(w.in(Active)) != 1 || len(w.dns) != 2 {
		t.Fatalf("dies at %d: after the rotation: %s", at, w.outcome())
	}
	for i := range w.m.assignments {
		w.m.assignments[i].Ended, w.m.assignments[i].EndedBy = w.m.now, "ann"
	}
	until("ended", func() bool { return len(w.in(Removed)) == 2 && !w.m.records[0].Gone.IsZero() })
	until("quiet", func() bool { return len(w.m.open) == 0 })
	if at >= 0 && d.at >= 0 {
		t.Fatalf("it never came to %d", at)
	}
	return w.outcome(), d.seen
}

// Wherever the process dies, what is left in the end is the same (invariant 7).
func TestEveryCrash(t *testing.T) {
	for _, manual := range []bool{false, true} {
		t.Run(fmt.Sprint("manual ", manual), func(t *testing.T) {
			const want = `key removed want destroy end "ann ended the assignment"; key removed want destroy end "selector 2 signs instead"; ` +
				`record google._domainkey.example.com gone true written ""; 0 open intents; findings map[]`
			got, points := wholeLife(t, manual, -1)
			if got != want || points < 60 {
				t.Fatalf("without a crash, %d points: %s", points, got)
			}
			for at := range points {
				if got, _ := wholeLife(t, manual, at); got != want {
					t.Errorf("dies at %d: %s", at, got)
				}
			}
		})
	}
}
