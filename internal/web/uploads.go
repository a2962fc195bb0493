package web

import (
	"context"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// uploads are the forms with files that are being read. It is safe for concurrent use.
type uploads struct {
	mu    sync.Mutex
	of    map[string]int // by user
	n     int
	ended chan struct{} // closed, and made anew, when one ends
}

func newUploads() *uploads { return &uploads{of: map[string]int{}, ended: make(chan struct{})} }

// Enter waits for a place among them, and returns what gives it back; fault.Unavailable when there is none for uploadWaits.
func (u *uploads) Enter(ctx context.Context, user string) (leave func(), err error) {
	limit := time.NewTimer(uploadWaits)
	defer limit.Stop()
	for {
		u.mu.Lock()
		if u.n < uploadsAtOnce && u.of[user] < uploadsOfOne {
			u.n++
			u.of[user]++
			u.mu.Unlock()
			return sync.OnceFunc(func() { u.leave(user) }), nil
		}
		ended := u.ended
		u.mu.Unlock()
		select {
		case <-ended:
		case <-limit.C:
			return nil, fault.New(fault.Unavailable, "other forms with files are being read; nothing of this one was").WithHint("send it again in a minute")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (u *uploads) leave(user string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n--
	if u.of[user]--; u.of[user] == 0 {
		delete(u.of, user)
	}
	close(u.ended)
	u.ended = make(chan struct{})
}
