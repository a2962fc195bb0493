package resolver

import (
	"maps"
	"slices"
	"strings"
)

// Status is what an answer amounts to.
type Status string

// The four statuses. Only the first three are evidence.
const (
	StatusOK       Status = "ok"       // there are records
	StatusNoData   Status = "nodata"   // the name exists without records of this type
	StatusNXDomain Status = "nxdomain" // the name does not exist
	StatusError    Status = "error"    // no usable answer: evidence of nothing
)

// The words of Answer.Detail where the trouble is not an answer code ("SERVFAIL", "REFUSED", "NOTAUTH", …). Some stand in
// longer sentences ("TCP after truncation: timeout").
const (
	DetailTimeout     = "timeout"                      // no reply in time
	DetailUnreachable = "unreachable"                  // nobody listens, or a router says so
	DetailNoRoute     = "no route"                     // this machine has no route to that address family
	DetailLame        = "lame"                         // answers, but not with authority for the zone
	DetailMalformed   = "malformed"                    // bytes that are no usable DNS reply
	DetailMismatch    = "reply to another question"    // wrong id or question
	DetailNoAddress   = "no address"                   // the server's name has no address
	DetailBadAddress  = "address not asked"            // multicast, unspecified, loopback or link-local
	DetailBadName     = "unusable name"                // a name in the answer that we do not follow
	DetailLoop        = "CNAME loop"                   //
	DetailLong        = "CNAME chain too long"         // more than eight hops
	DetailConflict    = "several CNAME records"        // RFC 2181 §10.1
	DetailTooMany     = "too many servers"             // beyond the bound, not asked
	DetailBudget      = "too many questions needed"    // the call's bound is used up
	DetailTooLarge    = "too many records"             // at one name
	DetailDisagree    = "servers of the target differ" // the zone behind a CNAME is not of one mind
	DetailOversize    = "answer too large"             // in octets; only a Cache refuses for it
)

// Answer is what one server says about one name and type.
type Answer struct {
	Server string // "ns1.example.org (192.0.2.1:53)"; only the address for pinned and recursive servers
	Status Status
	Detail string // for StatusError: one of the Detail words or the answer code's name

	TXT     []string   // each TXT record's strings joined, sorted; octets as they are, not escaped
	Strings [][]string // the same records in the same order, with the bounds between their strings
	CNAME   []string   // the targets followed, in order
	Own     string     // the CNAME target at the asked name itself, "" if none
	NS      []string   // for NS questions: names of servers, sorted
	Data    []string   // for the other types: record data in presentation form, sorted

	TTL               uint32 // seconds; the largest positive TTL seen along the chain
	NegativeTTL       uint32 // seconds; min(SOA TTL, SOA MINIMUM), RFC 2308 §5, the largest along the chain; 0 when no SOA was seen
	Keep              uint32 // seconds; recursive only: how long the answer may be kept, the smallest TTL along the chain (negative: RFC 2308 §5); 0 without a SOA
	AuthenticatedData bool   // the AD bit; worth as much as the path to the recursive server
	Bogus             bool   // recursive only: SERVFAIL, but an answer when validation is switched off
	Truncated         bool   // UDP was too small, TCP was needed
	Size              int    // octets of the reply that was used
	Rcode             int    // the DNS answer code (RFC 6895 §2.3); meaningless when no reply came
}

// same reports whether two answers say the same about the name, whatever they say about time.
func (a Answer) same(b Answer) bool {
	return a.Status == b.Status && a.Own == b.Own &&
		slices.Equal(a.TXT, b.TXT) && slices.Equal(a.CNAME, b.CNAME) && slices.Equal(a.NS, b.NS) && slices.Equal(a.Data, b.Data)
}

// String says it in one line for people.
func (a Answer) String() string {
	var b strings.Builder
	b.WriteString(a.Server)
	switch a.Status {
	case StatusOK:
		b.WriteString(" has ")
		b.WriteString(strings.Join(slices.Concat(a.CNAME, a.TXT, a.NS, a.Data), " | "))
	case StatusNoData:
		b.WriteString(" has the name without such a record")
	case StatusNXDomain:
		b.WriteString(" answers that the name does not exist")
	default:
		b.WriteString(" gives no usable answer: " + a.Detail)
	}
	return b.String()
}

