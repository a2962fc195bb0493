package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/inventory"
)

// membersOf returns the servers that should hold a signer's keys: the server itself, or the members of the pool that are
// not declared gone.
func (s *Situation) membersOf(signer inventory.Signer) []string {
	var ids []string
	for _, id := range signer.Holders() {
		if s.Signers[id].Decommissioned.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids
}

func (l *line) member(id string) bool {
	_, is := slices.BinarySearch(l.sorted, id)
	return is
}

// holders keeps a key's holders in step with the members of its pool: who joins gets the key and proves it before it
// signs, who leaves stops once another member signs.
func (l *line) holders(k *Key) {
	if l.signer.Kind != inventory.KindPool || l.ended() {
		return
	}
	if _, why := l.joined(k); why != "" {
		l.step(StepHolders, k, why)
	}
}

// joined returns the holders of a pool's key as they should be, and what that changes; "" = nothing.
func (l *line) joined(k *Key) (holders []Holding, why string) {
	holders = slices.Clone(k.Holders)
	var changes []string
	if k.State == Generated && k.Value == "" || (k.State == Active || k.State == Proven && l.resting(k)) && !k.Compromised() {
		for _, id := range l.members {
			if !slices.ContainsFunc(holders, func(h Holding) bool { return h.ServerID == id }) {
				holders = append(holders, Holding{ServerID: id, Want: WantHold})
				changes = append(changes, l.holderName(id)+" joined the pool and gets the key")
			}
		}
	}
	rank, stays := 0, false
	for _, h := range k.Holders {
		if h.Want == WantSign {
			rank = max(rank, h.Rank)
			stays = stays || h.Gone.IsZero() && h.Signing && l.member(h.ServerID)
		}
	}
	for i := range holders {
		h := &holders[i]
		name := l.holderName(h.ServerID)
		switch {
		case !h.in():
		case !l.member(h.ServerID) && (h.Want == WantHold || stays):
			h.Want, h.Rank = WantStop, 0
			changes = append(changes, name+" left the pool and stops")
		case k.State == Active && h.Want == WantHold && h.holds(k) && h.proved(k) && l.member(h.ServerID):
			h.Want, h.Rank = WantSign, rank
			changes = append(changes, fmt.Sprintf("a canary of %s verified: it signs as well", name))
		}
	}
	return holders, strings.Join(changes, "; ")
}
