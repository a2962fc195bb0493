package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func frame(code byte, payload string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))) + string(code) + payload
}

// offer is an MTA's negotiation.
func offer(version uint32, actions Actions, protocol Protocol) string {
	b := binary.BigEndian.AppendUint32(nil, version)
	b = binary.BigEndian.AppendUint32(b, uint32(actions))
	return frame('O', string(binary.BigEndian.AppendUint32(b, uint32(protocol))))
}

const (
	allActions  = 0x1ff
	allProtocol = 0x1fffff
)

// script is a connection whose peer says everything at once.
type script struct {
	net.Conn
	in     io.Reader
	out    bytes.Buffer
	writes int
}

func (c *script) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *script) Write(p []byte) (int, error)      { c.writes++; return c.out.Write(p) }
func (c *script) Close() error                     { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

// codes are the codes of what was written.
func (c *script) codes() string {
	var out []byte
	for b := c.out.Bytes(); len(b) >= 5; b = b[4+binary.BigEndian.Uint32(b):] {
		out = append(out, b[4])
	}
	return string(out)
}

// recorder writes down what it is told.
type recorder struct {
	b      strings.Builder
	body   bytes.Buffer
	macros []string // asked for at MAIL and at the end
	reply  map[string]Reply
	change func(s *Session) error
	err    error
}

func (r *recorder) say(event, format string, args ...any) Reply {
	fmt.Fprintf(&r.b, event+format+"\n", args...)
	return r.reply[event]
}

func (r *recorder) Connect(_ *Session, host string, client netip.Addr) Reply {
	return r.say("connect", " %s %s", host, client)
}
func (r *recorder) Helo(_ *Session, name string) Reply { return r.say("helo", " %s", name) }
func (r *recorder) Mail(s *Session, from string) Reply {
	for _, m := range r.macros {
		fmt.Fprintf(&r.b, "%s=%s\n", m, s.Macro(m))
	}
	return r.say("mail", " %s", from)
}
func (r *recorder) Rcpt(_ *Session, to string) Reply { return r.say("rcpt", " %s", to) }
func (r *recorder) Header(_ *Session, name, value []byte) {
	r.say("header", " %.40q %.40q", name, value)
}
func (r *recorder) Fault(_ *Session, f FieldFault) { r.say("fault", " %d", f) }
func (r *recorder) EndOfHeaders(*Session) Reply    { return r.say("eoh", "") }
func (r *recorder) Body(_ *Session, piece []byte) Reply {
	r.body.Write(piece)
	return r.reply["body"]
}
func (r *recorder) EndOfMessage(s *Session) Reply {
	if r.change != nil {
		r.err = r.change(s)
	}
	r.say("body", " %.40q", r.body.Bytes())
	r.body.Reset()
	return r.say("eom", "")
}
func (r *recorder) Abort(*Session) { r.body.Reset(); r.say("abort", "") }
func (r *recorder) Close(*Session) { r.say("close", "") }

// all asks for what the tests look at.
func all() Options {
	return Options{Actions: ActAddHeader | ActChangeHeader | ActQuarantine, Protocol: NoHeaderReply | NoBodyReply | LeadingSpace | Skip}
}

func run(r *recorder, o Options, in io.Reader) (*script, error) {
	c := &script{in: in}
	s := &Session{conn: c, handler: r, options: o}
	err := s.serve()
	return c, err
}

const message = "connect h 127.0.0.1\nhelo me\nmail a@b\nrcpt c@d\nheader \"To\" \" x\"\neoh\nbody \"one two\"\neom\n"

func aMessage() string {
	return frame('C', "h\x004\x00\x19127.0.0.1\x00") + frame('H', "me\x00") + frame('M', "<a@b>\x00SIZE=1\x00") + frame('R', "<c@d>\x00") +
		frame('T', "") + frame('L', "To\x00 x\x00") + frame('N', "") + frame('B', "one") + frame('B', " two") + frame('E', "")
}

func TestOneMessageInAnyPieces(t *testing.T) {
	in := offer(6, allActions, allProtocol) + aMessage() + frame('Q', "")
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "in octets": iotest.OneByteReader, "with data and error": iotest.DataErrReader,
	} {
		r := &recorder{}
		c, err := run(r, all(), wrap(strings.NewReader(in)))
		if err != nil || r.b.String() != message+"close\n" {
			t.Errorf("%s: %v\n%s", name, err, r.b.String())
		}
		if got := c.codes(); got != "Occccccc" { // negotiation, C H M R T N E; not L and B
			t.Errorf("%s: replies %q", name, got)
		}
		if name == "at once" && c.writes != 1 {
			t.Errorf("%d writes for what could be said at once", c.writes)
		}
	}
}

