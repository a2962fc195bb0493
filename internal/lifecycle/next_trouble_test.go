package lifecycle

import (
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

func TestCompromise(t *testing.T) {
	stolen := asked(true)
	toldToStop := func(k *Key) { k.Retired, k.Stopped = noon, time.Time{}; k.Record.WrittenAt = noon.Add(-day) }
	for _, c := range []planCase{
		{name: "the only key", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, stolen) },
			steps: []string{"retire k1", "generate mx1/rsa2048"}, says: []string{"declared compromised by ann: the disk was sold", "mx1 has no key in use any more"}},
		{name: "nothing holds it back, nor its replacement", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, stolen)
			s.Controls.Freezes = []inventory.Freeze{{By: "bob"}}
			s.Controls.NeedApproval = []string{"retire", "publish", "activate"}
		}, steps: []string{"retire k1", "generate mx1/rsa2048"}},
		{name: "nor the replacement's record", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, stolen, func(k *Key) { k.Revoked = noon.Add(-time.Hour) }).key("k2", "mx1", Generated)
			s.Controls.Freezes = []inventory.Freeze{{By: "bob"}}
		}, steps: []string{"publish k2"}},
		{name: "nor its use", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, stolen, func(k *Key) { k.Revoked = noon.Add(-time.Hour) }).key("k2", "mx1", Proven)
			s.Controls.NeedApproval = []string{"activate"}
		}, steps: []string{"activate k2"}},
		{name: "but when another key signs, a hold is a hold", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, func(k *Key) { k.Stopped = noon }).key("k2", "mx1", Active, oldKey)
			s.Controls.Freezes = []inventory.Freeze{{By: "bob"}}
		}, steps: []string{"revoke k1"}, says: []string{"held back: all changes are frozen by bob"}, block: true},
		{name: "a domain that is only observed", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, stolen)
			s.Domain.Mode = inventory.Observed
		}, steps: []string{"retire k1"}, says: []string{"only observed: nothing is changed; otherwise now: mx1 has no key"}},
		{name: "waiting for the holder, a minute at most", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, told(WantStop), toldToStop).key("k2", "mx1", Active)
		}, says: []string{"waiting for mx1 to stop"}, next: noon.Add(59 * time.Second)},
		{name: "a holder that still signs is waited for", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, toldToStop, holder(func(h *Holding) { h.Signing = true })).key("k2", "mx1", Active)
		}, says: []string{"waiting for mx1 to stop"}, next: noon.Add(59 * time.Second)},
		{name: "it has stopped", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, toldToStop).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "the minute is over", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, told(WantStop), toldToStop, func(k *Key) { k.End.At = noon.Add(-time.Minute) }).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "a wrong clock does not matter", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, toldToStop, holder(func(h *Holding) { h.Skew = time.Hour })).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "a successor that was never used", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Proven, stolen)
		}, steps: []string{"retire k2"}, says: []string{"signing"}},
		{name: "a successor that nothing in DNS belongs to", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Generated, stolen)
		}, steps: []string{"remove k2"}, says: []string{"it was never published"}},
		{name: "a retired key", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Retired, recently, stolen).key("k2", "mx1", Active) },
			steps: []string{"revoke k1"}},
		{name: "its predecessor does not come back: it may be stolen as well", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, stolen)
		}, steps: []string{"retire k2", "generate mx1/rsa2048"}},
		{name: "a person is asked to empty p=", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, asksFor(TombstoneValue, time.Minute), showsOwn("own", "own")).key("k2", "mx1", Active)
		}, says: []string{"COMPROMISED: waiting for a person to empty p= now"}, block: true},
		{name: "the person has done it", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, asksFor(TombstoneValue, time.Minute), shows(TombstoneValue, TombstoneValue)).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}, says: []string{"the empty p= that was asked for stands"}},
		{name: "somebody took the record away", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, shows("", "")).key("k2", "mx1", Active)
		}, steps: []string{"remove k1"}, says: []string{"somebody took its record away already"}},
		{name: "somebody only wrote the same key down differently", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stolen, func(k *Key) {
				k.Value = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
				k.Record.Want, k.Record.Written = k.Value, k.Value
				other := "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; n=ours"
				look(&k.Record, noon, other, other)
			}).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "afterwards it is a revoked key like any other", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, stolen, func(k *Key) { k.Revoked = noon.Add(-time.Hour) }).key("k2", "mx1", Active)
		}, next: noon.Add(30*day - time.Hour)},
	} {
		c.run(t)
	}
}

