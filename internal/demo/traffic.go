package demo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// sendEvery is how often each sender sends: enough messages to cross every step of a rotation, and no load.
const sendEvery = 40 * time.Millisecond

// traffic sends mail through every mail server and the service until it is stopped.
type traffic struct {
	stop   chan struct{}
	wg     sync.WaitGroup
	sent   map[string]*atomic.Int64
	failed atomic.Int64
}

// startTraffic sends from the moment it is called.
func startTraffic(servers []*mailServer, s *service, receiver string) *traffic {
	t := &traffic{stop: make(chan struct{}), sent: map[string]*atomic.Int64{}}
	for _, m := range servers {
		t.sent[m.name] = new(atomic.Int64)
		t.wg.Go(func() { t.run(m.name, func(n int) error { return submit(m, n) }) })
	}
	t.sent["sendgrid"] = new(atomic.Int64)
	t.wg.Go(func() { t.run("sendgrid", func(n int) error { return s.send(domain, receiver, n) }) })
	return t
}

func (t *traffic) run(name string, send func(n int) error) {
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		if err := send(n); err != nil {
			t.failed.Add(1)
			continue
		}
		t.sent[name].Add(1)
	}
}

// end stops sending and waits for what is under way.
func (t *traffic) end() {
	close(t.stop)
	t.wg.Wait()
}

// recipient is somebody at one of the receivers, by turns.
func recipient(n int) string { return "someone@" + receivers()[n%len(receivers())] }

// submit sends one message through a mail server, as an application of the organisation does.
func submit(m *mailServer, n int) error {
	bodies := []string{"Your order has been shipped.\r\n", "Line one\r\n.a line with a dot\r\n\r\ntrailing space \r\n\r\n\r\n", ""}
	raw := fmt.Sprintf("From: Shop <shop@%s>\r\nTo: %s\r\nSubject: order %d\r\n of today\r\nDate: %s\r\nMessage-ID: <%d.%s@%s>\r\nX-Demo-Via: %s\r\n\r\n%s",
		domain, recipient(n), n, time.Now().Format(time.RFC1123Z), n, m.name, domain, m.name, bodies[n%len(bodies)])
	return deliver("", m.mta.addr(), "shop@"+domain, []string{recipient(n)}, []byte(raw))
}

// until asks again and again whether something has happened, at most for as long as ctx lasts.
func until(ctx context.Context, what string, ok func() (bool, error)) error {
	const every = 100 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		done, err := ok()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("waiting until %s: %w (%w)", what, err, ctx.Err())
			}
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