func TestVersionsAndWhatIsAgreed(t *testing.T) {
	for _, c := range []struct {
		name              string
		version           uint32
		actions, protocol uint32
		codes             string
		broken            bool
	}{
		{"6", 6, allActions, allProtocol, "Occccccc", false},
		{"newer", 9, allActions, 0xffffffff, "Occccccc", false},
		{"2, replies to everything", 2, 0x3f, 0x7f, "Occcccccccc", false},
		{"nothing offered", 6, 0, 0, "Occcccccccc", false},
		{"1", 1, allActions, allProtocol, "", true},
		{"0", 0, 0, 0, "", true},
	} {
		r := &recorder{}
		conn, err := run(r, all(), strings.NewReader(offer(c.version, Actions(c.actions), Protocol(c.protocol))+aMessage()))
		if (err != nil) != c.broken || conn.codes() != c.codes {
			t.Errorf("%s: replies %q, %v", c.name, conn.codes(), err)
		}
		if !c.broken && r.b.String() != message+"close\n" {
			t.Errorf("%s:\n%s", c.name, r.b.String())
		}
	}
}

func TestWhatWasNotGrantedIsRefused(t *testing.T) {
	r := &recorder{change: func(s *Session) error {
		return errors.Join(s.InsertHeader(0, "A", "b"), s.InsertField(2, []byte("B: c\r\n\td\r\n")), s.DeleteHeader(1, "A"), s.Quarantine("why"))
	}}
	c, err := run(r, all(), strings.NewReader(offer(6, 0, allProtocol)+aMessage()))
	if err != nil || !errors.Is(r.err, ErrNotGranted) || c.codes() != "Occccccc" {
		t.Errorf("%v, %v, %q", err, r.err, c.codes())
	}
	c, err = run(r, all(), strings.NewReader(offer(6, allActions, allProtocol)+aMessage()))
	if err != nil || r.err != nil || c.codes() != "Occcccc"+"iimq"+"c" {
		t.Errorf("%v, %v, %q", err, r.err, c.codes())
	}
	want := frame('i', "\x00\x00\x00\x00A\x00b\x00") + frame('i', "\x00\x00\x00\x02B\x00 c\n\td\x00") + frame('m', "\x00\x00\x00\x01A\x00\x00") + frame('q', "why\x00") + frame('c', "")
	if !strings.HasSuffix(c.out.String(), want) {
		t.Errorf("%q", c.out.String())
	}
}

func TestMacrosBelongToTheirMessage(t *testing.T) {
	mail := frame('M', "<>\x00")
	in := offer(6, allActions, allProtocol) + frame('D', "C{daemon_name}\x00smtpd\x00j\x00mx\x00") + frame('C', "h\x00U") +
		frame('D', "M{auth_authen}\x00ann\x00i\x00Q1\x00") + mail + frame('E', "") +
		mail + frame('A', "") + // nobody has logged in any more, and nothing is said about it
		frame('D', "M{auth_authen}\x00bob\x00") + mail + mail + // the first was waved through
		frame('D', "") // a mistake
	r := &recorder{macros: []string{"{daemon_name}", "{auth_authen}", "i"}, reply: map[string]Reply{"mail": Accept}}
	_, err := run(r, all(), strings.NewReader(in))
	if !errors.Is(err, errFrame) {
		t.Error(err)
	}
	want := "connect h invalid IP\n" +
		"{daemon_name}=smtpd\n{auth_authen}=ann\ni=Q1\nmail \nbody \"\"\neom\n" +
		"{daemon_name}=smtpd\n{auth_authen}=\ni=\nmail \nabort\n" +
		"{daemon_name}=smtpd\n{auth_authen}=bob\ni=\nmail \n{daemon_name}=smtpd\n{auth_authen}=\ni=\nmail \nclose\n"
	if r.b.String() != want {
		t.Errorf("got\n%s", r.b.String())
	}
}

