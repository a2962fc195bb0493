package agent

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	milter "github.com/d--j/go-milter"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// signingRig is an agent that signs for example.org with one Ed25519 key.
func signingRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.canon = dkim.Simple // every octet counts
	r.assign("example.org", edKey("k", "mx1"))
	r.start()
	r.bring("example.org", "k", "mx1", 1)
	return r
}

func (r *rig) wantReason(reason Reason, n uint64) {
	r.t.Helper()
	if got := r.agent.counters.reasonTotals(); got[string(reason)] != n {
		r.t.Errorf("%s counted %d times, want %d; all: %v", reason, got[string(reason)], n, got)
	}
}

func TestManyMessagesOnOneConnectionInAnyChunks(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	bodies := []string{"", "\r\n", "hello\r\n", "no end", "a\r\n\r\n\r\n", " \t x \r\n.\r\n", strings.Repeat("0123456789\r\n", 30)}
	sent := 0
	for _, body := range bodies {
		for _, chunk := range []int{1, 2, 3, 11, 12, 13, 65535} {
			o := m.send(simpleMail("ann@example.org", body), chunk)
			sent++
			if got := strings.Join(r.verified(o.raw), " "); got != "mx1" {
				t.Fatalf("%q in chunks of %d: signatures of %q pass\n%s", body, chunk, got, o.raw)
			}
		}
	}
	if got := r.agent.counters.key("k").signed.Load(); got != uint64(sent) {
		t.Errorf("%d signatures counted for %d messages", got, sent)
	}
	if n := r.agent.slots.Load(); n != 0 {
		t.Errorf("%d messages still under way", n)
	}
}

// An MTA that offers less gets the same signatures: no leading space kept, replies to everything, version 2.
func TestPoorMTAs(t *testing.T) {
	for name, option := range map[string]milter.Option{
		"swallows the blank": milter.WithoutProtocol(milter.OptHeaderLeadingSpace),
		"wants replies":      milter.WithoutProtocol(milter.OptNoReplies | milter.OptSkip),
		"offers nothing":     milter.WithProtocols(0),
		"version 2":          milter.WithMaximumVersion(2),
	} {
		t.Run(name, func(t *testing.T) {
			r := signingRig(t, nil)
			options := []milter.Option{option}
			if name == "version 2" {
				options = append(options, milter.WithProtocols(milter.OptNoConnect|milter.OptNoHelo), milter.WithActions(milter.OptAddHeader|milter.OptChangeHeader))
			}
			m := dialMTA(t, r.agent, 0, mtaOptions{options: options})
			for range 2 {
				o := m.send(simpleMail("ann@example.org", "hello\r\n"), 3)
				if got := strings.Join(r.verified(o.raw), " "); got != "mx1" {
					t.Errorf("signatures of %q pass\n%s", got, o.raw)
				}
			}
		})
	}
	t.Run("lets nobody add fields", func(t *testing.T) {
		r := signingRig(t, nil)
		m := dialMTA(t, r.agent, 0, mtaOptions{options: []milter.Option{milter.WithActions(milter.OptQuarantine)}})
		if o := m.send(simpleMail("ann@example.org", "hello\r\n"), 0); strings.Contains(o.raw, "DKIM-Signature") || o.status != "" {
			t.Errorf("%q %s", o.status, o.raw)
		}
		r.wantReason(ReasonMTARefused, 1)
	})
}