// View is what all authoritative servers of a zone say about one name and type.
type View struct {
	Name, Type  string
	Zone        string            // the zone asked: the deepest cut above or at Name; for NS the zone that holds the delegation
	Servers     []string          // names of the zone's servers as delegated, sorted; empty for pinned zones
	Serial      map[string]uint32 // SOA serial by Answer.Server, of the servers that told it
	Answers     []Answer          // one per server address, in stable order; the unreachable ones too
	NegativeTTL uint32            // seconds; the largest among the answers
	Targets     []View            // what the servers of other zones say about the targets of CNAMEs, in order of the chain
	Skipped     []string          // addresses that were left out, each with the reason
}

// Agree reports whether every server gave the same usable answer, here and along the chain. If not, dissent names who does
// not go along: all StatusError answers, and those that differ from the reference, which is what the servers with the newest
// SOA serial say, among equals what most of them say. A view without answers does not agree.
func (v View) Agree() (all bool, dissent []Answer) {
	ref, ok := v.reference()
	for _, a := range v.Answers {
		if a.Status == StatusError || !ok || !a.same(ref) {
			dissent = append(dissent, a)
		}
	}
	for _, t := range v.Targets {
		_, d := t.Agree()
		dissent = append(dissent, d...)
	}
	return ok && len(dissent) == 0, dissent
}

// Shows reports whether every server shows exactly these TXT records (joined strings, in any order) and nothing else at the name or the end of its
// chain; missing names those that do not, whatever the reason. A view without answers shows nothing.
func (v View) Shows(txt ...string) (all bool, missing []Answer) {
	want := slices.Sorted(slices.Values(txt))
	for _, a := range v.Answers {
		if a.Status != StatusOK || !slices.Equal(a.TXT, want) {
			missing = append(missing, a)
		}
	}
	return len(v.Answers) > 0 && len(missing) == 0, missing
}

// Absent reports whether every server denies the records, by NXDOMAIN or by an answer without data; present names those that have
// them or give no usable answer.
func (v View) Absent() (all bool, present []Answer) {
	for _, a := range v.Answers {
		if a.Status != StatusNXDomain && a.Status != StatusNoData {
			present = append(present, a)
		}
	}
	return len(v.Answers) > 0 && len(present) == 0, present
}

// Reference is what the zone says: what the servers with the newest SOA serial answer, among equals what most of them do. ok is false when none gave a
// usable answer.
func (v View) Reference() (a Answer, ok bool) { return v.reference() }

// reference picks the answer that others are measured by.
func (v View) reference() (Answer, bool) {
	type group struct {
		answer  Answer
		members int
		serial  uint32
		known   bool
	}
	var groups []group
	for _, a := range v.Answers {
		if a.Status == StatusError {
			continue
		}
		serial, known := v.Serial[a.Server]
		i := slices.IndexFunc(groups, func(g group) bool { return g.answer.same(a) })
		if i < 0 {
			groups = append(groups, group{a, 1, serial, known})
			continue
		}
		g := &groups[i]
		g.members++
		if known && (!g.known || serialNewer(serial, g.serial)) {
			g.serial, g.known = serial, true
		}
	}
	if len(groups) == 0 {
		return Answer{}, false
	}
	best := groups[0]
	for _, g := range groups[1:] {
		switch {
		case g.known && best.known && g.serial != best.serial:
			if serialNewer(g.serial, best.serial) {
				best = g
			}
		case g.members > best.members:
			best = g
		}
	}
	return best.answer, true
}

// SerialsAgree reports whether all serials that were seen are the same.
func (v View) SerialsAgree() bool {
	distinct := slices.Compact(slices.Sorted(maps.Values(v.Serial)))
	return len(distinct) <= 1
}

// serialNewer compares as RFC 1982 §3.2 says, so that a serial may wrap.
func serialNewer(a, b uint32) bool { return a != b && int32(a-b) > 0 }
