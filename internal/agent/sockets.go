package agent

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// Addrs returns the addresses of the milter listeners in the order of the configuration.
func (a *Agent) Addrs() []net.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []net.Addr
	for _, s := range a.sockets {
		out = append(out, s.addr)
	}
	return out
}

func (a *Agent) openSockets(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = true
	for _, spec := range a.settings.Load().listeners {
		s, err := a.listen(ctx, spec)
		if err != nil {
			return err
		}
		a.sockets = append(a.sockets, s)
		a.log.Info("listening", "address", s.addr.String(), "sign", spec.signWord())
	}
	return nil
}

// closeSockets stops accepting everywhere and waits for the sessions.
func (a *Agent) closeSockets(grace time.Duration) {
	a.mu.Lock()
	sockets := a.sockets
	a.sockets, a.running = nil, false
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range sockets {
		wg.Go(func() { s.server.Shutdown(ctx) })
	}
	wg.Wait()
	a.leaving.Wait()
	// Sessions that were cut off end by themselves; they count what they signed first.
	for deadline := time.Now().Add(time.Second); a.open.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// changeSockets makes the open listeners those of list. A listener that stays at its address goes on under its new settings; the others
// are returned to be shut down. On an error nothing has changed. The caller holds a.mu.
func (a *Agent) changeSockets(ctx context.Context, list []listenSpec) (opened int, gone []*socket, err error) {
	gone = slices.Clone(a.sockets)
	var next, fresh []*socket
	type change struct {
		socket *socket
		spec   listenSpec
	}
	var changes []change
	for _, spec := range list {
		i := slices.IndexFunc(gone, func(s *socket) bool {
			old := s.spec.Load()
			return old.network == spec.network && old.address == spec.address
		})
		if i >= 0 {
			changes = append(changes, change{gone[i], spec})
			next = append(next, gone[i])
			gone = slices.Delete(gone, i, i+1)
			continue
		}
		s, err := a.listen(ctx, spec)
		if err != nil {
			for _, s := range fresh {
				s.server.Shutdown(ctx)
			}
			return 0, nil, err
		}
		fresh = append(fresh, s)
		next = append(next, s)
	}
	for _, c := range changes {
		if c.spec.network == "unix" {
			if err := secure(c.spec); err != nil {
				for _, s := range fresh {
					s.server.Shutdown(ctx)
				}
				return 0, nil, err
			}
		}
	}
	for _, c := range changes {
		c.socket.spec.Store(&c.spec)
	}
	a.sockets = next
	return len(fresh), gone, nil
}
