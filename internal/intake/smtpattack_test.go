package intake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	netsmtp "net/smtp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is a client that keeps to no rule.
type wire struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dialWire(t testing.TB, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * patience)) // some send a hundred megabytes
	return &wire{t, conn, bufio.NewReader(conn)}
}

func (w *wire) write(text string) { _, _ = io.WriteString(w.conn, text) }

// reply is the last line of the next reply; "" when there is none any more.
func (w *wire) reply() string {
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			return ""
		}
		if len(line) > 3 && line[3] == ' ' {
			return strings.TrimSpace(line)
		}
	}
}

func (w *wire) expect(codes ...string) {
	w.t.Helper()
	for _, code := range codes {
		if got := w.reply(); !strings.HasPrefix(got, code) {
			w.t.Fatalf("%q, want %s", got, code)
		}
	}
}

// ended reports whether the server hung up.
func (w *wire) ended() bool {
	for {
		if _, err := w.r.ReadByte(); err != nil {
			var timeout net.Error
			return !(errors.As(err, &timeout) && timeout.Timeout())
		}
	}
}

const start = "EHLO x.example\r\n"
const envelopeText = "MAIL FROM:<a@reporter.example>\r\nRCPT TO:<reports@example.org>\r\n"

// endless is a reader that never ends.
type endless struct{ line []byte }

func (e endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		n += copy(b[n:], e.line)
	}
	return n, nil
}

