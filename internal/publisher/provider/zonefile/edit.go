package zonefile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

// The lines around our records.
const (
	begin = "; BEGIN Postseal: the records between these lines are written by Postseal, do not edit them"
	end   = "; END Postseal"
)

const (
	// maxRecords is how many records a file may have.
	maxRecords = 200_000
	// maxTried bounds the lines that are tried for one record outside of our part: each costs reading the file once.
	maxTried = 50
)

// parse reads a zone file as a name server does. Files that include others are not written: what stands at a name is not in this file alone.
func parse(text []byte, zone, file string) ([]dns.RR, error) {
	if regexp.MustCompile(`(?mi)^\s*\$(INCLUDE|GENERATE)\b`).Match(text) {
		return nil, fault.New(fault.Invalid, "the file %s has $INCLUDE or $GENERATE, which Postseal does not follow", file).
			WithHint("give the names below _domainkey a zone file of their own, without these")
	}
	parser := dns.NewZoneParser(strings.NewReader(string(text)), dns.Fqdn(zone), file)
	var out []dns.RR
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if len(out) == maxRecords {
			return nil, fault.New(fault.Invalid, "the file %s has more than %d records", file, maxRecords)
		}
		out = append(out, rr)
	}
	if err := parser.Err(); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file %s cannot be read as a zone: %v", file, err).WithHint("named-checkzone says where")
	}
	if !slices.ContainsFunc(out, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeSOA && plain(rr.Header().Name) == plain(zone)
	}) {
		return nil, fault.New(fault.NotFound, "the file %s has no SOA record of %s", file, zone).WithHint("check zone and file of the publisher")
	}
	return out, nil
}

// editor changes the text of one zone file, and keeps what it must hold afterwards.
type editor struct {
	zone, file string
	text       string
	rrs        []dns.RR // that the text must hold
}

// key is a record as it is compared.
func key(rr dns.RR) string { return strings.ToLower(rr.Header().Name) + rr.String() }

// holds reports whether a text has exactly these records.
func (e *editor) holds(text string, rrs []dns.RR) bool {
	got, err := parse([]byte(text), e.zone, e.file)
	if err != nil || len(got) != len(rrs) {
		return false
	}
	keys := func(list []dns.RR) []string {
		var out []string
		for _, rr := range list {
			out = append(out, key(rr))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(keys(got), keys(rrs))
}

// without is the list without one record.
func without(list []dns.RR, rr dns.RR) []dns.RR {
	i := slices.IndexFunc(list, func(r dns.RR) bool { return key(r) == key(rr) })
	return slices.Delete(slices.Clone(list), i, i+1)
}

// remove takes the lines of one record away. Which those are is found by trying: the text without them must hold everything else and nothing more.
func (e *editor) remove(rr dns.RR) error {
	rest := without(e.rrs, rr)
	lines := strings.SplitAfter(e.text, "\n")
	word := dns.TypeToString[rr.Header().Rrtype]
	tried := 0
	for i, line := range lines {
		if !strings.Contains(strings.ToUpper(line), word) || strings.HasPrefix(strings.TrimSpace(line), ";") {
			continue
		}
		if tried++; tried > maxTried {
			break
		}
		last := closing(lines, i)
		if text := strings.Join(slices.Concat(lines[:i], lines[last+1:]), ""); e.holds(text, rest) {
			e.text, e.rrs = text, rest
			return nil
		}
	}
	return fault.New(fault.Conflict, "the lines of %s %s in %s cannot be taken away by themselves", strings.TrimSuffix(rr.Header().Name, "."), word, e.file).
		WithHint("delete the record by hand; one whose name other lines take over from it is often the reason")
}

// closing is the last line of an entry that begins at a line: one with an open parenthesis goes on (RFC 1035 §5.1).
func closing(lines []string, at int) int {
	depth := 0
	for i := at; i < len(lines); i++ {
		quoted := false
	line:
		for j := 0; j < len(lines[i]); j++ {
			switch c := lines[i][j]; {
			case c == '\\':
				j++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == ';':
				break line
			case c == '(':
				depth++
			case c == ')':
				depth--
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return at
}

// add writes a record into our part, which is made at the end of the file when there is none.
func (e *editor) add(rr dns.RR) {
	line := rr.String() + "\n"
	if at := strings.Index(e.text, "\n"+end); at >= 0 && strings.Contains(e.text[:at+1], begin) {
		e.text = e.text[:at+1] + line + e.text[at+1:]
	} else {
		if !strings.HasSuffix(e.text, "\n") {
			e.text += "\n"
		}
		e.text += begin + "\n" + line + end + "\n"
	}
	e.rrs = append(e.rrs, rr)
}

// raiseSerial raises the SOA's serial: dates stay dates, other numbers go up by one (RFC 1982).
func (e *editor) raiseSerial(now time.Time) error {
	i := slices.IndexFunc(e.rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
	soa := dns.Copy(e.rrs[i]).(*dns.SOA)
	old := soa.Serial
	soa.Serial = nextSerial(old, now)
	next := append(without(e.rrs, e.rrs[i]), soa)
	word := regexp.MustCompile(`(^|[\s(])` + strconv.FormatUint(uint64(old), 10) + `([\s;)]|$)`)
	for _, at := range word.FindAllStringIndex(e.text, maxTried) {
		text := e.text[:at[0]] + strings.Replace(e.text[at[0]:at[1]], strconv.FormatUint(uint64(old), 10), strconv.FormatUint(uint64(soa.Serial), 10), 1) + e.text[at[1]:]
		if e.holds(text, next) {
			e.text, e.rrs = text, next
			return nil
		}
	}
	return fault.New(fault.Conflict, "the serial %d of the SOA record was not found in %s", old, e.file).WithHint("write the SOA record in the usual form, its serial as a number by itself")
}

func nextSerial(old uint32, now time.Time) uint32 {
	const year = 1_000_000 // in serials such as 2026112701
	if n := uint64(old); n >= 1970*year && n < uint64(now.UTC().Year()+2)*year {
		if today, err := strconv.ParseUint(now.UTC().Format("20060102")+"00", 10, 32); err == nil && uint32(today) > old {
			return uint32(today)
		}
	}
	if old == 1<<32-1 {
		return 1 // zero is taken for no serial by some
	}
	return old + 1
}

// proven returns the text if it holds exactly what it must.
func (e *editor) proven() ([]byte, error) {
	if !e.holds(e.text, e.rrs) {
		return nil, fault.New(fault.Internal, "the edit of %s would change more than it should, so it was not made", e.file)
	}
	return []byte(e.text), nil
}
