package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/inventory"
)

// permission is one assignment as it concerns one server, with the keys that the server holds for it.
type permission struct {
	inventory.Assignment
	domain inventory.Domain // only what instructions are made of
	own    bool             // the server is its signer
	member bool             // the server is a member of the pool that is
	keys   []agentapi.Key
}

// lives reports whether the server signs because of it today, and not only has keys of it left.
func (p permission) lives() bool { return p.Ended.IsZero() && (p.own || p.member) }

// stands reports whether mail may be deferred for it.
func (p permission) stands() bool { return p.lives() && p.domain.Mode == inventory.Managed }

// before orders the permissions of one domain and stream by whose word counts: one that lives before one that is over,
// the server's own before that of a pool, the one that ended last before older ones.
func (p permission) before(q permission) int {
	rank := func(p permission) int {
		switch {
		case p.lives() && p.own:
			return 0
		case p.lives():
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(p), rank(q)), q.Ended.Compare(p.Ended), cmp.Compare(p.ID, q.ID))
}

// compose makes one entry of all permissions for one domain and stream, sorted by both. A server may have several: an
// assignment that ended and came back, or one of its own beside that of its pool. Its mail has one policy then, that of
// the first permission, and the keys of all; each key stays in the books of its own assignment.
func compose(all []permission) []agentapi.Assignment {
	slices.SortFunc(all, func(p, q permission) int {
		return cmp.Or(cmp.Compare(p.Domain, q.Domain), cmp.Compare(p.Stream, q.Stream), p.before(q))
	})
	var entries []agentapi.Assignment
	for len(all) > 0 {
		same := 1
		for same < len(all) && all[same].Domain == all[0].Domain && all[same].Stream == all[0].Stream {
			same++
		}
		if entry := entryOf(all[:same]); all[0].stands() || len(entry.Keys) > 0 {
			entries = append(entries, entry)
		}
		all = all[same:]
	}
	return entries
}

// entryOf is what an agent is told for one domain and stream; the first permission has the word.
func entryOf(same []permission) agentapi.Assignment {
	p := same[0]
	signing := p.SigningIn(p.domain)
	entry := agentapi.Assignment{
		ID: p.ID, Domain: p.Domain, Stream: p.Stream, Bulk: p.Bulk, NoKey: agentapi.NoKeyPass, Subdomains: p.SubdomainsIn(p.domain),
		Signing: agentapi.Signing{
			Headers: signing.Headers, Oversign: signing.Oversign, Canonicalization: signing.Canonicalization,
			ExpireSeconds: int64(signing.Expires() / time.Second),
		},
	}
	if p.stands() {
		entry.NoKey = agentapi.NoKey(p.NoKeyIn(p.domain))
	}
	signs := p.lives()
	for _, other := range same {
		entry.Keys = append(entry.Keys, other.keys...)
		signs = signs || slices.ContainsFunc(other.keys, func(k agentapi.Key) bool { return k.Want == agentapi.WantSign })
	}
	// What is over must not keep mail of subdomains from a domain above that still signs for it.
	entry.Subdomains = entry.Subdomains && signs
	slices.SortFunc(entry.Keys, func(x, y agentapi.Key) int {
		return cmp.Or(cmp.Compare(x.Selector, y.Selector), cmp.Compare(x.ID, y.ID))
	})
	return entry
}
