package resolver

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// get returns what is known about a name, asking if need be. The error is a *net.DNSError of the caller's own troubles; what
// the answer itself amounts to stands in the outcome.
func (c *Cache) get(ctx context.Context, k cacheKey) (*outcome, error) {
	o, f, err := c.begin(ctx, k)
	if o != nil || err != nil {
		return o, err
	}
	return f.wait(ctx, k)
}

// begin finds an answer, or the question under way, or begins it. Exactly one of the three is returned.
func (c *Cache) begin(ctx context.Context, k cacheKey) (*outcome, *flight, error) {
	o, f, err := c.join(ctx, k, false)
	if o != nil || f != nil || err != nil {
		return o, f, err
	}
	// All questions are taken. What waits here are callers, so their own number bounds it.
	patience := time.NewTimer(c.cfg.Timeout)
	defer patience.Stop()
	select {
	case c.slots <- struct{}{}:
		return c.join(ctx, k, true)
	case <-ctx.Done():
		err = leaving(ctx, k)
	case <-c.base.Done():
		err = closing(k)
	case <-patience.C:
		err = &net.DNSError{Err: "too many questions under way", Name: k.name, IsTimeout: true, IsTemporary: true}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Busy++
	return nil, nil, err
}

// join is begin without waiting: nothing at all comes back when there is no slot for another question. The caller may bring a slot along.
func (c *Cache) join(ctx context.Context, k cacheKey, slot bool) (o *outcome, f *flight, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slot {
		// Given back unless a question takes it over.
		defer func() {
			if slot {
				<-c.slots
			}
		}()
	}
	if c.closed {
		return nil, nil, closing(k)
	}
	if e := c.fresh(k); e != nil {
		c.recent.MoveToFront(c.entries[k])
		c.count(e.outcome)
		return e.outcome, nil, nil
	}
	if f := c.flights[k]; f != nil {
		c.stats.Shared++
		return nil, f, nil
	}
	if ctx.Err() != nil {
		return nil, nil, leaving(ctx, k)
	}
	if !slot {
		select {
		case c.slots <- struct{}{}:
		default:
			return nil, nil, nil
		}
	}
	slot = false
	// The caller's string may be a piece of a whole message.
	k.name = strings.Clone(k.name)
	f = &flight{done: make(chan struct{})}
	c.flights[k] = f
	c.stats.Misses++
	c.running.Add(1)
	go c.ask(k, f)
	return nil, f, nil
}

// count notes a hit.
func (c *Cache) count(o *outcome) {
	switch {
	case o.err == nil:
		c.stats.Hits++
	case o.err.IsNotFound:
		c.stats.NegativeHits++
	default:
		c.stats.ErrorHits++
	}
}

// ask is the one goroutine of a question.
func (c *Cache) ask(k cacheKey, f *flight) {
	defer c.running.Done()
	ctx, cancel := context.WithTimeout(c.base, c.cfg.Timeout)
	defer cancel()
	f.outcome = outcomeOf(k, c.source.First(ctx, k.name, k.rrtype))

	c.mu.Lock()
	delete(c.flights, k)
	if err := f.outcome.err; err != nil && !err.IsNotFound {
		c.stats.Errors++
	}
	if !c.closed {
		c.keep(k, f.outcome)
	}
	c.mu.Unlock()
	<-c.slots
	close(f.done)
}

// wait returns the outcome, or leaves it to the others when ctx ends.
func (f *flight) wait(ctx context.Context, k cacheKey) (*outcome, error) {
	select {
	case <-f.done:
		return f.outcome, nil
	case <-ctx.Done():
	}
	select {
	case <-f.done:
		return f.outcome, nil
	default:
		return nil, leaving(ctx, k)
	}
}

// leaving says in the terms of package net that the caller had no more time.
func leaving(ctx context.Context, k cacheKey) error {
	err := ctx.Err()
	e := &net.DNSError{Err: DetailTimeout, Name: k.name, IsTimeout: true, IsTemporary: true, UnwrapErr: err}
	if !errors.Is(err, context.DeadlineExceeded) {
		e.Err, e.IsTimeout = "the look-up was given up", false
	}
	return e
}

func closing(k cacheKey) error {
	return &net.DNSError{Err: "the resolver was closed", Name: k.name, IsTemporary: true}
}
