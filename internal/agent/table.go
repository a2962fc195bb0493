package agent

import (
	"sync"
	"sync/atomic"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/keystore"
)

// Table says which keys sign for which domain. It is never changed once it is in force, so messages read it without a lock.
type Table struct {
	version  int64 // agentapi.Instructions.Version it was made from
	assigned map[tableKey]*assigned
	inFlight atomic.Int64 // messages that chose from it and are not done
}

type tableKey struct{ domain, stream string }

// assigned is one assignment with the keys that are used for it, one per algorithm family.
type assigned struct {
	noKey   agentapi.NoKey
	bulk    bool
	signing []*activeKey
}

// activeKey is a key that signs mail.
type activeKey struct {
	id, selector string
	held         *keystore.Handle
	count        atomic.Pointer[keyCount] // nil until it has signed
}

// active adds the ids of all keys in it.
func (t *Table) active(ids map[string]bool) {
	for _, a := range t.assigned {
		for _, k := range a.signing {
			ids[k.id] = true
		}
	}
}

func (t *Table) lookup(domain, stream string) *assigned { return t.assigned[tableKey{domain, stream}] }

// tables holds the table in force and those that messages in flight still use.
type tables struct {
	current atomic.Pointer[Table]
	drained chan struct{} // something may have stopped; capacity 1

	mu  sync.Mutex
	old []*Table // superseded and not yet known to be unused
}

func newTables() *tables {
	t := &tables{drained: make(chan struct{}, 1)}
	t.current.Store(&Table{})
	return t
}

// acquire returns the table in force; the caller releases it when the message is done.
func (ts *tables) acquire() *Table {
	for {
		t := ts.current.Load()
		t.inFlight.Add(1)
		// If the table was superseded in between, its owner may have seen it unused already.
		if ts.current.Load() == t {
			return t
		}
		ts.release(t)
	}
}

func (ts *tables) release(t *Table) {
	if t.inFlight.Add(-1) == 0 && ts.current.Load() != t {
		select {
		case ts.drained <- struct{}{}:
		default:
		}
	}
}

// swap puts a table in force. Messages that chose from an older one finish with that.
func (ts *tables) swap(t *Table) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.old = append(ts.old, ts.current.Swap(t))
}

// inUse returns the keys that sign mail or may still do so.
func (ts *tables) inUse() map[string]bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	used := map[string]bool{}
	kept := ts.old[:0]
	for _, t := range ts.old {
		if t.inFlight.Load() > 0 {
			kept = append(kept, t)
			t.active(used)
		}
	}
	clear(ts.old[len(kept):])
	ts.old = kept
	ts.current.Load().active(used)
	return used
}