// asksFor is a key whose change a person was asked for.
func asksFor(want string, ago time.Duration) func(*Key) {
	return func(k *Key) { k.Record.wrote(want, true, noon.Add(-ago)) }
}

func TestFallback(t *testing.T) {
	wrong := shows("", "")
	demoted := func(ago time.Duration) func(*Key) { return func(k *Key) { k.Demoted = noon.Add(-ago) } }
	for _, c := range []planCase{
		{name: "to the predecessor in its retention", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, wrong)
		}, steps: []string{"demote k2"}, says: []string{"its record is wrong (ns1: NXDOMAIN; ns2: NXDOMAIN): falling back to k1"}},
		{name: "one contradicting server is enough", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, showsOwn("own", ""))
		}, steps: []string{"demote k2"}},
		{name: "silence is none", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, shows(silentServer, silentServer))
		}, block: true},
		{name: "a hold does not keep mail from being signed rightly", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, wrong)
			s.Controls.Holds = []inventory.Hold{{Domain: "example.com"}}
		}, steps: []string{"demote k2"}},
		{name: "nothing to fall back to", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, wrong) },
			says: []string{"SIGNING WITH A WRONG RECORD, and no other proven key stands"}, block: true},
		{name: "not to one whose record is wrong as well", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, wrong).key("k2", "mx1", Active, wrong)
		}, says: []string{"SIGNING WITH A WRONG RECORD"}, block: true},
		{name: "not to one that a person was asked to revoke in DNS", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, asksFor(TombstoneValue, time.Hour), shows(TombstoneValue, TombstoneValue)).key("k2", "mx1", Active, wrong)
		}, steps: []string{"revoke k1"}, says: []string{"SIGNING WITH A WRONG RECORD"}, block: true},
		{name: "not to one that somebody asked to leave", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, asked(false)).key("k2", "mx1", Active, wrong)
		}, says: []string{"SIGNING WITH A WRONG RECORD"}, block: true},
		{name: "unless it has not left yet", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, asked(false)).key("k2", "mx1", Active, unacknowledged, wrong)
		}, steps: []string{"demote k2"}},
		{name: "not to one that its holder has not any more", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, lostKey).key("k2", "mx1", Active, wrong)
		}, says: []string{"SIGNING WITH A WRONG RECORD"}, block: true},
		{name: "not to one of another algorithm", setup: func(s *scene) {
			s.server("mx1", "rsa2048", "ed25519").key("e1", "mx1", Active, func(k *Key) { k.Algorithm = "ed25519" }).key("k2", "mx1", Active, wrong)
		}, says: []string{"SIGNING WITH A WRONG RECORD"}, block: true},
		{name: "before the new key was even acknowledged", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged, wrong)
		}, steps: []string{"demote k2"}},
		{name: "back when the record has stood long enough", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged, demoted(2*time.Hour))
		}, steps: []string{"restore k2"}},
		{name: "not above a newer key", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged, demoted(2*time.Hour)).key("k3", "mx1", Active, unacknowledged)
		}, says: []string{"its record stands again; k3 was taken into use meanwhile", "waiting for mx1 to acknowledge"}},
		{name: "a newer key that others came back above", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, holder(func(h *Holding) { h.Rank = 9 })).key("k2", "mx1", Active, unacknowledged)
		}, steps: []string{"restore k2"}, says: []string{"k1 came back above it meanwhile"}},
		{name: "not before", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged, demoted(2*time.Hour), func(k *Key) { k.Record.AgreedSince = noon.Add(-time.Minute) })
		}, next: noon.Add(59 * time.Minute)},
		{name: "still wrong", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, oldKey).key("k2", "mx1", Active, unacknowledged, wrong, demoted(2*time.Hour))
		}, says: []string{"stepped back, because its record is wrong"}, block: true},
		{name: "wrong for longer than people need to mend it", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, oldKey).key("k2", "mx1", Active, unacknowledged, wrong, demoted(day))
		}, steps: []string{"generate mx1/rsa2048"}, says: []string{"the record of k2 has been wrong since 2026-05-31 12:00 UTC"}, block: true},
		{name: "then both leave", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active, standingBy, wrong, demoted(2*day)).key("k3", "mx1", Active)
		}, steps: []string{"retire k1", "retire k2"}},
		{name: "repair where that is allowed, and fall back meanwhile", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, wrong)
			s.Repair = true
		}, steps: []string{"repair k2", "demote k2"}},
		{name: "no repair of what was written just now: that may be lag", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, wrong, func(k *Key) { k.Record.WrittenAt = noon.Add(-30 * time.Minute) })
			s.Repair = true
		}, steps: []string{"demote k2"}},
		{name: "nor of what never stood everywhere: that is lag", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Published, showsOwn("own", ""), func(k *Key) { k.Record.FirstAgreed, k.Record.WrittenAt = time.Time{}, noon.Add(-23*time.Hour) })
			s.Repair = true
		}, block: true},
		{name: "unless it is for a day", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Published, showsOwn("own", ""), func(k *Key) { k.Record.FirstAgreed, k.Record.WrittenAt = time.Time{}, noon.Add(-day) })
			s.Repair = true
		}, steps: []string{"repair k1"}},
		{name: "a record in its retention is repaired too", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, wrong).key("k2", "mx1", Active)
			s.Repair = true
		}, steps: []string{"repair k1"}},
	} {
		c.run(t)
	}
}

