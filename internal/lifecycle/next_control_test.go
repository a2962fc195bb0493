package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// each is every planned step, with a situation in which it is the only one that is due.
var each = []struct {
	kind  StepKind
	setup func(*scene)
	step  string
	held  bool // holds, freezes and windows hold it back
}{
	{StepGenerate, func(s *scene) { s.server("mx1") }, "generate mx1/rsa2048", true},
	{StepPublish, func(s *scene) { s.server("mx1").key("k1", "mx1", Generated) }, "publish k1", true},
	{StepWaited, func(s *scene) { s.server("mx1").key("k1", "mx1", Published) }, "waited k1", false},
	{StepAsk, func(s *scene) { s.server("mx1").key("k1", "mx1", Propagated) }, "ask k1", false},
	{StepProve, func(s *scene) {
		s.server("mx1").key("k1", "mx1", Propagated, func(k *Key) { k.Canary = "n" }, holder(func(h *Holding) { h.CanaryNonce, h.CanaryVerified = "n", noon }))
	}, "prove k1", false},
	{StepActivate, func(s *scene) { s.server("mx1").key("k1", "mx1", Proven) }, "activate k1", true},
	{StepSigning, func(s *scene) { s.server("mx1").key("k1", "mx1", Active, func(k *Key) { k.Signing = time.Time{} }) }, "signing k1", false},
	{StepRetire, func(s *scene) { s.server("mx1").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active) }, "retire k1", true},
	{StepStopped, func(s *scene) {
		s.server("mx1").key("k1", "mx1", Retired, func(k *Key) { k.Stopped = time.Time{} }).key("k2", "mx1", Active)
	}, "stopped k1", false},
	{StepRevoke, func(s *scene) { s.server("mx1").key("k1", "mx1", Retired).key("k2", "mx1", Active) }, "revoke k1", true},
	{StepRemove, func(s *scene) { s.server("mx1").key("k1", "mx1", Revoked).key("k2", "mx1", Active) }, "remove k1", true},
	{StepDemote, func(s *scene) {
		s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active, shows("", ""))
	}, "demote k2", false},
	{StepRestore, func(s *scene) {
		s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged, func(k *Key) { k.Demoted = noon.Add(-time.Hour) })
	}, "restore k2", true},
	{StepRepair, func(s *scene) {
		s.server("mx1").key("k1", "mx1", Retired, recently, shows("", "")).key("k2", "mx1", Active)
		s.Repair = true
	}, "repair k1", true},
	{StepHolders, func(s *scene) {
		s.pool("pool", "a").key("k1", "pool", Active)
		s.Signers["b"] = inventory.Signer{ID: "b", Kind: inventory.KindServer, Name: "b"}
		s.signer("pool", func(x *inventory.Signer) { x.Members = []string{"a", "b"} })
	}, "holders k1", true},
}

func TestControlsHoldPlannedStepsBack(t *testing.T) {
	for _, e := range each {
		planCase{name: fmt.Sprint(e.kind, " free"), setup: e.setup, steps: []string{e.step}}.run(t)
		steps := []string{e.step}
		if e.held {
			steps = nil
		}
		until := noon.Add(26 * time.Hour)
		c := planCase{name: fmt.Sprint(e.kind, " on hold until a time"), steps: steps, setup: func(s *scene) {
			e.setup(s)
			s.Controls.Holds = []inventory.Hold{{Domain: "example.com", Until: until, By: "bob", Reason: "audit"}}
		}}
		if e.held {
			c.says, c.next = []string{"; held back: the domain is on hold by bob until 2026-06-02 14:00 UTC: audit"}, until
		}
		c.run(t)
		c = planCase{name: fmt.Sprint(e.kind, " frozen until released"), steps: steps, block: e.held, setup: func(s *scene) {
			e.setup(s)
			s.Controls.Freezes = []inventory.Freeze{{By: "bob"}}
		}}
		c.run(t)
		planCase{name: fmt.Sprint(e.kind, " and a hold of another domain"), steps: []string{e.step}, setup: func(s *scene) {
			e.setup(s)
			s.Controls.Holds = []inventory.Hold{{Domain: "example.net", By: "bob"}}
		}}.run(t)
		planCase{name: fmt.Sprint(e.kind, " in a domain that is only observed"), says: []string{observedText + "; otherwise now: "}, setup: func(s *scene) {
			e.setup(s)
			s.Domain.Mode = inventory.Observed
		}}.run(t)
	}
}

func TestApprovals(t *testing.T) {
	for _, e := range each {
		thing := "k1"
		switch e.kind {
		case StepPublish, StepActivate, StepRetire, StepRevoke, StepRemove:
		default:
			continue
		}
		need := func(s *scene) { e.setup(s); s.Controls.NeedApproval = []string{string(e.kind)} }
		planCase{name: fmt.Sprint(e.kind, " waits"), setup: need, says: []string{"waits for a named person's approval"}, block: true}.run(t)
		planCase{name: fmt.Sprint(e.kind, " was approved"), steps: []string{e.step}, setup: func(s *scene) {
			need(s)
			s.Controls.Approvals = []inventory.Approval{{KeyID: thing, Step: string(e.kind), By: "ann"}}
		}}.run(t)
		planCase{name: fmt.Sprint(e.kind, " was approved of another key"), says: []string{"approval"}, block: true, setup: func(s *scene) {
			need(s)
			s.Controls.Approvals = []inventory.Approval{{KeyID: "other", Step: string(e.kind), By: "ann"}}
		}}.run(t)
	}
	planCase{name: "a service's record needs none: a person put it into the inventory", steps: []string{"publish r1"}, setup: func(s *scene) {
		s.record("r1", "_dmarc.example.com", "v=DMARC1; p=none", "", []string{"", ""})
		s.Controls.NeedApproval = []string{"publish"}
	}}.run(t)
}