func TestSkippedBodies(t *testing.T) {
	body := frame('M', "<>\x00") + frame('N', "") + frame('B', "a") + frame('B', "b") + frame('E', "c")
	for _, c := range []struct {
		name     string
		protocol uint32
		codes    string
	}{
		{"the MTA can skip", allProtocol &^ uint32(NoBodyReply), "Occssc"},
		{"it cannot", allProtocol &^ uint32(NoBodyReply|Skip), "Occccc"},
		{"it does not wait", allProtocol, "Occc"},
	} {
		r := &recorder{reply: map[string]Reply{"body": SkipBody}}
		conn, err := run(r, all(), strings.NewReader(offer(6, allActions, Protocol(c.protocol))+body))
		if err != nil || conn.codes() != c.codes || !strings.Contains(r.b.String(), "body \"a\"\n") {
			t.Errorf("%s: %q %v\n%s", c.name, conn.codes(), err, r.b.String())
		}
	}
	// An MTA without a body, or with its last piece in the end of the message.
	r := &recorder{}
	if _, err := run(r, all(), strings.NewReader(offer(6, allActions, allProtocol)+frame('M', "<>\x00")+frame('N', "")+frame('E', "")+frame('M', "<>\x00")+frame('E', "last"))); err != nil {
		t.Error(err)
	}
	if want := "mail \neoh\nbody \"\"\neom\nmail \nbody \"last\"\neom\nclose\n"; r.b.String() != want {
		t.Errorf("got\n%s", r.b.String())
	}
}

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		reply Reply
		want  string
	}{
		{Refuse(451, "4.7.5 later"), "451 4.7.5 later\x00"},
		{Refuse(550, "5.7.1 100% no\r\nRCPT\x00"), "550 5.7.1 100%% no  RCPT \x00"},
		{Refuse(250, "2.0.0 yes"), "451 2.0.0 yes\x00"},
	} {
		if got := string(c.reply.append(nil)); got != frame('y', c.want) {
			t.Errorf("%q", got)
		}
	}
}

