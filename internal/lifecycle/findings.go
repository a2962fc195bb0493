package lifecycle

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Finding is something that people should know and that is not a step.
type Finding struct {
	ID       string `json:"id"` // stable, reference/standards.md §8 or LIFE-nn
	Severity string `json:"severity"`
	Domain   string `json:"domain"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
	Fix      string `json:"fix"`
}

// The findings of this package. Both are about one name and follow from the newest look at it.
const (
	// TakenFinding: a name that we want is taken in DNS by somebody else's record.
	TakenFinding = "LIFE-01"
	// ChangedFinding: a record that we wrote was changed or removed by others.
	ChangedFinding = "LIFE-02"
)

// takenWatched is how long a name that was given up is looked at, so that its finding ends with its reason. Whoever has
// not removed the record by then needs it.
const takenWatched = 60 * 24 * time.Hour

// takenReason is the EndReason of a key that was given up because of somebody else's record at its name.
const takenReason = "its name is taken in DNS by somebody else's record"

// givenUpName reports whether a key's name was given up to somebody else's record that is still watched.
func (k *Key) givenUpName() bool { return k.State == Removed && k.EndReason == takenReason }

// findings collects what the newest looks show.
func (b *builder) findings() {
	for i := range b.s.Keys {
		open, _ := b.s.findingsOf(&b.s.Keys[i].Record, &b.s.Keys[i])
		b.plan.Findings = append(b.plan.Findings, open...)
	}
	for i := range b.s.Records {
		open, _ := b.s.findingsOf(&b.s.Records[i], nil)
		b.plan.Findings = append(b.plan.Findings, open...)
	}
}

// findingsOf says which findings a record gives, and which it does not (any more). k is the record's key, nil for others.
func (s *Situation) findingsOf(r *Record, k *Key) (open, resolved []Finding) {
	sort := func(holds bool, f Finding) {
		if holds {
			open = append(open, f)
		} else {
			resolved = append(resolved, f)
		}
	}
	sort(s.taken(r, k), takenFinding(r.Domain, r.Name, r.takenBy()))
	changed := Finding{
		ID: ChangedFinding, Severity: "warning", Domain: r.Domain, Subject: r.Name,
		Message: fmt.Sprintf("the record that Postseal wrote at %s was changed by others: %s", r.Name, r.Last.Sentence()),
		Fix:     fmt.Sprintf("postseal record adopt %s --reason TEXT --yes writes %q there again; repair: true on the publisher does so by itself", r.Name, r.Want),
	}
	if r.misled() {
		changed.Message = fmt.Sprintf("%s does not lead to the key that Postseal publishes for it: %s", r.Alias, r.Last.Sentence())
		changed.Fix = fmt.Sprintf("publish: %s CNAME %s", r.Alias, r.Name)
	}
	if k != nil && k.State == Active {
		changed.Severity = "error"
	}
	sort(s.changed(r, k), changed)
	if r.Purpose == ForReport {
		sort(r.Gone.IsZero() && s.Watched(r) && r.Last.Expected == r.Want && r.Last.Contradicted(), reportMissing(r))
	}
	return open, resolved
}

// takenLead begins the condition of a record whose name the publisher found taken. It knows more than a look: a CNAME that
// is wanted cannot stand beside records of other types.
const takenLead = "the name is taken: "

// taken reports whether somebody else's record stands where we want one.
func (s *Situation) taken(r *Record, k *Key) bool {
	if k != nil {
		return k.givenUpName() && r.Last.At.Before(k.Removed.Add(takenWatched)) && r.Last.Foreign() != ""
	}
	if s.Watched(r) || !r.Gone.IsZero() || r.Want == "" || r.Written == r.Want || r.Pending || r.Last.Expected != r.Want {
		return false
	}
	return strings.HasPrefix(r.Condition, takenLead) || !s.someShow(r) && r.Last.Foreign(r.Want, r.Written) != ""
}

// takenBy is what stands there instead.
func (r *Record) takenBy() string {
	if have := r.Last.Foreign(r.Want, r.Written); have != "" {
		return strconv.Quote(have)
	}
	return strings.TrimPrefix(r.Condition, takenLead)
}

// someShow reports whether some server shows the record, old or new: one that shows neither may only lag behind.
func (s *Situation) someShow(r *Record) bool {
	for _, server := range r.Last.Servers {
		for _, v := range server.Values {
			if v == r.Want || v == r.Written && v != "" {
				return true
			}
		}
	}
	return false
}

// changed reports whether a record that had stood everywhere as we wrote it does not any more.
func (s *Situation) changed(r *Record, k *Key) bool {
	if k != nil && k.State == Removed || !r.Gone.IsZero() || s.Watched(r) {
		return false
	}
	return r.Written != "" && r.Written == r.Want && !r.FirstAgreed.IsZero() && r.Last.Expected == r.Want && r.Last.Contradicted()
}

// takenFinding says it; what is what stands there, or the publisher's sentence about it.
func takenFinding(domain, name, what string) Finding {
	return Finding{
		ID: TakenFinding, Severity: "warning", Domain: domain, Subject: name,
		Message: fmt.Sprintf("a record that Postseal did not make stands at %s and was left alone: %s", name, what),
		Fix:     "if nobody needs it, delete it; if it should be Postseal's: postseal record adopt " + name + " --reason TEXT --yes",
	}
}
