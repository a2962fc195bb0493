package lifecycle

import (
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// withStandby is a server that keeps a standby: its key in use is c1, and s1 is ready beside it.
func withStandby(s *scene, change ...func(*Key)) *scene {
	s.server("mx1")
	s.assignment("mx1").Standby = true
	return s.key("c1", "mx1", Active, change...).key("s1", "mx1", Proven)
}

func TestStandby(t *testing.T) {
	stolen := asked(true)
	frozen := func(s *scene) {
		s.Controls.Holds = []inventory.Hold{{Domain: "example.com", Until: noon.Add(day), By: "bob", Reason: "audit"}}
	}
	for _, c := range []planCase{
		{name: "none yet", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Active)
			s.assignment("mx1").Standby = true
		}, steps: []string{"generate mx1/rsa2048"}, says: []string{"mx1 has no standby key for example.com"}},
		{name: "the first key comes first", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Propagated)
			s.assignment("mx1").Standby = true
		}, steps: []string{"ask c1"}},
		{name: "on hold", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Active)
			s.assignment("mx1").Standby = true
			frozen(s)
		}, says: []string{"mx1 has no standby key for example.com; held back"}},
		{name: "is made ready like any other key", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Active).key("s1", "mx1", Propagated)
			s.assignment("mx1").Standby = true
		}, steps: []string{"ask s1"}, says: []string{"signing; its standby is under way"}},
		{name: "rests", setup: func(s *scene) { withStandby(s) }, says: []string{
			"standby: published and proven, it takes over at once when c1 is replaced, revoked or cannot be used", "signing; its standby s1 is ready"},
			never: []string{"successor"}, next: noon.Add(-100*day + 4*time.Hour + inventory.DefaultRotateEvery)},
		{name: "is used for a rotation because of age", setup: func(s *scene) { withStandby(s, oldKey) }, steps: []string{"activate s1"}, says: []string{"the key is"}},
		{name: "is used for a rotation that was asked for", setup: func(s *scene) {
			withStandby(s)
			s.assignment("mx1").RotateRequested, s.assignment("mx1").RotateBy = noon.Add(-time.Minute), "ann"
		}, steps: []string{"activate s1"}, says: []string{"ann asked for a rotation"}},
		{name: "a rotation waits on hold", setup: func(s *scene) { withStandby(s, oldKey); frozen(s) }, says: []string{"held back"}},
		{name: "is used when the key in use is to be revoked", setup: func(s *scene) { withStandby(s, asked(false)) }, steps: []string{"activate s1"}},
		{name: "is used at once when the key in use was stolen", setup: func(s *scene) { withStandby(s, stolen) }, steps: []string{"retire c1", "activate s1"}},
		{name: "whatever hold there is", setup: func(s *scene) { withStandby(s, stolen); frozen(s) }, steps: []string{"retire c1", "activate s1"}},
		{name: "not without its record", setup: func(s *scene) {
			withStandby(s, stolen)
			shows("", "")(&s.Keys[1])
		}, steps: []string{"retire c1"}, says: []string{"not every authoritative server shows the record"}, block: true},
		{name: "not before its wait is over", setup: func(s *scene) {
			withStandby(s, stolen)
			s.Keys[1].Record.AgreedSince = noon.Add(-time.Minute)
		}, steps: []string{"retire c1"}, says: []string{"until caches have forgotten"}},
		{name: "is used when the record in use is wrong", setup: func(s *scene) { withStandby(s, shows("", "")); frozen(s) },
			steps: []string{"activate s1"}, says: []string{"the standby s1 takes over"}, never: []string{"SIGNING WITH A WRONG RECORD"}, block: true},
		{name: "an older key that stands is preferred", setup: func(s *scene) {
			s.server("mx1").key("old", "mx1", Retired, recently)
			s.assignment("mx1").Standby = true
			s.key("c1", "mx1", Active, shows("", "")).key("s1", "mx1", Proven)
		}, steps: []string{"demote c1"}, says: []string{"falling back to old", "standby: "}},
		{name: "rests while the line falls back to an older key", setup: func(s *scene) {
			s.server("mx1").key("old", "mx1", Active, unacknowledged)
			s.assignment("mx1").Standby = true
			s.key("c1", "mx1", Active, shows("", ""), func(k *Key) { k.Demoted = noon.Add(-time.Minute) }).key("s1", "mx1", Proven)
		}, says: []string{"waiting for mx1 to acknowledge", "standby: "}, block: true},
		{name: "is used when that key is gone too", setup: func(s *scene) {
			s.server("mx1").key("old", "mx1", Active, unacknowledged, lostKey)
			s.assignment("mx1").Standby = true
			s.key("c1", "mx1", Active, shows("", ""), func(k *Key) { k.Demoted = noon.Add(-time.Minute) }).key("s1", "mx1", Proven)
			frozen(s)
		}, steps: []string{"activate s1"}, block: true},
		{name: "is used when the private key in use is lost", setup: func(s *scene) { withStandby(s, lostKey); frozen(s) }, steps: []string{"activate s1"}, block: true},
		{name: "is replaced when its own private key is lost", setup: func(s *scene) {
			withStandby(s)
			lostKey(&s.Keys[1])
		}, steps: []string{"remove s1", "generate mx1/rsa2048"}},
		{name: "is revoked by a person", setup: func(s *scene) {
			withStandby(s)
			asked(false)(&s.Keys[1])
		}, steps: []string{"remove s1", "generate mx1/rsa2048"}},
		{name: "a server that is observed only", setup: func(s *scene) {
			withStandby(s, oldKey)
			s.Domain.Mode = inventory.Observed
		}, says: []string{observedText}},
		{name: "the next one when this one is used", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Active, standingBy).key("s1", "mx1", Active)
			s.assignment("mx1").Standby = true
		}, steps: []string{"retire c1", "generate mx1/rsa2048"}},
		{name: "not while this one is being taken into use", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Active).key("s1", "mx1", Active, unacknowledged)
			s.assignment("mx1").Standby = true
		}, says: []string{"waiting for mx1 to acknowledge", "its successor is under way"}},
		{name: "switched off it comes into use", setup: func(s *scene) {
			withStandby(s)
			s.assignment("mx1").Standby = false
		}, steps: []string{"activate s1"}},
		{name: "took the place of a stolen key and is replaced", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Revoked, func(k *Key) {
				k.End = &End{By: "ann", Reason: "the disk was sold", At: noon.Add(-98 * day), Compromised: true}
				k.Revoked = noon.Add(-time.Hour)
			})
			s.assignment("mx1").Standby = true
			s.key("s1", "mx1", Active, func(k *Key) { k.Activated = noon.Add(-97 * day) })
		}, steps: []string{"generate mx1/rsa2048"}, says: []string{"s1 lay on the same servers as c1 when that was declared compromised"}},
		{name: "a key that was made after the theft is not", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Revoked, func(k *Key) {
				k.End = &End{By: "ann", Reason: "the disk was sold", At: noon.Add(-99*day - time.Hour), Compromised: true}
				k.Revoked = noon.Add(-time.Hour)
			})
			s.assignment("mx1").Standby = true
			s.key("n1", "mx1", Active).key("s1", "mx1", Proven)
		}, says: []string{"standby: ", "its standby s1 is ready"}},
	} {
		c.run(t)
	}
}