func TestAskingAPerson(t *testing.T) {
	value := "v=DKIM1; k=rsa; p=k1"
	remove := func(k *Key) { k.End = &End{By: "ann", Reason: "typo", At: noon}; asksFor("", time.Hour)(k) }
	for _, c := range []planCase{
		{name: "to publish", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Generated, asksFor(value, time.Hour), shows("", ""))
		}, says: []string{"waiting for a person to publish the record"}, block: true},
		{name: "who made a mistake", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Generated, asksFor(value, time.Hour), shows("v=DKIM1;k=rsa;p=k1", "v=DKIM1;k=rsa;p=k1"))
		}, says: []string{`"v=DKIM1;k=rsa;p=k1" stands there`}, block: true},
		{name: "who has done it", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Generated, asksFor(value, time.Hour), showsOwn("own", "own"))
		}, steps: []string{"publish k1"}, says: []string{"the record that was asked for stands"}},
		{name: "on one server only", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Generated, asksFor(value, time.Hour), showsOwn("own", ""))
		}, block: true},
		{name: "who is asked again", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Generated, asksFor(value, 6*time.Hour), shows("", ""))
		}, steps: []string{"publish k1"}, says: []string{"asked again"}},
		{name: "to empty p=", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, asksFor(TombstoneValue, time.Hour), showsOwn("own", "own")).key("k2", "mx1", Active)
		}, says: []string{"waiting for a person to empty p="}, block: true},
		{name: "who has emptied it", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, asksFor(TombstoneValue, time.Hour), shows(TombstoneValue, TombstoneValue)).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "a repair that was asked for is no empty p=", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, func(k *Key) { k.Record.Pending, k.Record.WrittenAt = true, noon.Add(-time.Hour) }, showsOwn("own", "")).key("k2", "mx1", Active)
		}, steps: []string{"revoke k1"}},
		{name: "to delete", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Published, remove, showsOwn("own", "own")) },
			steps: []string{"generate mx1/rsa2048"}, says: []string{"waiting for a person to delete the record"}, block: true},
		{name: "who has deleted it", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Published, remove, shows("", "")) },
			steps: []string{"remove k1", "generate mx1/rsa2048"}},
		{name: "a wildcard is left behind", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Published, remove, shows("v=spf1 -all", "v=spf1 -all"))
		},
			steps: []string{"remove k1", "generate mx1/rsa2048"}},
		{name: "to delete a tombstone", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Revoked, asksFor("", time.Hour), shows(TombstoneValue, TombstoneValue)).key("k2", "mx1", Active)
		}, says: []string{"waiting for a person to delete the record"}, block: true},
	} {
		c.run(t)
	}
}

func TestSlots(t *testing.T) {
	slots := func(s *scene) *scene {
		s.server("mx1")
		s.assignment("mx1").Slots = []string{"s1", "s2"}
		return s
	}
	for _, c := range []planCase{
		{name: "one is free", setup: func(s *scene) { slots(s).key("s1", "mx1", Active, oldKey) }, steps: []string{"generate mx1/rsa2048"}},
		{name: "both carry keys", setup: func(s *scene) { slots(s).key("s1", "mx1", Active, oldKey).key("s2", "mx1", Retired, recently) },
			says: []string{"the key is 99 days old; no slot is free: s1 carries a key that is active, s2 carries a key that is retired"}},
		{name: "caches may remember", setup: func(s *scene) {
			slots(s).key("s1", "mx1", Active, oldKey).key("s2", "mx1", Removed, func(k *Key) { k.Removed, k.Record.PositiveTTL = noon.Add(-time.Hour), 2*time.Hour })
		}, says: []string{"s2 is free at 2026-06-01 13:00 UTC, when caches have forgotten its last key"}, next: noon.Add(time.Hour)},
		{name: "they have forgotten", setup: func(s *scene) {
			slots(s).key("s1", "mx1", Active, oldKey).key("s2", "mx1", Removed, func(k *Key) { k.Removed, k.Record.PositiveTTL = noon.Add(-3*time.Hour), 2*time.Hour })
		}, steps: []string{"generate mx1/rsa2048"}},
		{name: "a server without a free slot does not keep others from rotating", setup: func(s *scene) {
			slots(s).key("s1", "mx1", Active, oldKey).key("s2", "mx1", Retired, recently).server("mx2").key("b1", "mx2", Active, oldKey)
		}, steps: []string{"generate mx2/rsa2048"}},
	} {
		c.run(t)
	}
}
