package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// removedBefore is a removed key of a slot whose next key was made so much later.
func removedBefore(gap time.Duration) func(*Key) {
	return func(k *Key) { k.Removed, k.Record.TTL = k.Created.Add(day-gap), time.Hour } // keys are made a day apart
}

// Each function that asserts an invariant must be able to find something.
func TestViolations(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(*scene)
		want  string // "" = all is well
	}{
		{"all is well", func(s *scene) {
			s.server("mx1").key("k0", "mx1", Removed).key("k1", "mx1", Retired).key("k2", "mx1", Active).key("k3", "mx1", Proven)
		}, ""},
		{"told to sign without proof", func(s *scene) { s.server("mx1").key("k1", "mx1", Propagated, told(WantSign)) }, "invariant 1: k1 signs without proof"},
		{"told to sign before it is active", func(s *scene) { s.server("mx1").key("k1", "mx1", Proven, told(WantSign)) }, "invariant 1: k1 is proven and its holders are told to sign"},
		{"active without proof", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, func(k *Key) { k.Proven = time.Time{} })
		}, "invariant 1: k1 signs without proof"},
		{"the record never stood everywhere", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, func(k *Key) { k.Record.FirstAgreed = time.Time{} })
		}, "invariant 1: k1 signs and its record was never agreed upon"},
		{"no wait", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, func(k *Key) { k.Propagated = k.Record.FirstAgreed.Add(14 * time.Minute) })
		}, "invariant 1: k1 signs and its waiting time was 14m0s"},
		{"a policy that asks for more now", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, func(k *Key) { k.Propagated = k.Record.FirstAgreed.Add(16 * time.Minute) })
			s.Domain.Policy.MinWait = time.Hour
		}, ""},
		{"a holder without proof", func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, holderOf("b", func(h *Holding) { h.CanaryVerified = time.Time{} }))
		}, "invariant 1: k1 signs on b without a canary of it"},
		{"a late member that holds", func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, holderOf("b", func(h *Holding) { h.Want, h.CanaryVerified = WantHold, time.Time{} }))
		}, ""},
		{"emptied while a holder may sign", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, func(k *Key) { k.Stopped = time.Time{} }).key("k2", "mx1", Active)
		}, "invariant 2: k1 was emptied while a holder may still sign with it"},
		{"removed while a holder may sign", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, func(k *Key) { k.Stopped, k.Revoked = time.Time{}, time.Time{} }).key("k2", "mx1", Active)
		}, "invariant 2: k1 was emptied while"},
		{"emptied early", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, func(k *Key) { k.Stopped = k.Revoked.Add(-13 * day) }).key("k2", "mx1", Active)
		}, "invariant 2: k1 was emptied 312h0m0s after its last use"},
		{"emptied early after the last signature", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, func(k *Key) { k.Holders[0].LastSigned = k.Revoked.Add(-13 * day) }).key("k2", "mx1", Active)
		}, "invariant 2: k1 was emptied"},
		{"a retention that is longer now", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, func(k *Key) { k.Stopped = k.Revoked.Add(-15 * day) }).key("k2", "mx1", Active)
		}, ""},
		{"compromised", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, asked(true), func(k *Key) { k.Stopped = time.Time{} }).key("k2", "mx1", Active)
		}, ""},
		{"never signed", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, func(k *Key) { k.Activated, k.Stopped = time.Time{}, time.Time{} }).key("k2", "mx1", Active)
		}, ""},
		{"a selector twice", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed).key("k1", "mx1", Active)
		}, "invariant 3: selector k1 carries"},
		{"a slot twice, one after the other", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, removedBefore(2*time.Hour)).key("k1", "mx1", Active)
			s.assignment("mx1").Slots = []string{"k1", "k2"}
		}, ""},
		{"a slot twice, too soon", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Removed, removedBefore(59*time.Minute)).key("k1", "mx1", Active)
			s.assignment("mx1").Slots = []string{"k1", "k2"}
		}, "invariant 3: slot k1 carries k1 before caches have forgotten"},
		{"a slot behind its CNAME", func(s *scene) { s.server("mx1").key("k1", "mx1", Active).behind("k1.example.com.keys.example.net", 0) }, ""},
		{"a slot whose CNAME came later", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).behind("k1.example.com.keys.example.net", time.Minute)
		}, "invariant 2: k1 was used before its CNAME stood everywhere"},
		{"a slot whose CNAME is wanted to lead elsewhere", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired).behind("elsewhere.example", 0).key("k2", "mx1", Active)
		},
			"invariant 2: k1 is retired, and nothing shall lead from k1._domainkey.example.com to it"},
		{"a slot twice at once", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired).key("k1", "mx1", Active)
			s.assignment("mx1").Slots = []string{"k1", "k2"}
		}, "invariant 3: selector k1 carries"},
		{"left without a key", func(s *scene) { s.server("mx1").key("k1", "mx1", Retired) }, "invariant 4: mx1 had a signing key of rsa for example.com and has none"},
		{"a key without a holder that signs", func(s *scene) { s.server("mx1").key("k1", "mx1", Active, told(WantStop)) }, "invariant 4"},
		{"another size is a key", func(s *scene) { s.server("mx1", "rsa4096").key("k1", "mx1", Active) }, ""},
		{"a dropped algorithm that was all there was", func(s *scene) { s.server("mx1", "ed25519").key("k1", "mx1", Retired) }, "invariant 4: mx1 had a signing key of rsa for example.com and has none of any kind"},
		{"a dropped algorithm beside another", func(s *scene) {
			s.server("mx1", "ed25519").key("k1", "mx1", Retired).key("e1", "mx1", Active, func(k *Key) { k.Algorithm = "ed25519" })
		}, ""},
		{"ended on purpose", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired)
			s.assignment("mx1").Ended = noon
		}, ""},
		{"declared gone", func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired)
			s.signer("mx1", func(x *inventory.Signer) { x.Decommissioned = noon })
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene()
			c.setup(s)
			got := strings.Join(Violations(s.Situation), "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