func TestSMTPAttacks(t *testing.T) {
	r := newRig(t)
	r.needs.Log = nil
	in, _ := r.start(smtpConfig())
	addr := in.Addr()

	t.Run("announced too large", func(t *testing.T) {
		w := dialWire(t, addr)
		w.expect("220")
		w.write(start + fmt.Sprintf("MAIL FROM:<a@reporter.example> SIZE=%d\r\n", maxInput+1))
		w.expect("250", "552")
	})
	t.Run("one gigabyte", func(t *testing.T) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := dialWire(t, addr)
		w.expect("220")
		w.write(start + envelopeText + "DATA\r\n")
		w.expect("250", "250", "250", "354")
		sent, _ := io.Copy(w.conn, io.LimitReader(endless{[]byte(strings.Repeat("x", 76) + "\r\n")}, 1<<30))
		if sent >= 1<<30 || !w.ended() {
			t.Errorf("%d octets were taken", sent)
		}
		runtime.ReadMemStats(&after)
		t.Logf("%d MiB were read, %d MiB allocated", sent>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
		if after.TotalAlloc-before.TotalAlloc > 5*maxInput/2 {
			t.Errorf("%d octets were allocated", after.TotalAlloc-before.TotalAlloc)
		}
	})
	t.Run("somewhat too large", func(t *testing.T) { // the client did not ask; it is told
		w := dialWire(t, addr)
		w.expect("220")
		w.write(start + envelopeText + "DATA\r\n")
		w.expect("250", "250", "250", "354")
		if _, err := io.Copy(w.conn, io.LimitReader(endless{[]byte(strings.Repeat("x", 78) + "\r\n")}, maxInput+80)); err != nil {
			t.Fatal(err)
		}
		w.write("\r\n.\r\nQUIT\r\n")
		w.expect("552", "221")
	})
	t.Run("a line without end", func(t *testing.T) {
		for _, before := range []string{"", start + envelopeText + "DATA\r\n", start + envelopeText + "BDAT 4000000000 LAST\r\n"} {
			w := dialWire(t, addr)
			w.write(before)
			sent, _ := io.Copy(w.conn, io.LimitReader(endless{[]byte("x")}, 1<<30))
			if sent >= 1<<30 || !w.ended() {
				t.Errorf("after %q: %d octets were taken", before, sent)
			}
		}
	})
	t.Run("commands without end", func(t *testing.T) {
		w := dialWire(t, addr)
		go func() { _, _ = io.Copy(io.Discard, w.r) }()
		sent, _ := io.Copy(w.conn, io.LimitReader(endless{[]byte("NOOP\r\n")}, 1<<30))
		if sent >= 1<<30 {
			t.Errorf("%d octets were taken", sent)
		}
	})
	t.Run("pipelining before the greeting", func(t *testing.T) {
		w := dialWire(t, addr)
		w.write(start + envelopeText + "DATA\r\n")
		w.expect("220", "250", "250", "250", "354")
		w.write("From: a@reporter.example\r\n\r\n.\r\n" + envelopeText + "DATA\r\n")
		w.expect("250", "250", "250", "354")
		w.write("From: b@reporter.example\r\n\r\n.\r\nQUIT\r\n")
		w.expect("250", "221")
	})
	t.Run("guessing addresses", func(t *testing.T) {
		w := dialWire(t, addr)
		w.expect("220")
		w.write(start + "MAIL FROM:<a@reporter.example>\r\n")
		w.expect("250", "250")
		for i := range maxRefused {
			w.write(fmt.Sprintf("RCPT TO:<user%d@example.org>\r\n", i))
			w.expect("550")
		}
		w.write("RCPT TO:<again@example.org>\r\n")
		w.expect("421")
		if !w.ended() {
			t.Error("it goes on")
		}
	})
	t.Run("too many recipients", func(t *testing.T) {
		w := dialWire(t, addr)
		w.expect("220")
		w.write(start + "MAIL FROM:<a@reporter.example>\r\n")
		w.expect("250", "250")
		for range maxRecipients {
			w.write("RCPT TO:<reports@example.org>\r\n")
			w.expect("250")
		}
		w.write("RCPT TO:<reports@example.org>\r\n")
		w.expect("452")
	})
	t.Run("out of order", func(t *testing.T) {
		for _, text := range []string{"DATA\r\n", "RCPT TO:<reports@example.org>\r\n", "MAIL FROM:<a@b.example>\r\n", "AUTH PLAIN AAAA\r\n", "STARTTLS\r\n", "\x00\xff\r\n", "EHLO\r\n", "BDAT 5\r\nhello"} {
			w := dialWire(t, addr)
			w.expect("220")
			w.write(text)
			if got := w.reply(); !strings.HasPrefix(got, "5") {
				t.Errorf("%q: %q", text, got)
			}
		}
	})
	t.Run("broken off", func(t *testing.T) {
		before := len(r.shelf.kept())
		for _, text := range []string{"DATA\r\nFrom: a@reporter.example\r\n\r\nhalf", "BDAT 100\r\nhalf", "BDAT 4\r\nhalf"} {
			w := dialWire(t, addr)
			w.write(start + envelopeText + text)
			w.expect("220", "250", "250", "250")
			_ = w.conn.Close()
		}
		w := dialWire(t, addr)
		w.write(start + envelopeText + "BDAT 4\r\nhalfRSET\r\nNOOP\r\n")
		w.expect("220", "250", "250", "250", "250", "250", "250")
		if n := len(r.shelf.kept()) - before; n != 0 {
			t.Errorf("%d halves were stored", n)
		}
	})
	t.Run("in chunks", func(t *testing.T) {
		before := len(r.shelf.kept())
		w := dialWire(t, addr)
		w.write(start + envelopeText + "BDAT 26\r\nFrom: c@reporter.example\r\nBDAT 8 LAST\r\n\r\nchunksQUIT\r\n")
		w.expect("220", "250", "250", "250", "250", "250", "221")
		if got := r.shelf.kept()[before:]; len(got) != 1 || !strings.HasSuffix(string(got[0].Octets), "\r\n\r\nchunks") {
			t.Errorf("%d arrivals", len(got))
		}
	})
	// After all of that it works as before.
	if err := send(dialSMTP(t, addr), "a@reporter.example", letter("x", "x.xml", aReport(t, "7", 1)), "reports@example.org"); err != nil {
		t.Error(err)
	}
}

func TestSMTPLimitsConnections(t *testing.T) {
	r := newRig(t)
	cfg := smtpConfig()
	cfg.SMTP.Connections, cfg.SMTP.PerPeer = 5, 3
	in, _ := r.start(cfg)
	var open []*wire
	for range 3 {
		w := dialWire(t, in.Addr())
		w.expect("220")
		open = append(open, w)
	}
	w := dialWire(t, in.Addr())
	if got := w.reply(); !strings.HasPrefix(got, "421") || !strings.Contains(got, "from 127.0.0.1/32") || !w.ended() {
		t.Errorf("%q", got)
	}
	// From elsewhere there is room for two more.
	from := func(ip string) *wire {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		conn, err := d.Dial("tcp", in.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(patience))
		return &wire{t, conn, bufio.NewReader(conn)}
	}
	from("127.0.0.2").expect("220")
	from("127.0.0.3").expect("220")
	if got := from("127.0.0.4").reply(); !strings.HasPrefix(got, "421") || !strings.Contains(got, "too many connections;") {
		t.Errorf("%q", got)
	}
	_ = open[0].conn.Close()
	await(t, "a place is free again", func() bool {
		got := dialWire(t, in.Addr()).reply()
		return strings.HasPrefix(got, "220")
	})
	if n := in.Status()[0].Counts; n.Busy < 2 || n.Connections < 6 {
		t.Errorf("%+v", n)
	}
}