func TestWhatTheMTASaysOfASessionDecides(t *testing.T) {
	r := signingRig(t, func(c *Config) {
		c.Outbound = Outbound{Listeners: []string{"ORIGINATING"}, Networks: []string{"192.0.2.0/24"}}
	})
	for _, c := range []struct {
		name     string
		listener int
		o        mtaOptions
		want     bool
	}{
		{"everything on an outbound listener", 0, mtaOptions{client: "203.0.113.9"}, true},
		{"local programs", 0, mtaOptions{client: "127.0.0.1"}, true},
		{"stranger", 1, mtaOptions{client: "203.0.113.9"}, false},
		{"reinjected over loopback", 1, mtaOptions{client: "127.0.0.1"}, false},
		{"reinjected over loopback, IPv6", 1, mtaOptions{client: "::1"}, false},
		{"reinjected over mapped loopback", 1, mtaOptions{client: "::ffff:127.0.0.1"}, false},
		{"other listener", 1, mtaOptions{client: "203.0.113.9", daemon: "mx1.example.org"}, false},
		{"authenticated", 1, mtaOptions{client: "203.0.113.9", auth: "ann"}, true},
		{"declared listener", 1, mtaOptions{client: "203.0.113.9", daemon: "ORIGINATING"}, true},
		{"network", 1, mtaOptions{client: "192.0.2.1"}, true},
		{"network, mapped", 1, mtaOptions{client: "::ffff:192.0.2.1"}, true},
	} {
		m := dialMTA(t, r.agent, c.listener, c.o)
		o := m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
		if got := strings.Contains(o.raw, "DKIM-Signature:"); got != c.want || o.seen != c.want {
			t.Errorf("%s: signed %v, content wanted %v", c.name, got, o.seen)
		}
	}
	if n := r.agent.counters.reasonTotals(); len(n) != 0 {
		t.Errorf("mail of others was counted: %v", n)
	}
}

func TestASessionThatChangesItsUserIsAskedAgain(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 1, mtaOptions{client: "203.0.113.9", auth: "ann"})
	if o := m.send(simpleMail("ann@example.org", "one\r\n"), 0); !strings.Contains(o.raw, "DKIM-Signature:") {
		t.Error("the first message is not signed")
	}
	m.macros.Set(milter.MacroAuthAuthen, "")
	if o := m.send(simpleMail("ann@example.org", "two\r\n"), 0); strings.Contains(o.raw, "DKIM-Signature:") {
		t.Error("the second message is signed, though nobody is authenticated")
	}
	// The MTA keeps the milter connection for another SMTP client.
	if err := m.session.Reset(m.macros); err != nil {
		t.Fatal(err)
	}
	if _, err := m.session.Conn("other", milter.FamilyInet, 25, "203.0.113.10"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.session.Helo("other"); err != nil {
		t.Fatal(err)
	}
	if o := m.send(simpleMail("ann@example.org", "three\r\n"), 0); strings.Contains(o.raw, "DKIM-Signature:") {
		t.Error("a stranger's message is signed after an authenticated one")
	}
}

