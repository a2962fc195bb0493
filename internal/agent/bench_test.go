package agent

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
)

// rawMTA is an MTA that has its octets ready and allocates nothing per message, so that what is measured is the agent.
type rawMTA struct {
	t    testing.TB
	conn net.Conn
	in   []byte
}

func dialRaw(t testing.TB, a *Agent, listener int) *rawMTA {
	t.Helper()
	addr := a.Addrs()[listener]
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m := &rawMTA{t: t, conn: conn, in: make([]byte, 16<<10)}
	offer := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 6), 0x1ff), 0x1fffff)
	m.exchange(frame('O', string(offer)), 'O')
	return m
}

// prepare returns a message as a milter connection carries it.
func prepare(msg mail) []byte {
	out := frame('C', "client.example\x004\x09\xdd192.0.2.7\x00")
	out = append(out, frame('D', "Mi\x004B3FQK1bench\x00")...)
	out = append(out, frame('M', "<ann@example.org>\x00")...)
	for _, f := range msg.header {
		name, value, _ := strings.Cut(f, ":")
		out = append(out, frame('L', name+"\x00"+strings.ReplaceAll(value, "\r\n", "\n")+"\x00")...)
	}
	out = append(out, frame('N', "")...)
	for body := msg.body; body != ""; body = body[min(65535, len(body)):] {
		out = append(out, frame('B', body[:min(65535, len(body))])...)
	}
	return append(out, frame('E', "")...)
}

// exchange sends octets and reads replies until one has the code last. It returns how many changes of the header came before.
func (m *rawMTA) exchange(out []byte, last byte) (changes int) {
	if _, err := m.conn.Write(out); err != nil {
		m.t.Error(err)
		return
	}
	have := 0
	for {
		n, err := m.conn.Read(m.in[have:])
		if err != nil {
			m.t.Error(err)
			return
		}
		have += n
		for have >= 5 {
			length := 4 + int(binary.BigEndian.Uint32(m.in))
			if have < length {
				break
			}
			code := m.in[4]
			have = copy(m.in, m.in[length:have])
			switch code {
			case last:
				return changes
			case 'i':
				changes++
			case 'c':
			default:
				m.t.Errorf("reply %q", code)
				return
			}
		}
	}
}

// unixRig is an agent with one key for example.org that listens at a Unix socket, where all mail is ours, and logs what goes wrong only.
func unixRig(t testing.TB) *rig {
	r := newRig(t, func(c *Config) {
		c.Listeners = []Listener{{Address: "unix:" + filepath.Join(c.StateDirectory, "m"), Sign: "outbound"}}
	})
	r.level = slog.LevelWarn
	r.pace.Save, r.pace.Report = time.Hour, time.Hour // so that nothing but messages is at work
	r.assign("example.org", rsaKey("k", "s1"))
	r.start()
	r.bring("example.org", "k", "s1", 1)
	return r
}

// bodyOf is prose of so many octets.
func bodyOf(size int) string {
	return strings.Repeat("The quick brown fox jumps over the lazy dog, again and again and so on.  .\r\n", size/76+1)[:size/76*76]
}

var messageSizes = []struct {
	name string
	size int
}{{"2KiB", 2 << 10}, {"50KiB", 50 << 10}, {"1MiB", 1 << 20}}

// BenchmarkMessage signs mail with RSA-2048 over one milter connection.
func BenchmarkMessage(b *testing.B) {
	r := unixRig(b)
	m := dialRaw(b, r.agent, 0)
	for _, c := range messageSizes {
		b.Run(c.name, func(b *testing.B) {
			text := prepare(simpleMail("Ann <ann@example.org>", bodyOf(c.size)))
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				if m.exchange(text, 'a') != 1 {
					b.Fatal("not signed")
				}
			}
		})
	}
}

// maxAllocations is how many allocations one signed message may cost: those of crypto/rsa, the finished field, the author's domain.
const maxAllocations = 20

// A message costs a handful of small allocations, whatever its size: what is allocated per message is what the collector works for.
func TestAllocationsPerSignedMessage(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	r := unixRig(t)
	m := dialRaw(t, r.agent, 0)
	for _, c := range messageSizes {
		text := prepare(simpleMail("Ann <ann@example.org>", bodyOf(c.size)))
		send := func(n int) {
			for range n {
				if m.exchange(text, 'a') != 1 {
					t.Fatal("not signed")
				}
			}
		}
		send(3)
		const messages = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		send(messages)
		runtime.ReadMemStats(&after)
		count, size := (after.Mallocs-before.Mallocs)/messages, (after.TotalAlloc-before.TotalAlloc)/messages
		t.Logf("%s: %d allocations, %d octets", c.name, count, size)
		if count > maxAllocations || size > 8<<10 {
			t.Errorf("%s: %d allocations of %d octets per message", c.name, count, size)
		}
	}
}

// BenchmarkTable builds the table of a server with ten thousand domains.
func BenchmarkTable(b *testing.B) {
	f := &fleetState{keys: map[string]*keyState{}, lost: map[string]recordSum{}}
	var in agentapi.Instructions
	for i := range 10_000 {
		id := fmt.Sprintf("k%d", i)
		key := edKey(id, "s1")
		key.Want = agentapi.WantSign
		in.Assignments = append(in.Assignments, agentapi.Assignment{ID: id, Domain: id + ".example", NoKey: agentapi.NoKeyPass, Keys: []agentapi.Key{key}})
		f.keys[id] = &keyState{id: id, has: true}
	}
	f.want(slices.Values(in.Assignments))
	b.ReportAllocs()
	for b.Loop() {
		f.table(false)
	}
}

// maxPerConnection is what a connection may hold while its message of 1 MiB is on its way: the buffer for its octets and what little is
// kept of the message.
const maxPerConnection = 128 << 10

// Memory follows the connections and not the mail: with so many large messages half way through, no body is kept.
func TestMemoryOfManyConnections(t *testing.T) {
	r := unixRig(t)
	const connections = 64
	text := prepare(simpleMail("Ann <ann@example.org>", bodyOf(1<<20)))
	var conns []*rawMTA
	for range connections {
		conns = append(conns, dialRaw(t, r.agent, 0))
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	before := heap()
	for _, m := range conns {
		if _, err := m.conn.Write(text[:len(text)-100]); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all messages are under way", func() bool { return r.agent.slots.Load() == connections })
	if per := (heap() - before) / connections; per > maxPerConnection {
		t.Errorf("%d octets per connection", per)
	}
	for _, m := range conns {
		if m.exchange(text[len(text)-100:], 'a') != 1 {
			t.Error("not signed")
		}
	}
	// Idle connections hold the small buffer only.
	await(t, "the messages are done", func() bool { return r.agent.slots.Load() == 0 })
	runtime.GC() // pools let go after two
	if per := (heap() - before) / connections; per > 32<<10 {
		t.Errorf("%d octets per idle connection", per)
	}
}
