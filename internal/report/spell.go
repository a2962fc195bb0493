package report

import (
	"slices"
	"time"
)

// spell is the present time of trouble in a signer's mail.
type spell struct {
	failed []*Group // within it
	all    []*Group
	since  time.Time
	open   bool // since may lie before the days that were looked at
}

// spellOf finds since when mail fails; ok is false when it does not any more. groups are all that counts for the share, failing says which of them fail. Days are told apart where
// every group is of one day: the spell goes back to the last day with mail of which no more failed than always does, and it is over once enough came through after it.
func spellOf(groups []*Group, failing func(*Group) bool, from, to time.Time) (s spell, ok bool) {
	bad := filter(groups, failing)
	if len(bad) == 0 {
		return s, false
	}
	last := slices.MaxFunc(bad, func(a, b *Group) int { return a.Last.Compare(b.Last) }).Last
	if to.Sub(last) > fresh {
		return s, false
	}
	s = spell{failed: bad, all: groups, since: slices.MinFunc(bad, func(a, b *Group) int { return a.First.Compare(b.First) }).First}
	if !slices.ContainsFunc(groups, func(g *Group) bool { return !g.First.Equal(g.Last) }) {
		if s.since, ok = turn(groups, failing); !ok {
			return s, false
		}
		recent := func(g *Group) bool { return !g.Last.Before(s.since) }
		s.failed, s.all = filter(bad, recent), filter(groups, recent)
	}
	s.open = !s.since.After(from)
	return s, true
}

// turn finds the first day of the present trouble; ok is false when it is over, or never was more than what always fails.
func turn(groups []*Group, failing func(*Group) bool) (since time.Time, ok bool) {
	type sums struct{ failed, all int64 }
	days := map[time.Time]sums{}
	for i := range groups {
		g := groups[i]
		x := days[g.First]
		if x.all = plus(x.all, g.Messages); failing(g) {
			x.failed = plus(x.failed, g.Messages)
		}
		days[g.First] = x
	}
	order := make([]time.Time, 0, len(days))
	for d := range days {
		order = append(order, d)
	}
	slices.SortFunc(order, func(a, b time.Time) int { return b.Compare(a) })
	var after int64 // messages since the last bad day
	for _, d := range order {
		x := days[d]
		switch isBad := morePercent(x.failed, x.all, failingPercent); {
		case isBad:
			since, ok = d, true
		case !ok:
			if after = plus(after, x.all); after >= FloorMessages {
				return since, false // it is over
			}
		case x.all >= fewMessages:
			return since, true
		}
	}
	return since, ok
}

// fewMessages is when a day's mail says something of that day.
const fewMessages = 5

// trouble is a spell that has enough messages and reporters, and a share that is more than what always fails.
type trouble struct {
	spell
	fails weighed
	share figures // of all mail in the spell
}

// troubleIn looks for trouble in groups, first by the reports that are vouched for alone: others can neither make it nor hide it. Only where these do not suffice to say
// anything all of them are looked at.
func troubleIn(groups []*Group, failing func(*Group) bool, scene *Scene, percent float64) (t trouble, ok bool) {
	sure := filter(groups, func(g *Group) bool { return g.Vouched })
	for _, vouched := range []bool{true, false} {
		look := groups
		if vouched {
			look = sure
		} else if sum(sure, true).enough() {
			return t, false // they are enough, and show no trouble
		}
		s, found := spellOf(look, failing, scene.From, scene.To)
		if !found {
			continue
		}
		t = trouble{s, weighed{sum(s.failed, vouched), vouched}, sum(s.all, vouched)}
		if t.fails.enough() && morePercent(t.fails.messages, t.share.messages, percent) {
			return t, true
		}
	}
	return t, false
}