func TestFramesAreFaultyFieldsOrEndTheConnection(t *testing.T) {
	long := strings.Repeat("x", MaxHeader)
	for _, c := range []struct {
		name, in, want string
		broken         bool
	}{
		{name: "field", in: frame('L', "To\x00 a\x00"), want: "header \"To\" \" a\"\n"},
		{name: "field at the limit", in: frame('L', "X\x00"+long[:MaxHeader-3]+"\x00"), want: "header \"X\" \"" + long[:40] + "\"\n"},
		{name: "field too large", in: frame('L', "To\x00 "+long+"\x00"), want: "fault 0\n"},
		{name: "field with a NUL", in: frame('L', "To\x00 a\x00b\x00"), want: "fault 1\n"},
		{name: "field without an end", in: frame('L', "To\x00 a"), want: "fault 1\n"},
		{name: "field of nothing", in: frame('L', ""), want: "fault 1\n"},
		{name: "large body", in: frame('B', long) + frame('E', ""), want: "body \"" + long[:40] + "\"\neom\n"},
		{name: "host of no family", in: frame('C', "host\x00U"), want: "connect host invalid IP\n"},
		{name: "IPv6 as Sendmail says it", in: frame('C', "h\x006\x00\x19IPv6:2001:db8::1\x00"), want: "connect h 2001:db8::1\n"},
		{name: "mapped IPv4", in: frame('C', "h\x006\x00\x19::ffff:192.0.2.1\x00"), want: "connect h 192.0.2.1\n"},
		{name: "address cut short", in: frame('C', "h\x004\x00"), want: "connect h invalid IP\n"},
		{name: "unknown command", in: frame('U', "VRFY"), want: ""},
		{name: "no length", in: "\x00\x00\x00\x00", broken: true},
		{name: "body too large", in: frame('B', strings.Repeat("y", maxBody+1)), broken: true},
		{name: "macros too large", in: frame('D', strings.Repeat("y", maxOther+1)), broken: true},
		{name: "half a gigabyte announced", in: "\x1f\xff\xff\xffD", broken: true},
		{name: "four gigabytes announced", in: "\xff\xff\xff\xffL", broken: true},
		{name: "host without an end", in: frame('C', "host"), broken: true},
		{name: "host without a family", in: frame('C', "host\x00"), broken: true},
		{name: "sender without an end", in: frame('M', "<a@b>"), broken: true},
		{name: "recipient without an end", in: frame('R', "<a@b>"), broken: true},
		{name: "fields after the header", in: frame('M', "a\x00") + frame('N', "") + frame('L', "To\x00 a\x00"), broken: true},
		{name: "two ends of the header", in: frame('M', "a\x00") + frame('N', "") + frame('N', ""), broken: true},
		{name: "negotiated twice", in: offer(6, 0, 0), broken: true},
		{name: "cut in the length", in: "\x00\x00", broken: true},
		{name: "cut in a field", in: frame('L', "To\x00 a\x00")[:8], broken: true},
		{name: "cut in a body", in: frame('B', "hello")[:7], broken: true},
	} {
		for _, slow := range []bool{false, true} {
			if slow && len(c.in) > 4096 {
				continue
			}
			var in io.Reader = strings.NewReader(offer(6, allActions, allProtocol) + c.in)
			if slow {
				in = iotest.OneByteReader(in)
			}
			r := &recorder{}
			_, err := run(r, all(), in)
			if (err != nil) != c.broken || !c.broken && r.b.String() != c.want+"close\n" {
				t.Errorf("%s (slow %v): %v\n%s", c.name, slow, err, r.b.String())
			}
		}
	}
}

func TestGreetingIsTheFirstThing(t *testing.T) {
	for _, in := range []string{"", "GET / HTTP/1.1\r\n\r\n", frame('M', "<a@b>\x00"), frame('O', "short"), "\x00\x00"} {
		r := &recorder{}
		c, err := run(r, all(), strings.NewReader(in))
		if (err == nil) != (in == "") || r.b.String() != "close\n" || c.out.Len() != 0 {
			t.Errorf("%q: %v, %q, %q", in, err, r.b.String(), c.out.String())
		}
	}
}

// The MTA may take any time before the content, but not in the middle of it.
func TestSilenceIsLimitedWithinContentOnly(t *testing.T) {
	begin := frame('M', "a\x00") + frame('L', "To\x00a\x00")
	for _, c := range []struct {
		name   string
		say    []string // with a pause before each
		pause  time.Duration
		broken bool
	}{
		{"between messages", []string{frame('H', "h\x00"), begin + frame('N', "") + frame('E', ""), frame('M', "a\x00"), frame('A', ""), frame('Q', "")}, 24 * time.Hour, false},
		{"a pause in a message", []string{begin, frame('N', ""), frame('B', "x"), frame('E', ""), frame('Q', "")}, contentTimeout - deadlineSlack - 1, false},
		{"silence in the header", []string{begin}, contentTimeout, true},
		{"silence in the body", []string{begin + frame('N', "") + frame('B', "x")}, contentTimeout, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			mta, filter := net.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- (&Session{conn: filter, handler: &recorder{}, options: all()}).serve() }()
			go func() { _, _ = io.Copy(io.Discard, mta) }()
			defer mta.Close()
			if _, err := mta.Write([]byte(offer(6, 0, 0))); err != nil {
				t.Fatal(err)
			}
			for _, text := range c.say {
				time.Sleep(c.pause)
				if _, err := mta.Write([]byte(text)); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
			}
			before := time.Now()
			err := <-ended
			if (err != nil) != c.broken {
				t.Errorf("%s: %v", c.name, err)
			}
			if took := time.Since(before); c.broken && (took > contentTimeout || took < contentTimeout-deadlineSlack) {
				t.Errorf("%s: ended after %s", c.name, took)
			}
		})
	}
}

