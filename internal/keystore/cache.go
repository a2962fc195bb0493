package keystore

import (
	"container/list"
	"crypto"
	"sync"
)

// maxCached bounds the parsed keys held in memory: an RSA-2048 key with its precomputed values takes about 4 kB, so that this
// is at most 16 MB. A key that fell out is read again in under a millisecond.
const maxCached = 4096

// cache keeps parsed keys, the most recently used first. Its lock is held for a map look-up, never while a key is read.
type cache struct {
	mu    sync.Mutex
	order *list.List // of *cached
	byID  map[string]*list.Element
	limit int
}

// cached is one key, read at most once however many ask for it at the same time.
type cached struct {
	id   string
	load func() (crypto.Signer, error)
}

func newCache(limit int) *cache {
	return &cache{order: list.New(), byID: make(map[string]*list.Element), limit: limit}
}

// get returns the key, which read is called for when it is not there. A failure is not kept.
func (c *cache) get(id string, read func() (crypto.Signer, error)) (crypto.Signer, error) {
	c.mu.Lock()
	element, ok := c.byID[id]
	if ok {
		c.order.MoveToFront(element)
	} else {
		element = c.order.PushFront(&cached{id: id, load: sync.OnceValues(read)})
		c.byID[id] = element
		if c.order.Len() > c.limit {
			oldest := c.order.Back()
			delete(c.byID, c.order.Remove(oldest).(*cached).id)
		}
	}
	entry := element.Value.(*cached)
	c.mu.Unlock()

	signer, err := entry.load()
	if err != nil {
		c.forget(id, entry)
	}
	return signer, err
}

// forget drops the entry of id; with a given entry only that one, not one that came after it.
func (c *cache) forget(id string, only *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byID[id]; ok && (only == nil || element.Value == only) {
		c.order.Remove(element)
		delete(c.byID, id)
	}
}
