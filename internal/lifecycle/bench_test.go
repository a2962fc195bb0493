package lifecycle

import (
	"fmt"
	"testing"
)

// A domain that every server of a large fleet signs for, and a pool as large.
func BenchmarkNext(b *testing.B) {
	servers := newScene()
	var members []string
	for i := range 1000 {
		name := fmt.Sprint("mx", i)
		members = append(members, name)
		servers.server(name)
		servers.key("a"+name, name, Retired, recently).key("b"+name, name, Active)
	}
	pool := newScene().pool("pool", members...)
	pool.key("k1", "pool", Retired, recently).key("k2", "pool", Active).key("k3", "pool", Published)
	for name, s := range map[string]*scene{"1000 servers": servers, "pool of 1000": pool} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Next(s.Situation)
			}
		})
	}
}