func TestLostKeys(t *testing.T) {
	for _, c := range []planCase{
		{name: "the key in use", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, lostKey) },
			steps: []string{"generate mx1/rsa2048"}, says: []string{"the private key is not on mx1 any more (mx1: its private half"}, block: true},
		{name: "waits for no turn", setup: func(s *scene) {
			s.server("mx1").server("mx2").key("a1", "mx1", Active, lostKey).key("b1", "mx2", Active).key("b2", "mx2", Active, unacknowledged)
		}, steps: []string{"generate mx1/rsa2048"}, block: true},
		{name: "it signed a moment ago: perhaps it comes back", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, lostKey, holder(func(h *Holding) { h.LastSigned = noon.Add(-time.Minute) }))
		}, says: []string{"mx1 does not sign with it"}, block: true},
		{name: "the predecessor is still there", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, lostKey)
		}, steps: []string{"demote k2", "generate mx1/rsa2048"}},
		{name: "it leaves when another key signs", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, lostKey).key("k2", "mx1", Active)
		}, steps: []string{"retire k1"}},
		{name: "a successor", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, oldKey).key("k2", "mx1", Published, lostKey) },
			steps: []string{"remove k2", "generate mx1/rsa2048"}},
		{name: "a successor that was to be used", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, oldKey).key("k2", "mx1", Active, unacknowledged, lostKey)
		}, steps: []string{"retire k2"}},
		{name: "another key than the one that was published", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, holder(func(h *Holding) { h.Value, h.LastSigned = "v=DKIM1; p=OTHER", noon.Add(-time.Hour) }))
		}, steps: []string{"generate mx1/rsa2048"}, says: []string{"mx1 has another key than the one that was made for this selector"}, block: true},
		{name: "a retired key needs no private half", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, lostKey).key("k2", "mx1", Active)
		}, says: []string{"kept for mail"}},
		{name: "three in a row came to nothing", setup: func(s *scene) {
			never := func(hours int) func(*Key) {
				return func(k *Key) {
					k.Activated, k.Removed, k.EndReason = time.Time{}, noon.Add(-time.Duration(hours)*time.Hour), takenReason
				}
			}
			s.server("mx1").key("x1", "mx1", Removed, never(5)).key("x2", "mx1", Removed, never(3)).key("x3", "mx1", Removed, never(1))
		}, says: []string{"3 new keys in a row came to nothing (its name is taken in DNS by somebody else's record): the next try is at 2026-06-02 07:00 UTC"},
			block: true, next: noon.Add(19 * time.Hour)},
		{name: "keys that did their work are no failures", setup: func(s *scene) {
			s.server("mx1").key("x1", "mx1", Removed).key("x2", "mx1", Removed).key("x3", "mx1", Removed)
		}, steps: []string{"generate mx1/rsa2048"}},
	} {
		c.run(t)
	}
}

