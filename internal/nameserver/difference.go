package nameserver

import (
	"github.com/postseal/postseal/internal/publisher"
)

const (
	// maxSteps is how many changes of a zone a secondary may have missed and still get the differences. It asks within seconds of a
	// NOTIFY, so that more than this were made while it was away for long.
	maxSteps = 100

	// maxStepRecords is how many records all the steps of one zone hold; further ones push the oldest out.
	maxStepRecords = 5_000
)

// step is what changed between two serials of a zone that this instance served one after the other.
type step struct {
	from, to       uint32
	removed, added []publisher.StoredRecord
}

func (s step) size() int { return len(s.removed) + len(s.added) }

// after notes how a zone came about from the one that was served before. It is kept in memory alone: after a restart, or at another
// instance on the same database, a secondary that has missed something gets the whole zone.
func (z *zone) after(before *zone) {
	if before == nil || !newer(z.serial, before.serial) {
		return
	}
	had := make(map[publisher.StoredRecord]bool, len(before.records))
	for _, r := range before.records {
		had[r] = true
	}
	last := step{from: before.serial, to: z.serial}
	for _, r := range z.records {
		if had[r] {
			delete(had, r)
		} else {
			last.added = append(last.added, r)
		}
	}
	for _, r := range before.records {
		if had[r] {
			last.removed = append(last.removed, r)
		}
	}
	steps := append(before.steps[:len(before.steps):len(before.steps)], last)
	total := 0
	for i := len(steps) - 1; i >= 0; i-- {
		if total += steps[i].size(); total > maxStepRecords || len(steps)-i > maxSteps {
			steps = steps[i+1:]
			break
		}
	}
	z.steps = steps
}

// since returns the steps from a serial to the zone's; ok is false when they are not known (any more), or are more than the zone itself.
func (z *zone) since(serial uint32) (steps []step, ok bool) {
	total := 0
	for i := len(z.steps) - 1; i >= 0; i-- {
		total += z.steps[i].size()
		if z.steps[i].from == serial {
			return z.steps[i:], total <= len(z.records)+len(z.servers)
		}
	}
	return nil, false
}

// newer compares serials as RFC 1982 §3.2 does.
func newer(a, b uint32) bool { return int32(a-b) > 0 }