func TestWhatIsNotSignedIsCountedAndPassesOrWaits(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*mail)
		reason   Reason
		deferred bool // under tempfail; what has no assignment passes always
	}{
		{"NUL", func(m *mail) { m.body = "a\x00b\r\n" }, ReasonNUL, true},
		{"bare CR", func(m *mail) { m.body = "a\rb\r\n" }, ReasonBareCR, true},
		{"bare LF", func(m *mail) { m.body = "a\nb\r\n" }, ReasonBareLF, true},
		{"CR at the end", func(m *mail) { m.body = "a\r" }, ReasonBareCR, true},
		{"long line", func(m *mail) { m.body = strings.Repeat("x", 999) + "\r\n" }, ReasonLongLine, true},
		{"bare CR in a field", func(m *mail) { m.header = append(m.header, "X: a\rb") }, ReasonBareCR, true},
		{"no name", func(m *mail) { m.header = append(m.header, ": a") }, ReasonHeaderSyntax, true},
		{"field over 256 kB", func(m *mail) {
			m.header = append(m.header, "X: "+strings.Repeat(strings.Repeat("x", 900)+"\r\n ", 300))
		}, ReasonHeaderTooLarge, true},
		{"header over 256 kB", func(m *mail) {
			for range 300 {
				m.header = append(m.header, "X: "+strings.Repeat("x", 900))
			}
		}, ReasonHeaderTooLarge, true},
		{"too many fields", func(m *mail) {
			for range maxHeaderFields {
				m.header = append(m.header, "X: y")
			}
		}, ReasonTooManyFields, true},
		{"no From, or it was malformed", func(m *mail) { m.header[0] = "From: ann@example.org\x00" }, ReasonHeaderSyntax, false},
		{"no From", func(m *mail) { m.header = m.header[1:] }, ReasonFromMissing, false},
		{"two From fields", func(m *mail) { m.header = append(m.header, "from: ann@example.org") }, ReasonFromMultipleFields, false},
		{"two authors", func(m *mail) { m.header[0] = "From: ann@example.org, bob@example.org" }, ReasonFromMultiple, false},
		{"group", func(m *mail) { m.header[0] = "From: us: ann@example.org;" }, ReasonFromGroup, false},
		{"odd From", func(m *mail) { m.header[0] = "From: ann at example.org" }, ReasonFromUnparsable, false},
		{"other domain", func(m *mail) { m.header[0] = "From: ann@example.net" }, ReasonNotAssigned, false},
		{"domain without key", func(m *mail) { m.header[0] = "From: ann@keyless.example" }, ReasonNoKey, true},
		{"huge From", func(m *mail) {
			m.header[0] = "From: " + strings.Repeat(strings.Repeat("x", 900)+"\r\n ", 100) + "ann@example.org"
		}, ReasonFromUnparsable, false},
	} {
		for _, tempfail := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tempfail %v", c.name, tempfail), func(t *testing.T) {
				r := signingRig(t, nil)
				r.assign("keyless.example")
				version := r.plane.want(func(in *agentapi.Instructions) {
					for i := range in.Assignments {
						if tempfail {
							in.Assignments[i].NoKey = agentapi.NoKeyTempfail
						}
					}
				})
				r.plane.awaitReport(t, "the new version", func(rep agentapi.Report) bool { return rep.Applied == version })
				m := dialMTA(t, r.agent, 0, mtaOptions{})
				msg := simpleMail("ann@example.org", "hello\r\n")
				c.change(&msg)
				o := m.send(msg, 7)
				if strings.Contains(o.raw, "DKIM-Signature:") {
					t.Errorf("it was signed")
				}
				if deferred := strings.HasPrefix(o.status, "451 4.7.5 "); deferred != (tempfail && c.deferred) || o.status != "" && !deferred {
					t.Errorf("status %q", o.status)
				}
				r.wantReason(c.reason, 1)
				if log := r.log.String(); !strings.Contains(log, "queue_id=4B3FQK1test") || !strings.Contains(log, "reason="+string(c.reason)+" ") {
					t.Errorf("the log does not say it:\n%s", log)
				}
				// The next message on the same connection is none the worse.
				if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
					t.Errorf("the next message is signed by %q", got)
				}
				if r.agent.slots.Load() != 0 {
					t.Error("a message is still under way")
				}
			})
		}
	}
}

func TestLongLinesAndEightBit(t *testing.T) {
	r := signingRig(t, func(c *Config) { c.LongLines = "sign" })
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	msg := simpleMail("ann@example.org", strings.Repeat("ü", 2000)+"\r\n")
	msg.header = append(msg.header, "References: "+strings.Repeat("x", 2000))
	if got := r.verified(m.send(msg, 1000).raw); len(got) != 1 {
		t.Errorf("signed by %q", got)
	}
	if n := r.agent.Status().EightBit; n != 1 {
		t.Errorf("%d messages with 8-bit content noted", n)
	}
}

func TestAllowListOfDomains(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Domains = []string{"example.net"} })
	r.assign("example.org", edKey("k", "mx1"))
	r.assign("example.net", edKey("n", "mx1"))
	r.start()
	r.bring("example.org", "k", "mx1", 1)
	r.bring("example.net", "n", "mx1", 1)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	if o := m.send(simpleMail("ann@example.org", "hello\r\n"), 0); strings.Contains(o.raw, "DKIM-Signature:") {
		t.Error("signed for a domain that is not on the local list")
	}
	r.wantReason(ReasonNotAllowed, 1)
	if got := r.verified(m.send(simpleMail("ann@example.net", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("signed by %q", got)
	}
}

func TestBulkOversignsUnsubscribe(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	msg := simpleMail("ann@example.org", "hello\r\n")
	msg.header = append(msg.header, "List-Unsubscribe: <https://example.org/u>")
	forged := func(raw string) bool {
		results, err := dkim.VerifyMessage(t.Context(), strings.NewReader("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"+raw), dkim.VerifyOptions{Resolver: r.dns})
		return err == nil && len(results) == 1 && results[0].Result == dkim.Pass
	}
	if raw := m.send(msg, 0).raw; !forged(raw) {
		t.Error("not bulk: adding a field was expected to go unnoticed, so the rest shows nothing")
	}
	version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments[0].Bulk = true })
	r.plane.awaitReport(t, "bulk", func(rep agentapi.Report) bool { return rep.Applied == version })
	raw := m.send(msg, 0).raw
	if len(r.verified(raw)) != 1 || forged(raw) {
		t.Errorf("bulk mail lets List-Unsubscribe-Post be added:\n%s", raw)
	}
}