func TestEndOfAKey(t *testing.T) {
	for _, c := range []planCase{
		{name: "not acknowledged", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, told(WantStop), func(k *Key) { k.Stopped = time.Time{} }).key("k2", "mx1", Active)
		}, says: []string{"waiting for mx1 to acknowledge that it stopped signing"}},
		{name: "acknowledged, with a message in flight", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, holder(func(h *Holding) { h.Signing = true }), func(k *Key) { k.Stopped = time.Time{} }).key("k2", "mx1", Active)
		}, says: []string{"waiting for mx1 to acknowledge that it stopped signing"}},
		{name: "silent for months", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, told(WantStop), holder(func(h *Holding) { h.Reported = noon.Add(-90 * day) }), func(k *Key) { k.Stopped = time.Time{} }).
				key("k2", "mx1", Active)
		}, says: []string{"mx1 is silent and counts as signing until it answers or is decommissioned"}, block: true},
		{name: "declared gone", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, told(WantStop), holder(func(h *Holding) { h.Gone = noon }), func(k *Key) { k.Stopped = time.Time{} }).
				key("k2", "mx1", Active)
		}, steps: []string{"stopped k1"}},
		{name: "acknowledged", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, func(k *Key) { k.Stopped = time.Time{} }).key("k2", "mx1", Active)
		}, steps: []string{"stopped k1"}},
		{name: "in its retention", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active) },
			says: []string{"kept for mail that is still under way"}, next: noon.Add(30*day - time.Hour)},
		{name: "the last signature counts, whatever the holder said before", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, holder(func(h *Holding) { h.LastSigned = noon.Add(-29 * day) })).key("k2", "mx1", Active)
		}, next: noon.Add(day)},
		{name: "the retention is over", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Retired).key("k2", "mx1", Active) },
			steps: []string{"revoke k1"}, says: []string{"last signature 99 days ago"}},
		{name: "but its holder signs again", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, holder(func(h *Holding) { h.Signing = true })).key("k2", "mx1", Active)
		}, says: []string{"mx1 says that it signs with the key"}, block: true},
		{name: "but its holder's clock is wrong", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, holder(func(h *Holding) { h.Skew = -6 * time.Minute })).key("k2", "mx1", Active)
		}, says: []string{"the clock of mx1 is wrong by -6m0s"}, block: true},
		{name: "a wrong clock of a server that is gone", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, holder(func(h *Holding) { h.Skew, h.Gone = time.Hour, noon.Add(-40*day) })).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "somebody took the record away", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Retired, shows("", "")).key("k2", "mx1", Active) },
			steps: []string{"remove k1"}},
		{name: "somebody put another record there", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, shows("v=DKIM1; p=OTHER", "v=DKIM1; p=OTHER")).key("k2", "mx1", Active)
		}, steps: []string{"remove k1"}},
		{name: "one server does not show it: not gone", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, showsOwn("own", "")).key("k2", "mx1", Active)
		},
			steps: []string{"revoke k1"}},
		{name: "revoked", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, func(k *Key) { k.Revoked = noon.Add(-29 * day) }).key("k2", "mx1", Active)
		},
			says: []string{"revoked: p= is empty"}, next: noon.Add(day)},
		{name: "revoked long enough", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Revoked).key("k2", "mx1", Active) },
			steps: []string{"remove k1"}},
		{name: "removed keys are history", setup: func(s *scene) { s.server("mx1").key("k0", "mx1", Removed).key("k2", "mx1", Active) }},
		{name: "the assignment ended", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Proven)
			s.assignment("mx1").Ended, s.assignment("mx1").EndedBy = noon.Add(-time.Hour), "ann"
		}, steps: []string{"retire k1", "remove k2"}, says: []string{"ann ended the assignment", "it never signed mail"}},
		{name: "the assignment ended and came back as another one", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active)
			s.assignment("mx1").Ended, s.assignment("mx1").EndedBy = noon.Add(-time.Hour), "ann"
			again := *s.assignment("mx1")
			again.ID, again.Ended, again.EndedBy = "again", time.Time{}, ""
			s.Assignments = append(s.Assignments, again)
		}, steps: []string{"retire k1", "generate again/rsa2048"}},
		{name: "the server was decommissioned", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, holder(func(h *Holding) { h.Gone = noon.Add(-time.Minute) })).
				key("k2", "mx1", Published, holder(func(h *Holding) { h.Gone = noon.Add(-time.Minute) }))
			s.signer("mx1", func(x *inventory.Signer) { x.Decommissioned, x.DecommissionedBy = noon.Add(-time.Minute), "ann" })
		}, steps: []string{"retire k1", "remove k2"}, says: []string{"mx1 was decommissioned by ann"}},
	} {
		c.run(t)
	}
}

