package ticket

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxString is the longest string within a TXT record, in octets (RFC 1035 §3.3).
const maxString = 255

// ZoneLine writes a record as a zone file does (RFC 1035 §5.1), TXT in strings of at most 255 octets. A record that shall go is a comment, so that pasting
// it does no harm; "" when there is nothing to say.
func ZoneLine(name, rrtype string, ttl time.Duration, want, written string) string {
	if want == "" {
		if written == "" {
			return ""
		}
		return fmt.Sprintf("; take away: %s. %s", oneLine(name), oneLine(rrtype))
	}
	value := oneLine(trimDot(want)) + "."
	if rrtype == "TXT" {
		value = Quote(want)
	}
	return fmt.Sprintf("%s. %d IN %s %s", oneLine(name), int64(ttl/time.Second), oneLine(rrtype), value)
}

// Quote writes a value as the strings of a TXT record in master file form: what is no plain ASCII as \DDD.
func Quote(value string) string {
	parts := cut(value)
	for n, part := range parts {
		var b strings.Builder
		b.WriteByte('"')
		for i := range len(part) {
			switch c := part[i]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		parts[n] = b.String()
	}
	return strings.Join(parts, " ")
}

// cut cuts a value into strings of at most 255 octets; at least one.
func cut(value string) []string {
	var parts []string
	for len(value) > maxString {
		parts = append(parts, value[:maxString])
		value = value[maxString:]
	}
	return append(parts, value)
}

// Zone is the ticket in zone-file form: what is to be added and replaced as records, with comments that say what they take the place of; what is to be
// removed as comments only, so that the text can be pasted as it is.
func Zone(v View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "; %s, revision %d, of %s\n", v.Ticket.Name(), v.Ticket.Revision, clock(v.Now))
	for _, zone := range v.zones() {
		fmt.Fprintf(&b, "\n; zone %s\n", oneLine(zone))
		for _, c := range v.in(zone) {
			line := ZoneLine(c.Name, c.Type, c.TTL, c.Want, c.Written)
			switch c.Kind() {
			case Remove:
				line = fmt.Sprintf("; take away: %s. %s", oneLine(c.Name), oneLine(c.Type))
			case Replace:
				fmt.Fprintf(&b, "; in place of: %s\n", ZoneLine(c.Name, c.Type, c.TTL, c.Written, ""))
			case Restore:
				b.WriteString("; in place of whatever stands there now\n")
			}
			b.WriteString(line + "\n")
		}
	}
	if len(v.Changes) == 0 {
		b.WriteString("\n; nothing is open\n")
	}
	return b.String()
}

// View is a ticket as it is shown.
type View struct {
	Ticket  Ticket
	Contact string // whom it is addressed to
	Host    string // whose console, as inventory.DNSHosts has it
	Changes []Change
	Expires time.Time // zero = nothing waits
	Now     time.Time
}

// zones are the zones that the changes lie in, sorted.
func (v View) zones() []string {
	var zones []string
	for _, c := range v.Changes {
		zones = append(zones, c.Zone())
	}
	return sortedOnce(zones)
}

// in returns the changes in a zone in the order in which they are safe to carry out: additions, replacements, removals.
func (v View) in(zone string) []Change {
	var changes []Change
	for _, c := range v.Changes {
		if c.Zone() == zone {
			changes = append(changes, c)
		}
	}
	slices.SortStableFunc(changes, func(x, y Change) int {
		return cmp.Or(cmp.Compare(order(x, changes), order(y, changes)), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Type, y.Type))
	})
	return changes
}

// order is the place of a change in a zone. What is urgent comes first; a removal comes last, but for one that makes room: no record may stand beside a CNAME (RFC 2181 §10.1).
func order(c Change, among []Change) int {
	if c.Urgent() {
		return -1
	}
	switch c.Kind() {
	case Add:
		return 1
	case Replace:
		return 2
	case Restore:
		return 3
	}
	if c.makesRoom(among) != nil {
		return 0
	}
	return 4
}

// followsRemoval returns the removal that makes room for this addition, nil when there is none.
func (c Change) followsRemoval(among []Change) *Change {
	for i := range among {
		if other := among[i].makesRoom([]Change{c}); other != nil {
			return &among[i]
		}
	}
	return nil
}

// makesRoom returns the addition at the same name that cannot stand beside this record, nil when there is none.
func (c Change) makesRoom(among []Change) *Change {
	for i := range among {
		other := &among[i]
		if c.Want == "" && other.Want != "" && other.Name == c.Name && other.Type != c.Type && (other.Type == "CNAME" || c.Type == "CNAME") {
			return other
		}
	}
	return nil
}
