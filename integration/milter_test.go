package integration

import (
	octets "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// huge is the header of the message that no MTA would hand over.
	huge = 100 << 20
	// mostMemory is what an agent may have needed at its peak, in MB: less than the huge header alone.
	mostMemory = 100
	// crowd is how many connections are opened and left.
	crowd = 1000
	// milterPatience bounds one exchange with the agent.
	milterPatience = 30 * time.Second
)

// wire is the MTA's end of a milter connection, octet by octet: what a proper client would not send can be sent.
type wire struct {
	net.Conn
	t *testing.T
}

func dialWire(t *testing.T, addr string) *wire {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, milterPatience)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(milterPatience))
	return &wire{c, t}
}

func frame(code byte, payload string) string {
	return string(octets.BigEndian.AppendUint32(nil, uint32(1+len(payload)))) + string(code) + payload
}

// greeting is how every session begins: negotiation (all that version 6 has is offered) and the client.
func greeting() []string {
	all := func(u uint32) string { return string(octets.BigEndian.AppendUint32(nil, u)) }
	return []string{frame('O', all(6)+all(0x1ff)+all(0x1fffff)), frame('C', "client.example\x004\x09\xdd127.0.0.1\x00")}
}

// session is the frames of one whole message.
func session(from string, more ...string) []string {
	frames := append(greeting(), frame('M', "<"+from+">\x00"), frame('L', "From\x00 "+from+"\x00"), frame('L', "Subject\x00 a\r\n folded one\x00"))
	frames = append(frames, more...)
	return append(frames, frame('D', "Ni\x00WIRE1\x00"), frame('N', ""), frame('B', "hello\r\n"), frame('E', ""))
}

// reply reads one answer.
func (w *wire) reply() (code byte, payload string, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(w, head); err != nil {
		return 0, "", err
	}
	n := octets.BigEndian.Uint32(head)
	if n == 0 || n > 1<<20 {
		return 0, "", fmt.Errorf("an answer of %d octets", n)
	}
	rest := make([]byte, n-1)
	_, err = io.ReadFull(w, rest)
	return head[4], string(rest), err
}