// A standby is not a rotation: it takes no turn, and takes one like any other when it is used.
func TestStandbyTurns(t *testing.T) {
	for _, c := range []planCase{
		{name: "another signer rotates meanwhile", setup: func(s *scene) {
			withStandby(s).server("mx2").key("c2", "mx2", Active, oldKey)
		}, steps: []string{"generate mx2/rsa2048"}},
		{name: "another signer takes its new key into use meanwhile", setup: func(s *scene) {
			withStandby(s).server("mx2").key("c2", "mx2", Active, oldKey).key("n2", "mx2", Proven)
		}, steps: []string{"activate n2"}},
		{name: "a standby is made while another signer rotates", setup: func(s *scene) {
			s.server("mx1").key("c1", "mx1", Active)
			s.assignment("mx1").Standby = true
			s.server("mx2").key("c2", "mx2", Active, oldKey).key("n2", "mx2", Propagated)
		}, steps: []string{"generate mx1/rsa2048", "ask n2"}},
		{name: "two that are due take turns", setup: func(s *scene) {
			withStandby(s, oldKey).server("mx2").key("c2", "mx2", Active, oldKey).key("s2", "mx2", Proven)
			s.assignment("mx2").Standby = true
		}, steps: []string{"activate s1"}, says: []string{"proven; waiting until the rotation of mx1 is finished"}},
		{name: "a stolen key's waits for nobody", setup: func(s *scene) {
			withStandby(s, asked(true)).server("mx2").key("c2", "mx2", Active, oldKey).key("n2", "mx2", Active, unacknowledged)
		}, steps: []string{"retire c1", "activate s1"}, says: []string{"waiting for mx2 to acknowledge"}},
	} {
		c.run(t)
	}
}

