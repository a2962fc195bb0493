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

// BenchmarkDueProbes looks for paths to probe, twice a minute in production, among ten thousand that were each probed daily for two weeks and are not due.
func BenchmarkDueProbes(b *testing.B) {
	const domains, days = 10_000, 14
	s, err := Open(b.Context(), Options{Database: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	names := bigInventory(b, s, domains)
	now := get[time.Time](b)(s.Now(b.Context()))
	must(b, s.write(b.Context(), "fill", func(t *tx) error {
		if _, err := t.exec(b.Context(), `UPDATE agents SET probes = 1`); err != nil {
			return err
		}
		for i, name := range names {
			id := fmt.Sprint(i)
			for _, statement := range []struct {
				text string
				args []any
			}{
				{`INSERT INTO assignments (id, domain, signer_id, stream, class, bulk, algorithms, records, slots, rotate_requested, rotate_by, ended, ended_by) VALUES ($1, $2, 'srv_1', 'default', 'managed', 0, '[]', '[]', '[]', 0, '', 0, '')`, []any{id, name}},
				{`INSERT INTO keys (id, domain, assignment_id, selector, algorithm, state, value, created, propagated, proven, activated, signing, retired, stopped, revoked, removed, demoted, rotate_after, end_reason,
					ask_by, ask_reason, asked_at, compromised, canary, canary_asked, revision) VALUES ($1, $2, $1, 'a', 'rsa2048', 'active', 'v', 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, '', '', '', 0, 0, '', 0, 1)`, []any{id, name}},
				{`INSERT INTO holdings (key_id, server_id, want, rank, want_version, acked, has, value, signing, signed, last_signed, canary_verified, canary_nonce, canary_problem, error, spoken, reported, skew, gone, destroyed)
					VALUES ($1, 'srv_1', 'sign', 1, 1, 'sign', 1, 'v', 1, 0, 0, 0, '', '', '', 1, 0, 0, 0, 0)`, []any{id}},
			} {
				if _, err := t.exec(b.Context(), statement.text, statement.args...); err != nil {
					return err
				}
			}
			for day := range days {
				at := now.Add(-time.Duration(day)*24*time.Hour - 2*time.Hour)
				if _, err := t.exec(b.Context(), `INSERT INTO probes (id, domain, signer_id, service, token_hash, to_address, why, by_name, asked, wanted, state, submitted, reply, not_set_up, ended, mail, verdict, revision)
					VALUES ($1, $2, 'srv_1', 0, $1, '', 'schedule', '', $3, '[]', 'arrived', $3, '250 ok', 0, $3, '{}', '{}', 1)`, id+"-"+fmt.Sprint(day), name, at); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	b.ResetTimer()
	for b.Loop() {
		due, err := s.DueProbes(b.Context(), now.Add(-24*time.Hour), 30, 50)
		if err != nil || len(due) != 0 {
			b.Fatalf("%d, %v", len(due), err)
		}
	}
}
