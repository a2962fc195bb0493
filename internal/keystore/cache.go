package keystore

import (
	"crypto"
	"sync"
	"sync/atomic"
)

// maxCached bounds the parsed keys held in memory: an RSA-2048 key takes 4.6 kB and what an agent prepares beside it about 1 kB, so that this is at
// most 23 MB. A key that fell out costs a tenth of its signature to read again.
const maxCached = 4096

// Handle is where a key of a Store is held while it is in memory; its zero value is ready for use with Store.Key. One handle is kept for
// an id: each has a copy of the key of its own. It must not be copied after its first use.
type Handle struct {
	key     atomic.Pointer[Key]
	loading sync.Mutex  // a key is read once, however many ask for it at the same time
	used    atomic.Bool // since the clock's hand passed
}

// Key is a private key in memory. Its methods are safe for concurrent use.
type Key struct {
	crypto.Signer
	// Beside is for what the key's user prepared for signing with it; it goes when the key goes.
	Beside atomic.Value
}

// clock bounds the handles with a key in memory. A key that was used since the hand passed it last stays for another turn; looking
// that up and noting it takes no lock.
type clock struct {
	mu    sync.Mutex
	limit int
	ring  []kept
	hand  int
}

// kept is a handle with a key in memory.
type kept struct {
	id string
	*Handle
}

// add takes a handle that was just given its key; another may lose its own.
func (c *clock) add(id string, h *Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ring) < c.limit {
		c.ring = append(c.ring, kept{id, h})
		return
	}
	for c.ring[c.hand].used.Swap(false) {
		c.hand = (c.hand + 1) % c.limit
	}
	c.ring[c.hand].key.Store(nil)
	c.ring[c.hand] = kept{id, h}
	c.hand = (c.hand + 1) % c.limit
}

// forget drops the key of an id.
func (c *clock) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < len(c.ring); i++ {
		if c.ring[i].id != id {
			continue
		}
		c.ring[i].key.Store(nil)
		last := len(c.ring) - 1
		c.ring[i], c.ring[last] = c.ring[last], kept{}
		c.ring, c.hand = c.ring[:last], 0
		i--
	}
}