func frame(code byte, payload string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(1+len(payload))), append([]byte{code}, payload...)...)
}

// A peer that tramples through the protocol harms nobody else.
func TestBrokenSessions(t *testing.T) {
	r := signingRig(t, nil)
	other := dialMTA(t, r.agent, 0, mtaOptions{})
	good := func() {
		t.Helper()
		if got := r.verified(other.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
			t.Fatalf("the other session is signed by %q", got)
		}
	}
	negotiation := frame('O', string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 6), 0x1ff), 0x1fffff)))
	begin := string(negotiation) + string(frame('M', "<a@b>\x00")) + string(frame('L', "From\x00 ann@example.org\x00"))
	for name, in := range map[string]string{
		"nothing":             "",
		"noise":               "GET / HTTP/1.1\r\n\r\n",
		"end after MAIL":      string(negotiation) + string(frame('M', "<a@b>\x00")),
		"end in a field":      begin + "\x00\x00\x00\x20L",
		"end in the body":     begin + string(frame('N', "")) + string(frame('B', "half")),
		"end in a body frame": begin + string(frame('N', "")) + string(frame('B', "half"))[:6],
		"short frames":        string(negotiation) + string(frame('C', "host")) + string(frame('M', "x")),
		"body first":          string(negotiation) + string(frame('B', "x")) + string(frame('E', "")),
		"end of message only": string(negotiation) + string(frame('E', "")),
		"end of headers only": string(negotiation) + string(frame('M', "<a@b>\x00")) + string(frame('N', "")) + string(frame('E', "")),
		"fields after body":   begin + string(frame('N', "")) + string(frame('B', "x")) + string(frame('L', "To\x00 x\x00")) + string(frame('N', "")) + string(frame('E', "")),
		"two ends":            begin + string(frame('N', "")) + string(frame('E', "")) + string(frame('E', "")),
		"negotiated twice":    string(negotiation) + string(negotiation),
		"unknown":             string(negotiation) + string(frame('z', "x")),
		"strange macros":      string(negotiation) + string(frame('D', "Mi\x00")) + string(frame('D', "M")) + string(frame('M', "<a@b>\x00")),
	} {
		conn, err := net.Dial("tcp", r.agent.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, in); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
		good()
	}
	await(t, "all messages are let go of", func() bool { return r.agent.slots.Load() == 0 && r.agent.open.Load() == 1 })
	if log := r.log.String(); strings.Contains(log, "panic") {
		t.Errorf("panic:\n%s", log)
	}
	if used := r.agent.tables.current.Load().inFlight.Load(); used != 0 {
		t.Errorf("%d messages hold the table", used)
	}
}

func TestAbortForgetsTheMessage(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	m.abandon("<a@example.org>", 2, "From: eve@example.org", "Subject: aborted")
	o := m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	if got := r.verified(o.raw); len(got) != 1 {
		t.Errorf("signed by %q\n%s", got, o.raw)
	}
	if n := r.agent.counters.key("k").signed.Load(); n != 1 {
		t.Errorf("%d signatures counted", n)
	}
}