// A hundred clients at once, each with some mails, within the memory that there is.
func TestSMTPManyClients(t *testing.T) {
	r := newRig(t)
	cfg := smtpConfig()
	cfg.SMTP.PerPeer = 100
	in, _ := r.start(cfg)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			c, err := netsmtp.Dial(in.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for j := range 3 {
				id := fmt.Sprintf("%d-%d", i, j)
				if err := send(c, "a@reporter.example", r.signed(letter("x", id, aReport(t, id, 1))), "reports@example.org"); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	if got := r.shelf.kept(); len(got) != 300 {
		t.Errorf("%d arrived", len(got))
	}
}

// Too much at once is put off, not taken into memory.
func TestSMTPPutsOffWhenThereIsNoRoom(t *testing.T) {
	r := newRig(t)
	in, _ := r.start(smtpConfig())
	done, err := in.room.wait(t.Context(), maxInput)
	if err != nil {
		t.Fatal(err)
	}
	for range maxInFlight/maxInput - 1 {
		if _, err := in.room.wait(t.Context(), maxInput); err != nil {
			t.Fatal(err)
		}
	}
	c := dialSMTP(t, in.Addr())
	mail := letter("x", "x.xml", aReport(t, "8", 1))
	if err := send(c, "a@reporter.example", mail, "reports@example.org"); codeOf(err) != 452 {
		t.Errorf("%v", err)
	}
	done()
	if err := send(c, "a@reporter.example", mail, "reports@example.org"); err != nil {
		t.Error(err)
	}
}

// Time is up for whoever is slow: the deadlines are on the wire, where no test waits minutes for them.
func TestSMTPDeadlines(t *testing.T) {
	r := newRig(t)
	cfg := smtpConfig()
	cfg.SMTP.Connections = 4
	in, err := New(cfg, r.needs)
	if err != nil {
		t.Fatal(err)
	}
	s := in.ways[0].(*smtpServer)
	defer s.listener.Close()
	fake := &deadlineConn{}
	c := &smtpConn{Conn: fake, s: s, began: time.Now(), left: maxCommands}
	near := func(what string, want time.Duration) {
		t.Helper()
		_, _ = c.Read(make([]byte, 1))
		if got := time.Until(fake.until); got > want || got < want-time.Minute {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	near("a command", idleTime)
	c.began = time.Now().Add(-sessionTime + time.Minute)
	near("at the end of a session", time.Minute)
	c.begin()
	near("a mail", idleTime)
	c.until = time.Now().Add(time.Second)
	near("the end of a mail", time.Second)
	c.end()
	c.began = time.Now()
	for range 4 {
		s.conns[&smtpConn{}] = true
	}
	near("a busy server", busyIdleTime)
	clear(s.conns)
	c.left = 0
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errTooMuch) {
		t.Error(err)
	}
	for range maxMails {
		if !c.another() {
			t.Fatal("too few mails")
		}
	}
	if c.another() {
		t.Error("too many mails")
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

type deadlineConn struct {
	net.Conn
	until time.Time
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error { c.until = t; return nil }
func (c *deadlineConn) Read(b []byte) (int, error)        { return len(b), nil }

// transferring counts the connections on which a mail is coming in.
func (s *smtpServer) transferring() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		if !c.until.IsZero() {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// A mail that is coming in when the process ends is finished; who only waits is told goodbye.
func TestSMTPStopsInGoodOrder(t *testing.T) {
	r := newRig(t)
	in, stop := r.start(smtpConfig())
	idle := dialWire(t, in.Addr())
	idle.expect("220")
	idle.write(start)
	idle.expect("250")
	busy := dialWire(t, in.Addr())
	busy.write(start + envelopeText + "DATA\r\n")
	busy.expect("220", "250", "250", "250", "354")
	await(t, "the mail is coming in", func() bool { return in.ways[0].(*smtpServer).transferring() == 1 })
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	idle.expect("421")
	if !idle.ended() {
		t.Error("the idle one is still there")
	}
	busy.write("From: a@reporter.example\r\n\r\nlate\r\n.\r\n")
	busy.expect("250")
	if !busy.ended() {
		t.Error("the other one is still there")
	}
	<-stopped
	if got := r.shelf.kept(); len(got) != 1 || !bytes.HasSuffix(got[0].Octets, []byte("late\r\n")) {
		t.Errorf("%d arrivals", len(got))
	}
	if _, err := net.Dial("tcp", in.Addr()); err == nil {
		t.Error("it still listens")
	}
	if in.Status()[0].Up {
		t.Error("it says that it is up")
	}
}

// A sender over its quota is put off; others are not.
func TestSMTPQuota(t *testing.T) {
	r := newRig(t)
	full := map[string]bool{}
	var asked []string
	var mu sync.Mutex
	r.needs.Quota = quotaFunc(func(sender string, _ int, _ time.Time) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, sender)
		if full[sender] {
			return 90 * time.Second
		}
		return 0
	})
	in, _ := r.start(smtpConfig())
	c := dialSMTP(t, in.Addr())
	good := r.signed(letter("x", "x.xml", aReport(t, "9", 1)))
	bad := letter("x", "y.xml", aReport(t, "10", 1)) // names the same author
	full["peer 127.0.0.1/32"] = true
	if err := send(c, "a@x.example", bad, "reports@example.org"); codeOf(err) != 451 || !strings.Contains(err.Error(), "1m30s") {
		t.Errorf("%v", err)
	}
	if err := send(c, "a@x.example", good, "reports@example.org"); err != nil {
		t.Errorf("%v", err)
	}
	if fmt.Sprint(asked) != "[peer 127.0.0.1/32 domain reporter.example]" {
		t.Error(asked)
	}
	if n := in.Status()[0].Counts; n.OverRate != 1 || n.Deferred != 1 || n.Stored != 1 {
		t.Errorf("%+v", n)
	}
}

type quotaFunc func(string, int, time.Time) time.Duration

func (f quotaFunc) Take(sender string, octets int, now time.Time) time.Duration {
	return f(sender, octets, now)
}

// When storing takes longer than there is time, the client is not told that its mail is stored.
func TestSMTPDoesNotWaitForEver(t *testing.T) {
	r := newRig(t)
	entered := make(chan struct{})
	r.needs.Log = nil
	r.needs.Sink = sinkFunc(func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	in, err := New(smtpConfig(), r.needs)
	if err != nil {
		t.Fatal(err)
	}
	in.ways[0].(*smtpServer).times.stop = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	w := dialWire(t, in.Addr())
	w.write(start + envelopeText + "DATA\r\nFrom: a@reporter.example\r\n\r\nx\r\n.\r\n")
	w.expect("220", "250", "250", "250", "354")
	<-entered
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := w.reply(); strings.HasPrefix(got, "250") {
		t.Errorf("%q", got)
	}
}

// Run ends at once when it has hardly begun.
func TestSMTPStopsAtOnce(t *testing.T) {
	r := newRig(t)
	for range 100 {
		_, stop := r.start(smtpConfig())
		stop()
	}
}

// Slow clients: one that says nothing, one that stops in the middle of its mail, one that sends an octet now and then, one that does not end its session. Each is ended, and nothing of them is stored.
func TestSMTPSlowClients(t *testing.T) {
	r := newRig(t)
	in, err := New(smtpConfig(), r.needs)
	if err != nil {
		t.Fatal(err)
	}
	in.ways[0].(*smtpServer).times = smtpTimes{idle: 200 * time.Millisecond, busyIdle: 200 * time.Millisecond, transfer: 600 * time.Millisecond, session: time.Second, stop: time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	defer func() { cancel(); <-done }()
	trickle := func(w *wire, text string) { // until the server hangs up
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(w.conn, text); err != nil {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for name, attack := range map[string]func(*wire){
		"silent":             func(*wire) {},
		"half a command":     func(w *wire) { w.write("EHLO x") },
		"silent in a mail":   func(w *wire) { w.write(start + envelopeText + "DATA\r\nFrom: a@reporter.example\r\n") },
		"silent in a chunk":  func(w *wire) { w.write(start + envelopeText + "BDAT 100\r\nFrom: a@reporter.example\r\n") },
		"a trickling mail":   func(w *wire) { w.write(start + envelopeText + "DATA\r\n"); wg.Go(func() { trickle(w, "x\r\n") }) },
		"a session for ever": func(w *wire) { w.write(start); wg.Go(func() { trickle(w, "NOOP\r\n") }) },
	} {
		t.Run(name, func(t *testing.T) {
			w := dialWire(t, in.Addr())
			w.expect("220")
			attack(w)
			if !w.ended() {
				t.Error("it is still connected")
			}
		})
	}
	wg.Wait()
	if n := len(r.shelf.kept()); n != 0 {
		t.Errorf("%d were stored", n)
	}
}