// A field of 100 MB is read past without being kept.
func TestHugeFieldTakesNoMemory(t *testing.T) {
	const size = 100 << 20
	head := offer(6, allActions, allProtocol) + string(binary.BigEndian.AppendUint32(nil, size)) + "L"
	r := &recorder{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := run(r, all(), io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size-1)))
	runtime.ReadMemStats(&after)
	if err != nil || r.b.String() != "fault 0\nclose\n" {
		t.Errorf("%v\n%s", err, r.b.String())
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d octets were allocated", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// nothing takes events and keeps none.
type nothing struct{}

func (nothing) Connect(*Session, string, netip.Addr) Reply { return Continue }
func (nothing) Helo(*Session, string) Reply                { return Continue }
func (nothing) Mail(*Session, string) Reply                { return Continue }
func (nothing) Rcpt(*Session, string) Reply                { return Continue }
func (nothing) Header(*Session, []byte, []byte)            {}
func (nothing) Fault(*Session, FieldFault)                 {}
func (nothing) EndOfHeaders(*Session) Reply                { return Continue }
func (nothing) Body(*Session, []byte) Reply                { return Continue }
func (nothing) EndOfMessage(*Session) Reply                { return Accept }
func (nothing) Abort(*Session)                             {}
func (nothing) Close(*Session)                             {}

// Whatever a peer sends: no panic, an end, and not more memory than the limits say.
func FuzzSession(f *testing.F) {
	f.Add([]byte(aMessage()))
	f.Add([]byte(frame('D', "Mi\x00x\x00") + frame('M', "<a@b>\x00") + frame('K', "") + frame('A', "") + frame('Q', "")))
	f.Add([]byte(frame('L', "X\x00"+strings.Repeat("y", 70_000)+"\x00") + frame('B', strings.Repeat("z", 70_000)) + frame('E', "w")))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, o := range []Options{all(), {}} {
			c := &script{in: bytes.NewReader(append([]byte(offer(6, allActions, allProtocol)), in...))}
			s := &Session{conn: c, handler: nothing{}, options: o}
			_ = s.serve()
			if kept := cap(s.in.spill) + cap(s.out); kept > maxBody+maxOther {
				t.Errorf("%d octets are kept", kept)
			}
			if len(s.in.buf) != smallBuffer {
				t.Error("the large buffer is not given back")
			}
		}
	})
}

// A message through a session allocates next to nothing, whatever its size.
func TestAllocationsPerMessage(t *testing.T) {
	for _, size := range []int{2 << 10, 1 << 20} {
		var in strings.Builder
		in.WriteString(offer(6, allActions, allProtocol))
		const messages = 50
		for range messages {
			in.WriteString(frame('M', "<a@b>\x00") + frame('L', "To\x00 x\x00") + frame('N', ""))
			for left := size; left > 0; left -= 65535 {
				in.WriteString(frame('B', strings.Repeat("b", min(left, 65535))))
			}
			in.WriteString(frame('E', ""))
		}
		text := in.String()
		n := testing.AllocsPerRun(3, func() {
			if err := (&Session{conn: &script{in: strings.NewReader(text)}, handler: nothing{}, options: all()}).serve(); err != nil {
				t.Fatal(err)
			}
		})
		if per := n / messages; per > 4 {
			t.Errorf("%.1f allocations per message of %d octets", per, size)
		}
	}
}
