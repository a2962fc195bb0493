package web

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// attempts counts by address who failed to log in. It is safe for concurrent use.
type attempts struct {
	now func() time.Time

	mu     sync.Mutex
	failed map[netip.Prefix]*failures
}

// failures of one address within a window that begins with the first of them.
type failures struct {
	since time.Time
	n     int
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, failed: map[netip.Prefix]*failures{}}
}

// Begin counts an attempt as failed until Succeed says otherwise, so that many at once are counted too. wait is how long there may be no other; 0 = go on.
func (a *attempts) Begin(from netip.Prefix) (wait time.Duration) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.failed[from]
	if f == nil || now.Sub(f.since) >= attemptsWithin {
		if f == nil && len(a.failed) >= maxAddresses {
			a.makeRoom()
		}
		f = &failures{since: now}
		a.failed[from] = f
	}
	if f.n >= maxAttempts {
		return f.since.Add(attemptsWithin).Sub(now)
	}
	f.n++
	return 0
}

// Succeed forgets what failed from an address.
func (a *attempts) Succeed(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failed, from)
}

// Undo takes back an attempt that nobody could judge.
func (a *attempts) Undo(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.failed[from]; f != nil && f.n > 0 {
		f.n--
	}
}

// makeRoom forgets the address whose window began first.
func (a *attempts) makeRoom() {
	var oldest netip.Prefix
	var since time.Time
	for p, f := range a.failed {
		if since.IsZero() || f.since.Before(since) {
			oldest, since = p, f.since
		}
	}
	delete(a.failed, oldest)
}

// addressOf is who is counted together: an IPv4 address, or a /64, which is one customer's.
func addressOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
