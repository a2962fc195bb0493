package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
)

// BenchmarkMessage signs mail over one milter connection, with RSA-2048, client included.
func BenchmarkMessage(b *testing.B) {
	for name, size := range map[string]int{"4kB": 4 << 10, "1MB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, nil)
			r.assign("example.org", rsaKey("k", "s1"))
			a := r.start()
			r.bring("example.org", "k", "s1", 1)
			m := dialMTA(b, a, 0, mtaOptions{})
			msg := simpleMail("Ann <ann@example.org>", strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if o := m.send(msg, 0); len(o.raw) == 0 {
					b.Fatal("not sent")
				}
			}
		})
	}
}

// BenchmarkTable builds the table of a server with ten thousand domains.
func BenchmarkTable(b *testing.B) {
	f := &fleetState{keys: map[string]*keyState{}, facts: facts{Checked: map[string]string{}}}
	var in agentapi.Instructions
	for i := range 10_000 {
		id := fmt.Sprintf("k%d", i)
		key := edKey(id, "s1")
		key.Want = agentapi.WantSign
		in.Assignments = append(in.Assignments, agentapi.Assignment{ID: id, Domain: id + ".example", NoKey: agentapi.NoKeyPass, Keys: []agentapi.Key{key}})
		f.keys[id] = &keyState{id: id, has: true}
	}
	f.want(in)
	b.ReportAllocs()
	for b.Loop() {
		f.table(false)
	}
}
