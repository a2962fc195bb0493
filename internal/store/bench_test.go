package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/lifecycle"
)

// benchStore is SQLite on disk with domains that have a key each, all of one server.
func benchStore(b *testing.B, domains int) (*Store, []lifecycle.Work) {
	b.Helper()
	s, err := Open(b.Context(), Options{Database: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { s.Close() })
	bigInventory(b, s, domains)
	works := get[[]lifecycle.Work](b)(s.Claim(b.Context(), "w", domains, 1000*time.Hour))
	for i, w := range works {
		k := newKey(fmt.Sprintf("key_%05d", i), "", "s", "srv_1")
		k.Domain, k.Record.Domain = w.Domain, w.Domain
		k.Record.Name = k.Name()
		must(b, s.Commit(b.Context(), w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	}
	return s, works
}

// BenchmarkRound is what a domain costs that is due and at which nothing changes: claim, read, keep a look, finish.
func BenchmarkRound(b *testing.B) {
	s, works := benchStore(b, 1000)
	ctx := b.Context()
	for _, w := range works {
		must(b, s.Finish(ctx, w, time.Unix(1, 0)))
	}
	for b.Loop() {
		claimed := get[[]lifecycle.Work](b)(s.Claim(ctx, "w", 1, time.Hour))
		situation := get[lifecycle.Situation](b)(s.Situation(ctx, claimed[0].Domain))
		must(b, s.Commit(ctx, claimed[0], lifecycle.Commit{Keys: situation.Keys}))
		must(b, s.Finish(ctx, claimed[0], time.Unix(1, 0)))
	}
}

// BenchmarkReport is a report of a server with two hundred keys at which only counters moved.
func BenchmarkReport(b *testing.B) {
	s, _ := benchStore(b, 200)
	r := reportOf(1)
	for i := range 200 {
		r.Received.Keys = append(r.Received.Keys, said(fmt.Sprintf("key_%05d", i), func(k *keyReport) { k.Has, k.Record = true, "v=DKIM1; p=AAAA" }))
	}
	n := uint64(0)
	for b.Loop() {
		n++
		r.Received.Keys[0].Signed, r.Received.Keys[0].SignedAgeSeconds = n, 1
		get[int64](b)(s.SaveReport(b.Context(), "srv_1", r))
	}
}