// In slots a standby is made when one is free by the rule there is, and not before.
func TestStandbyInSlots(t *testing.T) {
	slots := func(s *scene) *scene {
		s.server("mx1")
		s.assignment("mx1").Standby, s.assignment("mx1").Slots = true, []string{"ps1", "ps2", "ps3"}
		return s
	}
	for _, c := range []planCase{
		{name: "the third slot is free", setup: func(s *scene) { slots(s).key("ps1", "mx1", Retired, recently).key("ps2", "mx1", Active) },
			steps: []string{"generate mx1/rsa2048"}},
		{name: "none is free", setup: func(s *scene) {
			slots(s).key("ps1", "mx1", Retired, recently).key("ps2", "mx1", Retired, recently).key("ps3", "mx1", Active)
		}, says: []string{"mx1 has no standby key for example.com; no slot is free: ps1 carries a key that is retired, ps2 carries a key that is retired"}},
		{name: "one is free when caches have forgotten its key", setup: func(s *scene) {
			slots(s).key("ps1", "mx1", Retired, recently).key("ps2", "mx1", Removed, func(k *Key) {
				k.Removed, k.Record.TTL, k.Record.PositiveTTL = noon.Add(-time.Minute), time.Hour, time.Hour
			}).key("ps3", "mx1", Active)
		}, says: []string{"ps2 is free at"}, next: noon.Add(59 * time.Minute)},
		{name: "all three are taken, and one of them is ready", setup: func(s *scene) {
			slots(s).key("ps1", "mx1", Retired, recently).key("ps2", "mx1", Active, asked(true)).key("ps3", "mx1", Proven)
		}, steps: []string{"retire ps2", "activate ps3"}},
	} {
		c.run(t)
	}
}

// A server that joins a pool gets the standby too, and is told to sign with it once it has proved it.
func TestStandbyOfAPool(t *testing.T) {
	pool := func(s *scene, state State, proved bool) {
		s.pool("pool", "a").key("c1", "pool", Active).key("s1", "pool", Proven)
		s.assignment("pool").Standby = true
		s.Signers["b"] = inventory.Signer{ID: "b", Kind: inventory.KindServer, Name: "b", Label: "b"}
		s.signer("pool", func(x *inventory.Signer) { x.Members = []string{"a", "b"} })
		for i := range s.Keys {
			k := &s.Keys[i]
			h := Holding{ServerID: "b", Want: k.Holders[0].Want, Acked: k.Holders[0].Acked, Rank: k.Holders[0].Rank, Has: true, Value: k.Value, Reported: noon.Add(-time.Minute), Signing: k.State == Active, CanaryVerified: noon.Add(-day), CanaryNonce: "nonce"}
			if k.State == Proven && state == Removed {
				continue // b has not got the standby yet
			}
			if k.State == Proven && !proved {
				h.CanaryVerified, h.CanaryNonce = time.Time{}, ""
			}
			k.Holders = append(k.Holders, h)
		}
	}
	for _, c := range []planCase{
		{name: "gets it", setup: func(s *scene) { pool(s, Removed, false) }, steps: []string{"holders s1"}, says: []string{"b joined the pool and gets the key"}},
		{name: "has it", setup: func(s *scene) { pool(s, Proven, false) }, says: []string{"standby: "}},
		{name: "nobody who proved it is left", setup: func(s *scene) {
			pool(s, Proven, false)
			s.signer("pool", func(x *inventory.Signer) { x.Members = []string{"b"} })
			s.Keys[0].Holders = s.Keys[0].Holders[1:]
			s.Keys[1].Holders = s.Keys[1].Holders[1:]
			oldKey(&s.Keys[0])
		}, says: []string{"waiting for a canary of b"}},
	} {
		c.run(t)
	}
}
