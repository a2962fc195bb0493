package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/inventory"
)

// nextSlot says what the slots of an assignment wait for.
type nextSlot struct {
	at   time.Time // when time alone frees one; zero = when its key leaves, or its CNAME comes
	text string
}

// freeSlots returns the declared slots that may get a key, the one that has been without one for longest first, and what the others wait
// for. A slot is free again after its last key's removal and every TTL that was seen (invariant 3). One whose keys lie in a zone of ours must
// lead there first, on every authoritative server and in every cache.
func freeSlots(s *Situation, a *inventory.Assignment) (free []string, next nextSlot) {
	var taken []string
	last := map[string]time.Time{}
	for _, slot := range a.Slots {
		var until time.Time
		holder := ""
		for i := range s.Keys {
			k := &s.Keys[i]
			if k.Selector != slot {
				continue
			}
			if k.Removed.After(last[slot]) {
				last[slot] = k.Removed
			}
			forgotten := slotFree(k)
			switch {
			case k.State != Removed:
				holder = fmt.Sprintf("%s carries a key that is %s", slot, k.State)
			case s.Now.Before(forgotten):
				holder, until = fmt.Sprintf("%s is free at %s, when caches have forgotten its last key", slot, clock(forgotten)), forgotten
			}
		}
		if holder == "" {
			holder, until = slotWaits(s, a, slot)
		}
		if holder == "" {
			free = append(free, slot)
			continue
		}
		taken = append(taken, holder)
		next.at = earliest(next.at, until)
	}
	slices.SortStableFunc(free, func(x, y string) int { return last[x].Compare(last[y]) })
	next.text = strings.Join(taken, ", ")
	return free, next
}

// slotFree is when caches have forgotten a key that was removed.
func slotFree(k *Key) time.Time {
	return k.Removed.Add(max(k.Record.PositiveTTL, k.Record.NegativeTTL, k.Record.TTL))
}

// slotWaits says why a slot without a key cannot have one, because of the CNAME that should be there or should not; "" = it can.
func slotWaits(s *Situation, a *inventory.Assignment, slot string) (why string, until time.Time) {
	name := inventory.KeyName(slot, a.Domain)
	at := slices.IndexFunc(s.Records, func(r Record) bool { return r.Name == name && r.Type == "CNAME" && r.Gone.IsZero() })
	if a.Through == "" {
		if at >= 0 && s.Records[at].Purpose == ForSlot {
			return fmt.Sprintf("%s still leads elsewhere: its CNAME is being taken away", slot), until
		}
		return "", until
	}
	zone := s.Through[a.Through]
	if zone == "" {
		return fmt.Sprintf("%s leads nowhere: there is no publisher %s with a zone", slot, a.Through), until
	}
	target := inventory.SlotTarget(slot, a.Domain, zone)
	if at < 0 || s.Records[at].Want != target {
		return fmt.Sprintf("%s waits for its CNAME to %s", slot, target), until
	}
	r := &s.Records[at]
	if r.AgreedSince.IsZero() || r.Last.Expected != r.Want || !r.Last.Agreed(s.waived) {
		return fmt.Sprintf("%s waits for its CNAME to %s: %s", slot, target, r.sentence()), until
	}
	if until = r.AgreedSince.Add(waitAfterAgreement(s.Domain.Policy, *r)); s.Now.Before(until) {
		return fmt.Sprintf("%s leads to %s; waiting until %s, when caches have forgotten what was there before", slot, target, clock(until)), until
	}
	return "", time.Time{}
}

// slotRecords are the CNAMEs of slots whose keys lie in a zone of ours. One stands as long as a key lies behind it, whatever the inventory says
// meanwhile: mail that was signed with it is still to be verified. Where a key's own record stands at the slot, none can.
func slotRecords(s *Situation) []inventory.WantedRecord {
	var wanted []inventory.WantedRecord
	taken := map[string]bool{}
	add := func(name, target, assignment string) {
		if taken[name] {
			return
		}
		taken[name] = true
		if target != "" {
			wanted = append(wanted, inventory.WantedRecord{Name: name, Type: "CNAME", Value: target, Purpose: inventory.PurposeSlot, AssignmentID: assignment})
		}
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		switch {
		case k.State == Removed:
		case k.Record.Alias != "":
			add(k.Record.Alias, k.Record.Name, k.AssignmentID)
		default:
			add(k.Record.Name, "", "")
		}
	}
	for _, a := range live(s.Assignments) {
		zone := s.Through[a.Through]
		if a.Through == "" || zone == "" {
			continue
		}
		for _, slot := range a.Slots {
			add(inventory.KeyName(slot, a.Domain), inventory.SlotTarget(slot, a.Domain, zone), a.ID)
		}
	}
	return wanted
}

// noAlias begins what is said of a server that does not show a slot's CNAME as it should be.
const noAlias = "no CNAME to "

// throughAlias reads a look at a slot: what counts is what stands at the target, and that each server leads there and nowhere else. The CNAME
// itself is no record of somebody else's then.
func throughAlias(s evidence.Sighting, target string) evidence.Sighting {
	s.Servers = slices.Clone(s.Servers)
	for i := range s.Servers {
		server := &s.Servers[i]
		leads := server.CNAME == target
		if leads {
			server.CNAME = ""
		}
		switch {
		case server.Verdict == evidence.Silent:
		case leads && s.Expected == "" && len(server.Values) == 0:
			server.Verdict, server.Detail = evidence.Shows, ""
		case !leads:
			server.Verdict, server.Detail = evidence.Differs, noAlias+target
			if other := cmp.Or(server.CNAME, strings.Join(server.Values, "")); other != "" {
				server.Detail += fmt.Sprintf(", but %q", other)
			}
		}
	}
	return s
}

// misled reports whether the newest look at a slot did not lead to the record everywhere: nothing that is written there mends that.
func (r *Record) misled() bool {
	return r.Alias != "" && slices.ContainsFunc(r.Last.Servers, func(server evidence.ServerSight) bool { return strings.HasPrefix(server.Detail, noAlias) })
}
