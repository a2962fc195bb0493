package agent

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/mtalog"
	"github.com/postseal/postseal/internal/resolver"
)

// Limits of what is kept about refusals.
const (
	maxRefusals     = 2000               // hours of domains at receivers with a code: with their texts a megabyte
	showRefusals    = 24 * time.Hour     // how long an hour is kept that the control plane has
	keepRefusals    = 7 * 24 * time.Hour // and how long one that it has not
	maxMessagesSeen = 8192               // messages that are not counted twice in an hour: several recipients, and attempts that follow soon
	maxRefusalKinds = 200                // rows of the metric
)

// refusals are what receivers refuse, by hour. It is safe for concurrent use.
type refusals struct {
	mu     sync.Mutex
	rows   map[refusalKey]*refusalRow
	seed   maphash.Seed
	seen   map[uint64]bool
	order  []uint64 // of seen, a ring
	next   int
	missed uint64
	totals map[[2]string]uint64 // receiver and code; since the process began
	dirty  bool

	from savedLog      // the log and the position that are kept; its Refusals are in rows
	log  *StatusMTALog // nil = none is followed
}

type refusalKey struct {
	hour                   int64
	domain, receiver, code string
}

type refusalRow struct {
	said  agentapi.Refusal
	taken uint64 // messages that the control plane knows of; what it was told last
}

// savedLog is mta_log.json.
type savedLog struct {
	File     string             `json:"file"` // or what is read of the journal
	Position mtalog.Position    `json:"position"`
	Refusals []agentapi.Refusal `json:"refusals"`
}

func newRefusals() *refusals {
	return &refusals{rows: map[refusalKey]*refusalRow{}, seed: maphash.MakeSeed(), seen: map[uint64]bool{}, totals: map[[2]string]uint64{}}
}

// read takes up what an earlier process left. All of it is reported once more.
func (s *refusals) read(dir string) error {
	if _, err := readState(dir, fileMTALog, &s.from); err != nil {
		s.from = savedLog{}
		return err
	}
	for _, r := range s.from.Refusals[:min(len(s.from.Refusals), maxRefusals)] {
		s.rows[refusalKey{r.Hour, r.Domain, r.Receiver, r.Code}] = &refusalRow{said: r}
	}
	s.from.Refusals = nil
	return nil
}

// begin says where to go on in a log.
func (s *refusals) begin(spec MTALog) mtalog.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = &StatusMTALog{File: spec.File, Journal: spec.Journal, Kind: spec.Kind}
	if s.from.File == spec.place() {
		return s.from.Position
	}
	return mtalog.Position{}
}

func (s *refusals) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// count counts one refusal.
func (s *refusals) count(r mtalog.Refusal, now time.Time) {
	at := r.At
	if at.After(now) {
		at = now
	}
	if now.Sub(at) > keepRefusals {
		return
	}
	domain, err := resolver.ToASCII(r.Domain())
	if err != nil {
		domain = ""
	}
	key := refusalKey{at.Truncate(time.Hour).Unix(), domain, r.Receiver, r.Code}
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.rows[key]
	if row == nil {
		if len(s.rows) >= maxRefusals && !s.makeRoom() {
			s.missed++
			return
		}
		row = &refusalRow{said: agentapi.Refusal{Hour: key.hour, Domain: domain, Receiver: r.Receiver, Code: r.Code, Cause: string(r.Cause), First: at.Unix(), Text: r.Text}}
		s.rows[key] = row
	}
	row.said.Permanent = row.said.Permanent || r.Permanent
	row.said.Last = max(row.said.Last, at.Unix())
	if s.again(key, r.Queue) {
		return
	}
	row.said.Messages++
	s.dirty = true
	kind := [2]string{r.Receiver, r.Code}
	if !mtalog.IsLarge(r.Receiver) {
		kind[0] = "other"
	}
	if _, known := s.totals[kind]; !known && len(s.totals) >= maxRefusalKinds {
		kind = [2]string{"other", "other"}
	}
	s.totals[kind]++
}

// again reports whether a message was counted in this row before.
func (s *refusals) again(key refusalKey, queue string) bool {
	sum := maphash.Comparable(s.seed, struct {
		refusalKey
		queue string
	}{key, queue})
	if s.seen[sum] {
		return true
	}
	if len(s.order) < maxMessagesSeen {
		s.order = append(s.order, sum)
	} else {
		delete(s.seen, s.order[s.next])
		s.order[s.next] = sum
		s.next = (s.next + 1) % maxMessagesSeen
	}
	s.seen[sum] = true
	return false
}