func TestPools(t *testing.T) {
	gone := func(id string) func(*scene) {
		return func(s *scene) {
			s.signer(id, func(x *inventory.Signer) { x.Decommissioned = noon.Add(-time.Hour) })
			for i := range s.Keys {
				holderOf(id, func(h *Holding) { h.Gone = noon.Add(-time.Hour) })(&s.Keys[i])
			}
		}
	}
	joins := func(s *scene, id string) {
		s.Signers[id] = inventory.Signer{ID: id, Kind: inventory.KindServer, Name: id, Label: id}
		s.signer("pool", func(x *inventory.Signer) { x.Members = append(x.Members, id) })
	}
	leaves := func(s *scene, id string) {
		s.signer("pool", func(x *inventory.Signer) {
			var kept []string
			for _, m := range x.Members {
				if m != id {
					kept = append(kept, m)
				}
			}
			x.Members = kept
		})
	}
	late := func(k *Key) {
		k.Holders = append(k.Holders, Holding{ServerID: "c", Want: WantHold, Acked: WantHold, Has: true, Value: k.Value, Reported: noon})
	}
	for _, c := range []planCase{
		{name: "every member must have the key", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Generated, holderOf("b", func(h *Holding) { h.Has, h.Value = false, "" }))
		}, says: []string{"waiting for b to make the key"}},
		{name: "a member has another key", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Generated, holderOf("b", func(h *Holding) { h.Value = "v=DKIM1; p=OTHER" }))
		}, says: []string{"b reports another public key for this selector"}, block: true},
		{name: "every member must prove it", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Propagated, func(k *Key) { k.Canary = "new" },
				holderOf("a", func(h *Holding) { h.CanaryNonce, h.CanaryVerified = "new", noon }))
		}, says: []string{"waiting for a canary of b"}},
		{name: "every member must acknowledge", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, func(k *Key) { k.Signing = time.Time{} }, holderOf("b", func(h *Holding) { h.Signing = false }))
		}, says: []string{"waiting for b to acknowledge"}},
		{name: "every member must stop", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Retired, func(k *Key) { k.Stopped = time.Time{} }, holderOf("b", func(h *Holding) { h.Acked = WantSign })).
				key("k2", "pool", Active)
		}, says: []string{"waiting for b to acknowledge that it stopped"}},
		{name: "a member that is gone is not waited for", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Generated, holderOf("b", func(h *Holding) { h.Has = false }))
			gone("b")(s)
		}, steps: []string{"publish k1"}},
		{name: "all are gone: nothing is proven by nobody", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Propagated, func(k *Key) { k.Canary = "new" })
			gone("a")(s)
			gone("b")(s)
		}, steps: []string{"remove k1"}, says: []string{"no server is left that could hold it", "pool has no server left"}, block: true},
		{name: "one joins while the key is made", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Generated, func(k *Key) { k.Value = "" }, holder(func(h *Holding) { h.Has, h.Value = false, "" }))
			joins(s, "c")
		}, steps: []string{"holders k1"}, says: []string{"c joined the pool and gets the key", "waiting for a, b to make the key"}},
		{name: "one joins while the key is on its way: later", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Published)
			joins(s, "c")
		}, steps: []string{"waited k1"}},
		{name: "one joins while the key signs", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active)
			joins(s, "c")
		}, steps: []string{"holders k1"}, says: []string{"c joined the pool and gets the key"}},
		{name: "it does not sign before its canary verified", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, late)
			joins(s, "c")
		}, says: []string{"signing"}},
		{name: "then it does", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, late, holderOf("c", func(h *Holding) { h.CanaryNonce, h.CanaryVerified = "nonce", noon }))
			joins(s, "c")
		}, steps: []string{"holders k1"}, says: []string{"a canary of c verified: it signs as well"}},
		{name: "one leaves", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active)
			leaves(s, "b")
		}, steps: []string{"holders k1"}, says: []string{"b left the pool and stops"}},
		{name: "one leaves under a hold", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active)
			leaves(s, "b")
			s.Controls.Holds = []inventory.Hold{{Domain: "example.com", By: "bob"}}
		}, says: []string{"b left the pool and stops; held back: the domain is on hold by bob"}, block: true},
		{name: "the last one that signs goes on until another does", setup: func(s *scene) {
			s.pool("pool", "a").key("k1", "pool", Active)
			joins(s, "c")
			leaves(s, "a")
		}, steps: []string{"holders k1"}, says: []string{"c joined the pool and gets the key"}, never: []string{"a left"}},
		{name: "nobody in the pool has the key any more", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, lostKey)
		}, steps: []string{"generate pool/rsa2048"}, says: []string{"the private key is not on a, b any more"}, block: true},
		{name: "one in the pool has it still", setup: func(s *scene) {
			s.pool("pool", "a", "b").key("k1", "pool", Active, holderOf("b", func(h *Holding) { h.Has, h.Signing, h.Error = false, false, "lost" }))
		}, says: []string{"b does not sign with it, although it should: b: lost"}, block: true},
	} {
		c.run(t)
	}
}
