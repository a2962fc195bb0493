package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/lifecycle"
)

var timeCases = map[string]func(*testing.T, *database){
	"time never runs backwards":              testTime,
	"the installation is made once":          testInstallation,
	"waiting parts hear of changes":          testHints,
	"a call that is given up leaves nothing": testGivenUp,
}

func testTime(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	now := func(s *Store) time.Time { t.Helper(); return get[time.Time](t)(s.Now(ctx)) }
	first := now(s)
	if first.Location() != time.UTC || !first.Equal(first.Truncate(time.Microsecond)) {
		t.Errorf("time %s is not in microseconds UTC", first)
	}
	// The clock steps back by an hour: on SQLite ours, on PostgreSQL as if what was seen before had been an hour ahead.
	if db.clock == nil {
		db.later(t, s, time.Hour)
	} else {
		db.clock.advance(time.Hour)
		must(t, s.Journal(ctx, event("an hour later")))
		db.clock.advance(-time.Hour)
	}
	late := now(s)
	if late.Before(first.Add(time.Hour)) {
		t.Fatalf("%s after %s", late, first)
	}
	other := db.open(t)
	if again := now(other); again.Before(late) {
		t.Errorf("a new process says %s after %s", again, late)
	}
	must(t, other.SetHold(ctx, hold("stepped back")))
	held := get[lifecycle.Situation](t)(other.Situation(ctx, testDomain))
	if at := held.Controls.Holds[0].At; at.Before(late) {
		t.Errorf("written at %s after %s", at, late)
	}
	if db.clock != nil {
		db.clock.advance(2 * time.Hour)
		if on := now(s); !on.After(late) {
			t.Errorf("time stands still at %s", on)
		}
	}
}

func testInstallation(t *testing.T, db *database) {
	first := get[fleet.Installation](t)(db.open(t).Installation(t.Context()))
	again := get[fleet.Installation](t)(db.open(t).Installation(t.Context()))
	if first.ID == "" || first.Epoch != 1 || first != again {
		t.Errorf("%+v, then %+v", first, again)
	}
}

// testHints waits for hints with the test's own deadline; on PostgreSQL they come from another process.
func testHints(t *testing.T, db *database) {
	s := db.filled(t)
	teller := s
	if s.d.notify {
		teller = db.open(t)
	}
	ctx, stop := context.WithCancel(t.Context())
	due, changed := s.Due(ctx), s.Changed(ctx)
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	heard := func(c <-chan struct{}, what string) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody said that %s", what)
		}
	}
	must(t, teller.CheckNow(t.Context(), testDomain))
	heard(due, "work is due")
	withKey(t, teller, newKey("key_1", "as_1", "a", "srv_1"))
	heard(changed, "instructions changed")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func testGivenUp(t *testing.T, db *database) {
	s := db.filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.SetHold(ctx, hold("given up")); err == nil {
		t.Error("a call whose context has ended succeeded")
	}
	if holds := get[lifecycle.Situation](t)(s.Situation(t.Context(), testDomain)).Controls.Holds; len(holds) != 0 {
		t.Errorf("it left %v", holds)
	}
	must(t, s.Close())
	if _, err := s.Now(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
}

func TestHintsBecomeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hints
		ctx, stop := context.WithCancel(t.Context())
		due, changed := h.listen(ctx, workDue), h.listen(ctx, instructionsNewer)
		h.wake(workDue)
		h.wake(workDue)
		<-due
		select {
		case <-due:
			t.Error("two hints were not one")
		case <-changed:
			t.Error("a hint for another topic")
		default:
		}
		stop()
		synctest.Wait()
		h.wake(workDue | instructionsNewer)
		if len(h.listeners) != 0 {
			t.Errorf("%d still listen", len(h.listeners))
		}
	})
}

func TestDatabaseNames(t *testing.T) {
	for _, database := range []string{"", "mysql://host/db", "postgres://user:secret@host:port/db", "/dev/null/postseal"} {
		_, err := Open(t.Context(), Options{Database: database})
		if code := fault.CodeOf(err); err == nil || code != fault.Invalid {
			t.Errorf("%q: %v", database, err)
		}
		if message, _ := fault.Show(err); containsSecret(message) || containsSecret(err.Error()) {
			t.Errorf("%q: the error tells the password", database)
		}
	}
}