// 100 MB of header in one field, and in many, is refused within little memory; the connection goes on.
func TestHugeHeaders(t *testing.T) {
	r := signingRig(t, nil)
	conn, err := net.Dial("tcp", r.agent.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	write := func(b []byte) {
		t.Helper()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	read := func() byte {
		t.Helper()
		head := make([]byte, 4)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		return payload[0]
	}
	write(frame('O', string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 6), 0x1ff), 0x1fffff))))
	if c := read(); c != 'O' {
		t.Fatalf("reply %q", c)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, many := range []bool{false, true} {
		write(frame('M', "<a@example.org>\x00")) // the MTA need not wait for an answer to this
		write(frame('L', "From\x00 ann@example.org\x00"))
		const total = 100 << 20
		if many {
			field := frame('L', "X\x00"+strings.Repeat("x\n ", 20_000)+"\x00")
			for range total / len(field) {
				write(field)
			}
		} else {
			write(append(binary.BigEndian.AppendUint32(nil, total), "LX\x00"...))
			chunk := []byte(strings.Repeat("x\n ", 20_000))
			left := total - 4 // code, name with its end, and the final end are not of the value
			for left > 0 {
				n := min(left, len(chunk))
				write(chunk[:n])
				left -= n
			}
			write([]byte{0})
		}
		runtime.GC()
		runtime.ReadMemStats(&during)
		if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
			t.Errorf("many %v: %d octets are held", many, grown)
		}
		write(append(frame('N', ""), frame('E', "")...))
		if c := read(); c != 'a' {
			t.Errorf("reply %q to end of message", c)
		}
	}
	r.wantReason(ReasonHeaderTooLarge, 2)
}

func TestTooManyMessagesAtOncePassUnsigned(t *testing.T) {
	r := signingRig(t, func(c *Config) { c.MaxMessages = 2 })
	var held []*mta
	for range 2 {
		m := dialMTA(t, r.agent, 0, mtaOptions{})
		if _, err := m.session.Mail("<a@example.org>", ""); err != nil {
			t.Fatal(err)
		}
		held = append(held, m)
	}
	await(t, "two messages under way", func() bool { return r.agent.slots.Load() == 2 })
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	if o := m.send(simpleMail("ann@example.org", "hello\r\n"), 0); strings.Contains(o.raw, "DKIM-Signature:") || o.status != "" {
		t.Errorf("%q %s", o.status, o.raw)
	}
	r.wantReason(ReasonOverload, 1)
	if err := held[0].session.Abort(nil); err != nil {
		t.Fatal(err)
	}
	await(t, "a free place", func() bool { return r.agent.slots.Load() == 1 })
	if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("signed by %q", got)
	}
}

// A mistake of ours in a session is logged with its place; the message passes and so does all other mail.
func TestPanicsDoNoHarm(t *testing.T) {
	r := signingRig(t, nil)
	// A table with a hole: choosing from it panics, and asking which keys are in it does not, as the agent does meanwhile.
	broken := &Table{assigned: map[string]*assigned{"example.org": {}}}
	good := r.agent.tables.current.Load()
	r.agent.tables.swap(broken)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	if o := m.send(simpleMail("ann@example.org", "hello\r\n"), 0); o.raw == "" || strings.Contains(o.raw, "DKIM-Signature:") {
		t.Errorf("%q %s", o.status, o.raw)
	}
	r.wantReason(ReasonInternal, 1)
	if log := r.log.String(); !strings.Contains(log, "panic in a milter session") || !strings.Contains(log, "outgoing.go") {
		t.Errorf("the log does not say where:\n%s", log)
	}
	if n := broken.inFlight.Load(); n != 0 {
		t.Errorf("%d messages hold the broken table", n)
	}
	next := Table{version: good.version, assigned: good.assigned}
	r.agent.tables.swap(&next)
	if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("signed by %q", got)
	}
}

// Whatever an MTA sends, the agent neither falls over nor keeps anything of it.
func FuzzSession(f *testing.F) {
	negotiation := string(frame('O', string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 6), 0x1ff), 0x1fffff))))
	f.Add([]byte(string(frame('C', "h\x004\x00\x19127.0.0.1\x00")) + string(frame('M', "<a@b>\x00")) + string(frame('L', "From\x00 a@example.org\x00")) + string(frame('N', "")) + string(frame('B', "x\r\n")) + string(frame('E', ""))))
	f.Add([]byte(string(frame('D', "Mi\x00x\x00")) + string(frame('M', "<a@b>\x00")) + string(frame('K', "")) + string(frame('A', "")) + string(frame('Q', ""))))
	r := signingRig(f, nil)
	f.Fuzz(func(t *testing.T, in []byte) {
		conn, err := net.Dial("tcp", r.agent.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, negotiation+string(in))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		await(t, "the session ends", func() bool { return r.agent.open.Load() == 0 && r.agent.slots.Load() == 0 })
		if strings.Contains(r.log.String(), "panic") {
			t.Fatalf("panic:\n%s", r.log)
		}
	})
}
