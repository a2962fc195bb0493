package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	// RateLimit is how many replies over UDP a network gets in a second. Resolvers cache, so that even large ones ask for some dozens of
	// keys in a second; an attacker who writes his victim's address as sender cannot send it more than this through us.
	RateLimit = 200

	// slipEvery lets each second reply over the limit go out, emptied and truncated: a real client of that network comes back over TCP,
	// and a victim gets less than the attacker had to send.
	slipEvery = 2

	// The networks that count as one: what one customer of a provider usually has.
	prefix4, prefix6 = 24, 56

	// limitSlots is how many networks are counted at once. Networks that fall into the same slot share its limit; the
	// seed is secret, so that nobody can choose whom to share with.
	limitSlots = 1 << 14
)

// verdict is what becomes of a reply.
type verdict int

const (
	send verdict = iota
	slip
	drop
)

// limiter counts replies by network in fixed memory. It is safe for concurrent use.
type limiter struct {
	seed maphash.Seed

	mu    sync.Mutex
	slots []slot
}

// slot is one second's count.
type slot struct {
	second int64
	count  int
}

func newLimiter() *limiter {
	return &limiter{seed: maphash.MakeSeed(), slots: make([]slot, limitSlots)}
}

// networkOf is the network that counts as one client.
func networkOf(addr netip.Addr) (netip.Prefix, bool) {
	bits := prefix4
	if addr.Is6() {
		bits = prefix6
	}
	network, err := addr.WithZone("").Prefix(bits)
	return network, err == nil && addr.IsValid()
}

// judge counts one reply. Loopback is not limited: nobody outside can write it as a sender.
func (l *limiter) judge(to netip.Addr, now time.Time) verdict {
	to = to.Unmap()
	if to.IsLoopback() {
		return send
	}
	network, ok := networkOf(to)
	if !ok {
		return drop
	}
	i := maphash.Comparable(l.seed, network) % limitSlots
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.slots[i]
	if second := now.Unix(); s.second != second {
		*s = slot{second: second}
	}
	s.count++
	switch over := s.count - RateLimit; {
	case over <= 0:
		return send
	case over%slipEvery == 0:
		return slip
	}
	return drop
}
