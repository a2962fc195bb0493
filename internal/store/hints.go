package store

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// hintEvery is how often waiting parts are woken although nobody said anything: what a lost hint between processes
	// may cost.
	hintEvery = 2 * time.Second
	// relisten is the pause before a broken connection for hints is made again.
	relisten = time.Second
	// hintChannel is PostgreSQL's name of the channel.
	hintChannel = "postseal"
)

// topic is a set of things that somebody may be waiting for.
type topic uint8

const (
	workDue           topic = 1 << iota // a domain became due
	instructionsNewer                   // a server is told something else
)

// hints wakes those who wait. A hint says "look again" and nothing more; several become one.
type hints struct {
	mu        sync.Mutex
	listeners map[chan struct{}]topic
}

// Changed returns a channel that gets a value, soon after it was committed, when any server's instructions have changed,
// until ctx ends. Run carries the word between processes.
func (s *Store) Changed(ctx context.Context) <-chan struct{} {
	return s.hints.listen(ctx, instructionsNewer)
}

// Due is as Changed for work that became due.
func (s *Store) Due(ctx context.Context) <-chan struct{} { return s.hints.listen(ctx, workDue) }

func (h *hints) listen(ctx context.Context, for_ topic) <-chan struct{} {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	if h.listeners == nil {
		h.listeners = map[chan struct{}]topic{}
	}
	h.listeners[c] = for_
	h.mu.Unlock()
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		delete(h.listeners, c)
		h.mu.Unlock()
	})
	return c
}

func (h *hints) wake(what topic) {
	if what == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, wants := range h.listeners {
		if wants&what == 0 {
			continue
		}
		select {
		case c <- struct{}{}:
		default: // it was told already and has not looked yet
		}
	}
}

// hint tells the other processes; they hear it when the transaction is committed.
func (t *tx) hint(ctx context.Context) error {
	if t.woke == 0 || !t.s.d.notify {
		return nil
	}
	payload := ""
	if t.woke&workDue != 0 {
		payload += "w"
	}
	if t.woke&instructionsNewer != 0 {
		payload += "i"
	}
	_, err := t.exec(ctx, `SELECT pg_notify($1, $2)`, hintChannel, payload)
	return err
}

// Run hears the hints of other processes until ctx ends, and then returns nil. Without it everything still works in one
// process. With SQLite there are no other processes, and it only waits.
func (s *Store) Run(ctx context.Context) error {
	if !s.d.notify {
		<-ctx.Done()
		return nil
	}
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			if err := s.hear(ctx); err != nil && ctx.Err() == nil {
				s.logger.Warn("lost the connection for hints; polling goes on", "err", err)
			}
			pause(ctx, relisten)
		}
	})
	for pause(ctx, hintEvery) {
		s.hints.wake(workDue | instructionsNewer)
	}
	group.Wait()
	return nil
}

// hear listens on a connection of its own until that breaks.
func (s *Store) hear(ctx context.Context) error {
	c, err := s.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		// A connection that listens must not go back to the pool.
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{hintChannel}.Sanitize()); err != nil {
			return err
		}
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			var what topic
			for _, letter := range n.Payload {
				switch letter {
				case 'w':
					what |= workDue
				case 'i':
					what |= instructionsNewer
				}
			}
			s.hints.wake(what)
		}
	})
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
