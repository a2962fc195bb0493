package store

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

var journalCases = map[string]func(*testing.T, *database){
	"the chain holds with writers side by side": testChain,
	"a crash between intent and outcome shows":  testOpenIntents,
	"entries by filter":                         testEntries,
}

func testChain(t *testing.T, db *database) {
	first := db.filled(t)
	second := db.open(t)
	ctx := t.Context()
	var all sync.WaitGroup
	const writers, each = 4, 15
	for i := range writers {
		s := []*Store{first, second}[i%2]
		all.Go(func() {
			for j := range each {
				var err error
				if i < 2 {
					e := event(fmt.Sprintf("writer %d, %d: octets \x00 and \xff, <b>&amp;", i, j))
					e.Detail = json.RawMessage(`{ "html": "<a&b>",  "odd": "\u0000\ud800", "n": 1.50 }`)
					err = s.Journal(ctx, e)
				} else {
					err = s.SetHold(ctx, inventory.Hold{Domain: testDomain, By: "ann", Reason: fmt.Sprint(i, j)})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var read []journal.Entry
	for {
		f := JournalFilter{Ascending: true, Limit: 7}
		if len(read) > 0 {
			f.After = read[len(read)-1].Seq
		}
		page := get[[]journal.Entry](t)(first.Entries(ctx, f))
		if len(page) == 0 {
			break
		}
		read = append(read, page...)
	}
	if len(read) < writers*each {
		t.Errorf("%d entries", len(read))
	}
	if err := journal.Check("", read); err != nil {
		t.Error(err)
	}
	for i := 1; i < len(read); i++ {
		if read[i].At.Before(read[i-1].At) {
			t.Errorf("entry %d is older than the one before", read[i].Seq)
		}
	}
	if _, err := first.writer.ExecContext(ctx, `UPDATE journal SET why = 'nothing' WHERE seq = 3`); err != nil {
		t.Fatal(err)
	}
	if journal.Check("", get[[]journal.Entry](t)(first.Entries(ctx, JournalFilter{Ascending: true, Limit: 1000}))) == nil {
		t.Error("a changed entry was not noticed")
	}
}

func testOpenIntents(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	intent := journal.Entry{Kind: journal.Intent, Actor: "planner", KeyID: "key_1", Step: "publish", Why: "due", Detail: json.RawMessage(`{"expect":""}`)}
	seq := get[int64](t)(s.Begin(ctx, w, intent))
	open := get[[]journal.Entry](t)(s.OpenIntents(ctx, testDomain))
	if len(open) != 1 || open[0].Seq != seq || open[0].Kind != journal.Intent || string(open[0].Detail) != `{"expect":""}` || open[0].Domain != testDomain {
		t.Fatalf("open: %+v", open)
	}
	if other := get[[]journal.Entry](t)(s.OpenIntents(ctx, "example.net")); len(other) != 0 {
		t.Errorf("of another domain: %+v", other)
	}
	// A commit that fails as a whole leaves the intent open.
	outcome := journal.Entry{Kind: journal.Outcome, Actor: "planner", KeyID: "key_1", Step: "publish", Why: "done", Intent: seq, OK: true}
	old := keyNow(t, s, "key_1")
	old.Revision = 77
	if err := s.Commit(ctx, w, lifecycle.Commit{Outcome: outcome, Keys: []lifecycle.Key{old}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	if len(get[[]journal.Entry](t)(s.OpenIntents(ctx, testDomain))) != 1 {
		t.Error("the outcome of a failed commit was kept")
	}
	// After a crash another process sees it.
	if again := db.open(t); len(get[[]journal.Entry](t)(again.OpenIntents(ctx, testDomain))) != 1 {
		t.Error("another process does not see the intent")
	}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Outcome: outcome}))
	if left := get[[]journal.Entry](t)(s.OpenIntents(ctx, testDomain)); len(left) != 0 {
		t.Errorf("still open: %+v", left)
	}
	for what, e := range map[string]journal.Entry{
		"a second outcome":        outcome,
		"an outcome of no intent": {Kind: journal.Outcome, Intent: seq + 100},
		"an outcome of an event":  {Kind: journal.Outcome, Intent: 1},
	} {
		if err := s.Commit(ctx, w, lifecycle.Commit{Outcome: e}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func testEntries(t *testing.T, db *database) {
	s := db.open(t)
	ctx := t.Context()
	for i := range 10 {
		e := journal.Entry{Kind: journal.Event, Actor: []string{"ann", "bob"}[i%2], Domain: []string{"a.example", "", "b.example"}[i%3], Step: "x", Why: "y", OK: true}
		if i == 4 {
			e.KeyID = "key_1"
		}
		must(t, s.Journal(ctx, e))
	}
	seqs := func(f JournalFilter) (out []int64) {
		t.Helper()
		for _, e := range get[[]journal.Entry](t)(s.Entries(ctx, f)) {
			out = append(out, e.Seq)
		}
		return out
	}
	for _, tc := range []struct {
		filter JournalFilter
		want   []int64
	}{
		{JournalFilter{Limit: 3}, []int64{10, 9, 8}},
		{JournalFilter{Limit: 3, Ascending: true}, []int64{1, 2, 3}},
		{JournalFilter{Limit: 9, After: 4, Before: 8}, []int64{7, 6, 5}},
		{JournalFilter{Limit: 9, Domain: "a.example"}, []int64{10, 7, 4, 1}},
		{JournalFilter{Limit: 9, Domain: "a.example", Actor: "ann"}, []int64{7, 1}},
		{JournalFilter{Limit: 9, KeyID: "key_1"}, []int64{5}},
		{JournalFilter{Limit: 9, KeyID: "key_2"}, nil},
	} {
		if got := seqs(tc.filter); fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%+v: %v, want %v", tc.filter, got, tc.want)
		}
	}
	long := journal.Entry{Kind: journal.Event, Step: "x", Detail: json.RawMessage(fmt.Sprintf(`"%0*d"`, maxDetail, 0))}
	if err := s.Journal(ctx, long); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an endless entry: %v", err)
	}
	if err := s.Journal(ctx, journal.Entry{Kind: journal.Event, Detail: json.RawMessage(`{`)}); err == nil {
		t.Error("an entry that is no JSON")
	}
}