// makeRoom drops the oldest hour that the control plane has.
func (s *refusals) makeRoom() bool {
	var oldest refusalKey
	found := false
	for key, row := range s.rows {
		if row.taken == row.said.Messages && (!found || key.hour < oldest.hour) {
			oldest, found = key, true
		}
	}
	delete(s.rows, oldest)
	return found
}

// progress notes what was read. gap is true when lines may have been missed meanwhile.
func (s *refusals) progress(lines uint64, f mtaLog) (gap bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return false
	}
	gap = f.Gaps() > s.log.Gaps
	s.log.Lines += lines
	s.log.TooLong, s.log.Gaps = f.TooLong(), f.Gaps()
	return gap
}

// changed reports whether there is something to keep: counts, or a position when that alone is reason enough.
func (s *refusals) changed(p mtalog.Position, enough bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty || enough && !p.Equal(s.from.Position)
}

// snapshot is what is kept; hours that are over and done are dropped.
func (s *refusals) snapshot(spec MTALog, p mtalog.Position, now time.Time) savedLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, row := range s.rows {
		if age := now.Sub(time.Unix(key.hour, 0)); age > keepRefusals || age > showRefusals && row.taken == row.said.Messages {
			delete(s.rows, key)
		}
	}
	s.dirty = false
	return savedLog{File: spec.place(), Position: p, Refusals: s.sorted(func(*refusalRow) bool { return true })}
}

// saved notes that a snapshot was kept, or was not.
func (s *refusals) saved(spec MTALog, p mtalog.Position, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !kept {
		s.dirty = true
		return
	}
	s.from = savedLog{File: spec.place(), Position: p}
}

// sorted returns rows by hour, domain, receiver and code.
func (s *refusals) sorted(which func(*refusalRow) bool) (out []agentapi.Refusal) {
	for _, row := range s.rows {
		if which(row) {
			out = append(out, row.said)
		}
	}
	slices.SortFunc(out, func(a, b agentapi.Refusal) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), strings.Compare(a.Domain, b.Domain), strings.Compare(a.Receiver, b.Receiver), strings.Compare(a.Code, b.Code))
	})
	return out
}

// pending is what the next report says.
func (s *refusals) pending() []agentapi.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.sorted(func(r *refusalRow) bool { return r.taken != r.said.Messages })
	return out[:min(len(out), agentapi.MaxRefusals)]
}

// taken notes what the control plane has now. more says that there is something left to say.
func (s *refusals) taken(said []agentapi.Refusal) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range said {
		if row := s.rows[refusalKey{r.Hour, r.Domain, r.Receiver, r.Code}]; row != nil {
			row.taken = r.Messages
		}
	}
	return len(said) == agentapi.MaxRefusals
}

// status sums the hours up.
func (s *refusals) status() ([]StatusRefusal, *StatusMTALog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := map[refusalKey]int{}
	var out []StatusRefusal
	for _, r := range s.sorted(func(*refusalRow) bool { return true }) {
		key := refusalKey{0, r.Domain, r.Receiver, r.Code}
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, StatusRefusal{Domain: r.Domain, Receiver: r.Receiver, Code: r.Code, First: time.Unix(r.First, 0).UTC()})
		}
		row := &out[i]
		row.Messages += r.Messages
		row.Permanent = row.Permanent || r.Permanent
		row.Last, row.Cause, row.Text = time.Unix(r.Last, 0).UTC(), r.Cause, r.Text
	}
	slices.SortFunc(out, func(a, b StatusRefusal) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Domain, b.Domain), strings.Compare(a.Receiver, b.Receiver), strings.Compare(a.Code, b.Code))
	})
	if s.log == nil {
		return out, nil
	}
	log := *s.log
	log.Missed = s.missed
	return out, &log
}

func (s *refusals) writeMetrics(m *metricsWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.family("refusals_total", "counter", "Messages that receivers refused because of authentication, by receiver and code.")
	kinds := make([][2]string, 0, len(s.totals))
	for kind := range s.totals {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, kind := range kinds {
		m.value(float64(s.totals[kind]), Label{"receiver", kind[0]}, Label{"code", kind[1]})
	}
	if s.log == nil {
		return
	}
	m.family("mta_log_lines_total", "counter", "Lines of the MTA's log that were read.")
	m.value(float64(s.log.Lines))
	m.family("mta_log_gaps_total", "counter", "How often lines of the MTA's log may have been missed.")
	m.value(float64(s.log.Gaps))
}
