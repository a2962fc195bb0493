package manual

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/postseal/postseal/internal/publisher"
)

// Ticket is the text that asks a person for changes: what must stand there now, the record in zone-file form with strings of at most 255
// octets, and the same as name, type and value for the forms of DNS hosts. zone is the zone in which the person works,
// which makes the names in the forms relative; "" when it is not known. contact is whom it is addressed to, "" = nobody in particular.
// Requests are written in the order given; lines end in "\n".
func Ticket(zone, contact string, requests ...publisher.Request) string {
	var b strings.Builder
	what := "this change"
	if len(requests) != 1 {
		what = fmt.Sprintf("these %d changes", len(requests))
	}
	if contact != "" {
		fmt.Fprintf(&b, "To: %s\n", oneLine(contact))
	}
	where := "the DNS"
	if zone != "" {
		where = "the zone " + oneLine(strings.TrimSuffix(zone, "."))
	}
	fmt.Fprintf(&b, "Please make %s in %s. Nothing needs to be reported back: it is noticed when every name server shows it.\n", what, where)
	for i, r := range requests {
		fmt.Fprintf(&b, "\n%d. %s\n", i+1, task(r))
		fmt.Fprintf(&b, "   Now there: %s\n", before(r))
		if r.Want == "" {
			fmt.Fprintf(&b, "%s   Type:  %s\n", formName(r.Name, zone), oneLine(r.Type))
			continue
		}
		fmt.Fprintf(&b, "\n   Zone file:\n%s\n", indent(zoneFile(r)))
		fmt.Fprintf(&b, "   Form:\n%s   Type:  %s\n   TTL:   %d\n   Value: %s\n", formName(r.Name, zone), oneLine(r.Type), seconds(r.TTL), formValue(r))
	}
	return b.String()
}

func task(r publisher.Request) string {
	switch {
	case r.Want == "":
		return fmt.Sprintf("Remove the %s record at %s.", oneLine(r.Type), oneLine(r.Name))
	case r.Expect == "":
		return fmt.Sprintf("Add a %s record at %s.", oneLine(r.Type), oneLine(r.Name))
	}
	return fmt.Sprintf("Replace the %s record at %s.", oneLine(r.Type), oneLine(r.Name))
}

// before tells the person what our ownership guard would have checked.
func before(r publisher.Request) string {
	if r.Expect == "" {
		return "nothing. If there is a record at that name already, please change nothing and tell us."
	}
	return formValue(publisher.Request{Type: r.Type, Want: r.Expect}) + "\n   If something else is there, please change nothing and tell us."
}

// zoneFile writes the record as RFC 1035 §5.1 does; several strings go into parentheses, one to a line.
func zoneFile(r publisher.Request) string {
	head := fmt.Sprintf("%s. %d IN %s", oneLine(r.Name), seconds(r.TTL), oneLine(r.Type))
	if r.Type == publisher.CNAME {
		return head + " " + oneLine(strings.TrimSuffix(r.Want, ".")) + "."
	}
	parts := publisher.Strings(r.Want)
	for i, s := range parts {
		parts[i] = quote(s)
	}
	if len(parts) == 1 {
		return head + " " + parts[0]
	}
	return head + " (\n    " + strings.Join(parts, "\n    ") + " )"
}

// formName is the name for a DNS host's form: most add the zone themselves, some want all of it.
func formName(name, zone string) string {
	full, zone := oneLine(name), strings.ToLower(strings.TrimSuffix(zone, "."))
	short, inside := strings.CutSuffix(full, "."+zone)
	switch {
	case zone == "" || full != zone && !inside:
		return "   Name:  " + full + "\n"
	case full == zone:
		short = "@"
	}
	return fmt.Sprintf("   Name:  %s\n   or, where the form wants the full name:\n   Name:  %s\n", short, full)
}

// formValue is what the value field takes: one piece, without quotes.
func formValue(r publisher.Request) string {
	if r.Type == publisher.CNAME {
		return oneLine(strings.TrimSuffix(r.Want, "."))
	}
	return oneLine(r.Want)
}

// quote writes a string for a zone file: what is not plain ASCII as \DDD (RFC 1035 §5.1).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
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
	return b.String()
}

// oneLine keeps what came from elsewhere (a service's value, a contact) from writing lines of its own into the ticket.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}

func indent(s string) string {
	return "   " + strings.ReplaceAll(s, "\n", "\n   ")
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