// answers sends frames and returns the answers up to the one that decides about the message.
func (w *wire) answers(frames ...string) (said []string) {
	w.t.Helper()
	sent := make(chan error, 1)
	go func() {
		for _, f := range frames {
			if _, err := io.WriteString(w, f); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for {
		code, payload, err := w.reply()
		if err != nil {
			w.t.Fatalf("no decision after the answers %q: %v (sending: %v)", said, err, <-sent)
		}
		said = append(said, string(code)+payload)
		switch code {
		case 'a', 'r', 't', 'y':
			if err := <-sent; err != nil && !errors.Is(err, net.ErrClosed) {
				w.t.Fatalf("the agent does not take all of it: %v", err)
			}
			return said
		}
	}
}

// hostilePeers: whoever reaches an agent's milter socket may send what he likes. The agent needs little memory for it, forgets it, counts what
// was a message, and signs the next one.
func hostilePeers(o *organisation) {
	t, addr := o.t, o.milters["mx1"]
	agent := o.agents["mx1"].cmd.Process.Pid
	next := func(what string) {
		t.Helper()
		body := fmt.Sprintf("after %s %d", what, time.Now().UnixNano())
		if err := post(o.servers[0], "shop@"+zone, body); err != nil {
			t.Fatalf("after %s Postfix does not take a message: %v", what, err)
		}
		if m := o.sink.arrived(t, body); !m.pass {
			t.Errorf("after %s: %s", what, m.detail)
		}
	}

	// An ordinary message first: it shows that this client is taken for an MTA.
	w := dialWire(t, addr)
	said := w.answers(session("shop@" + zone)...)
	if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "i") && strings.Contains(s, "DKIM-Signature") }) || said[len(said)-1] != "a" {
		t.Fatalf("an ordinary message over the wire is answered %q", said)
	}
	_ = w.Close()

	unsigned := func() map[string]uint64 { return o.agentStatus("mx1").Unsigned }
	before := unsigned()
	line := strings.Repeat("x", 900)
	var many []string
	for i := range huge / len(line) {
		many = append(many, frame('L', "X-"+strconv.Itoa(i)+"\x00 "+line+"\x00"))
	}
	for name, x := range map[string]struct {
		fields []string
		reason string
	}{
		"one field of 100 MB":     {[]string{frame('L', "X-Huge\x00 "+strings.Repeat(line, huge/len(line))+"\x00")}, "header_too_large"},
		"100 MB of fields":        {many, "header_too_large"},
		"2,000 small fields":      {slices.Repeat([]string{frame('L', "X-Small\x00 x\x00")}, 2000), "too_many_fields"},
		"a From of 100 MB":        {[]string{frame('L', "From\x00 "+strings.Repeat(line, huge/len(line))+"\x00")}, "header_too_large"},
		"a field with a NUL":      {[]string{frame('L', "X-Nul\x00 a\x00b\x00")}, "header_syntax"},
		"a second From":           {[]string{frame('L', "From\x00 shop@"+zone+"\x00")}, "from_multiple_fields"},
		"a line that is too long": {[]string{frame('L', "X-Long\x00 "+line+line+"\x00")}, "long_line"},
	} {
		count := unsigned()[x.reason]
		w := dialWire(t, addr)
		said := w.answers(session("shop@"+zone, x.fields...)...)
		_ = w.Close()
		if last := said[len(said)-1]; last != "a" || len(said) > 5 {
			t.Errorf("%s: answered %q, expected to be passed unsigned", name, said)
		}
		eventually(t, name+" is counted as "+x.reason, func() bool { return unsigned()[x.reason] == count+1 })
	}
	next("a header of 100 MB")

	frames := session("shop@" + zone)
	for i, f := range frames {
		for _, part := range []string{"", f[:1], f[:len(f)-1]} {
			w := dialWire(t, addr)
			_, _ = io.WriteString(w, strings.Join(frames[:i], "")+part)
			if i%2 == 1 { // half of them end as a crashed MTA does
				_ = w.Conn.(*net.TCPConn).SetLinger(0)
			}
			_ = w.Close()
		}
	}
	next("sessions that were cut off")

	random := rand.New(rand.NewPCG(1, 2))
	garbage := make([]byte, 64<<10)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	for _, bytes := range []string{string(garbage), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", strings.Repeat("\xff", 4096), strings.Repeat("\x00", 4096),
		frames[0] + string(garbage), frames[0] + "\x1f\xff\xff\xffL", frames[0] + frames[1] + frame('M', "<no end") + frame('E', ""), frames[0] + frame('Z', "?"),
		frames[0] + frame('E', "") + frame('N', "") + frame('B', "body before anything") + frame('E', ""), strings.Repeat(frames[0], 100)} {
		w := dialWire(t, addr)
		_, _ = io.WriteString(w, bytes)
		_ = w.Close()
	}
	next("garbage")

	var left []*wire
	defer func() {
		for _, w := range left {
			_ = w.Close()
		}
	}()
	for i := range crowd {
		w := dialWire(t, addr)
		left = append(left, w)
		if i%2 == 0 { // in the middle of a message
			if _, err := io.WriteString(w, strings.Join(frames[:5], "")); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
	}
	eventually(t, "half of the crowd is in the middle of a message", func() bool { return o.agentStatus("mx1").InFlight >= crowd/2 })
	next("a thousand connections that were left open")
	for _, w := range left {
		_ = w.Close()
	}
	eventually(t, "nothing of the crowd is in flight any more", func() bool { return o.agentStatus("mx1").InFlight < 10 })
	next("all of it")

	if peak := peakMemory(t, agent); peak > mostMemory {
		t.Errorf("the agent needed %d MB at its peak, more than %d", peak, mostMemory)
	} else {
		t.Logf("the agent needed %d MB at its peak", peak)
	}
	if !o.agents["mx1"].running() {
		t.Fatal("the agent has ended")
	}
	if log := o.agents["mx1"].out.String(); strings.Contains(log, "panic") {
		t.Error("the agent's log speaks of a panic")
	}
	after := unsigned()
	for _, reason := range []string{"no_key", "overload", "internal", "key_unavailable", "sign_failed", "mta_refused"} {
		if after[reason] != before[reason] {
			t.Errorf("%d messages were not signed because of %s", after[reason]-before[reason], reason)
		}
	}
	s, err := o.api().Server(t.Context(), "mx1")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the control plane knows the counts", func() bool {
		s, err = o.api().Server(t.Context(), "mx1")
		return err == nil && s.Unsigned["header_too_large"] == after["header_too_large"]
	})
}

// agentState is what is used of `postseal agent status --json`.
type agentState struct {
	Unsigned map[string]uint64
	InFlight int64 `json:"in_flight"`
}

func (o *organisation) agentStatus(name string) agentState {
	o.t.Helper()
	out, stderr, status := product(o.t, "agent", "status", "--json", "--config", o.agentConfigs[name])
	var s agentState
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		o.t.Fatalf("agent status of %s: exit status %d, %v, %s", name, status, err, stderr)
	}
	return s
}

// peakMemory is the most that a process has had in memory, in MB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kB >> 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
