package agent

import (
	"crypto"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/keystore"
)

// Table says which keys sign for which domain. It is never changed once it is in force, so messages read it without a lock.
type Table struct {
	version  int64                  // agentapi.Instructions.Version it was made from
	assigned map[string]*assigned   // by domain, on the default stream
	streams  map[tableKey]*assigned // on other streams
	owned    map[string]bool        // domains with one of those
	parents  bool                   // some assignment signs for the domains below it
	inFlight atomic.Int64           // messages that chose from it and are not done
}

type tableKey struct{ domain, stream string }

// assigned is one assignment with the keys that are used for it, one per algorithm family.
type assigned struct {
	*assignment
	signing []*activeKey
}

// activeKey is a key that signs mail.
type activeKey struct {
	state    *keyState // for id and held only: the rest of it changes under a lock
	selector string
	of       *assignment              // nothing of it changes once it is in a table
	count    atomic.Pointer[keyCount] // nil until it has signed
}

func (k *activeKey) id() string             { return k.state.id }
func (k *activeKey) held() *keystore.Handle { return &k.state.held }

// with is the signature that a key makes.
func (k *activeKey) with(key crypto.Signer) dkim.Signing {
	how := *k.of.how
	how.Domain, how.Selector, how.Key = k.of.Domain, k.selector, key
	return how
}

// newTable begins a table with room for so many assignments.
func newTable(version int64, room int) *Table {
	return &Table{version: version, assigned: make(map[string]*assigned, room), streams: map[tableKey]*assigned{}, owned: map[string]bool{}}
}

// add puts an assignment into a table under construction.
func (t *Table) add(stream string, a *assigned) {
	if stream == defaultStream {
		t.assigned[a.Domain] = a
	} else {
		t.streams[tableKey{a.Domain, stream}] = a
		t.owned[a.Domain] = true
	}
	t.parents = t.parents || a.Subdomains
}

// find returns the assignment that signs for a domain and stream, nil if there is none: the domain's own, on the default stream
// where it has none for this one (unknown); else, if below says so and the domain has none at all, that of the nearest domain above it
// which signs for the names below. Nothing is ever signed for a parent that was not assigned.
func (t *Table) find(domain, stream string, below bool) (a *assigned, unknown bool) {
	a, unknown = t.own(domain, stream, false)
	if a != nil || !below || !t.parents || t.owned[domain] || t.assigned[domain] != nil {
		return a, unknown
	}
	for a == nil {
		var ok bool
		if _, domain, ok = strings.Cut(domain, "."); !ok {
			return nil, false
		}
		a, unknown = t.own(domain, stream, true)
	}
	return a, unknown
}

// own returns a domain's own assignment, if it signs for the names below where that is asked for.
func (t *Table) own(domain, stream string, parent bool) (a *assigned, unknown bool) {
	if stream != "" && stream != defaultStream {
		if a := t.streams[tableKey{domain, stream}]; a != nil && (a.Subdomains || !parent) {
			return a, false
		}
		unknown = true
	}
	if a := t.assigned[domain]; a != nil && (a.Subdomains || !parent) {
		return a, unknown
	}
	return nil, false
}

// active adds the ids of all keys in it.
func (t *Table) active(ids map[string]bool) {
	add := func(a *assigned) {
		for _, k := range a.signing {
			ids[k.id()] = true
		}
	}
	for _, a := range t.assigned {
		add(a)
	}
	for _, a := range t.streams {
		add(a)
	}
}

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
