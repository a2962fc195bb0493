package ticket

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Title is the ticket in a line: what a mail has as its subject.
func Title(v View) string {
	zones := v.zones()
	where := strings.Join(zones, ", ")
	const named = 3 // zones in a line that is still read
	if len(zones) > named {
		where = fmt.Sprintf("%s and %d more zones", strings.Join(zones[:named], ", "), len(zones)-named)
	}
	if len(v.Changes) == 0 {
		return fmt.Sprintf("[%s] nothing is left to do", v.Ticket.Name())
	}
	urgent := ""
	if v.urgent() {
		urgent = "URGENT: "
	}
	text := fmt.Sprintf("[%s] %s%s in %s", v.Ticket.Name(), urgent, count(len(v.Changes), "DNS change"), oneLine(where))
	switch {
	case !v.Ticket.Expired.IsZero():
		text += " (overdue)"
	case v.Ticket.Reminders > 0:
		text += " (reminder)"
	}
	return text
}

// Text is the ticket as a whole, for whoever changes the zone and knows nothing of it: why, what, where, how to check, until when, and what happens if not.
func Text(v View) string {
	var b strings.Builder
	title := Title(v)
	fmt.Fprintf(&b, "%s\n%s\n\n", title, strings.Repeat("-", len([]rune(title))))
	if v.Contact != "" {
		fmt.Fprintf(&b, "For:      %s\n", oneLine(v.Contact))
	}
	fmt.Fprintf(&b, "Asked:    %s%s\n", clock(v.Ticket.Opened), v.revised())
	if len(v.Changes) == 0 {
		b.WriteString("\nEverything that this ticket asked for has been seen on every name server, or is no longer wanted. Thank you.\n")
		return b.String()
	}
	if v.urgent() {
		b.WriteString("URGENT:   a private key is in the wrong hands. What is marked so below cannot wait: please do it now, before anything else.\n")
	}
	fmt.Fprintf(&b, "Please %s", v.until())
	if !v.Ticket.Expired.IsZero() {
		fmt.Fprintf(&b, ", %s has passed; it is still needed", v.deadline("which"))
	}
	b.WriteString("\n\n")
	if v.Ticket.Note != "" {
		fmt.Fprintf(&b, "Note by %s: %s\n\n", oneLine(v.Ticket.NoteBy), oneLine(v.Ticket.Note))
	}
	v.introduction(&b)
	number := 0
	for _, zone := range v.zones() {
		changes := v.in(zone)
		fmt.Fprintf(&b, "\nZone %s: %s\n%s\n", oneLine(zone), count(len(changes), "change"), strings.Repeat("-", 60))
		for _, c := range changes {
			number++
			v.change(&b, number, c, changes)
		}
	}
	v.ending(&b)
	return b.String()
}

func (v View) revised() string {
	text := ""
	if v.Ticket.Revision > 1 {
		text = fmt.Sprintf("; this is revision %d of %s", v.Ticket.Revision, clock(v.Ticket.Revised))
	}
	if n := v.done(); n > 0 {
		text += fmt.Sprintf("; %d of %d done", n, len(v.Ticket.Items))
	}
	return text
}

// urgent reports whether a change cannot wait.
func (v View) urgent() bool {
	return slices.ContainsFunc(v.Changes, func(c Change) bool { return c.Urgent() })
}

// until is by when it is asked for: what is urgent at once, and the rest in time.
func (v View) until() string {
	by := "by " + clock(v.Expires)
	switch {
	case !v.urgent():
		return by
	case slices.ContainsFunc(v.Changes, func(c Change) bool { return !c.Urgent() }):
		return "do at once what is marked URGENT, and the rest " + by
	}
	return "at once"
}

// deadline is when the ticket counts as overdue, where the sentence before has not said it in so many words.
func (v View) deadline(said string) string {
	if v.urgent() {
		return clock(v.Expires)
	}
	return said
}

func (v View) done() (n int) {
	for _, i := range v.Ticket.Items {
		if i.Ending == Done {
			n++
		}
	}
	return n
}

func (v View) introduction(b *strings.Builder) {
	fmt.Fprintf(b, `WHY
  Mail of these domains carries signatures (DKIM). Whoever receives it looks up a public key in the DNS of the domain, and
  so tells genuine mail from forged. That only works when the records below stand there exactly as they are written here.

WHAT
  Please make %s of DNS, in the order given. Nothing needs to be reported back: the name servers are looked at
  all the time, and a change counts as soon as every one of them shows it.
`, phrase(len(v.Changes), "this change", "these %d changes"))
	has := map[Kind]bool{}
	for _, c := range v.Changes {
		has[c.Kind()] = true
	}
	if has[Replace] || has[Restore] {
		b.WriteString("  Where a value is replaced, edit the record that is there. Do not delete it first and add it later: in between mail fails.\n")
	}
	if has[Remove] && len(has) > 1 {
		b.WriteString("  Remove records last, and only when the additions and replacements of the same zone are in place.\n")
	}
}

func phrase(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

func (v View) change(b *strings.Builder, number int, c Change, among []Change) {
	const in = "   "
	fmt.Fprintf(b, "\n%d. %s\n", number, c.heading())
	fmt.Fprintf(b, "%sThis is %s.\n", in, c.meaning())
	fmt.Fprintf(b, "%sIf not: %s.\n", in, c.whenNot())
	if other := c.makesRoom(among); other != nil {
		fmt.Fprintf(b, "%sA %s record of the same name follows, which cannot stand beside this one: have it at hand, remove this, and add that at once.\n", in, oneLine(other.Type))
	}
	fmt.Fprintf(b, "\n%s\n", indent("There now: "+strings.ReplaceAll(c.before(among), "\n", "\n           "), in))
	fmt.Fprintf(b, "%sName:      %s\n", in, v.nameLine(c))
	fmt.Fprintf(b, "%sType:      %s\n", in, oneLine(c.Type))
	if c.Want != "" {
		fmt.Fprintf(b, "%sTTL:       %d seconds\n", in, int64(c.TTL/time.Second))
		old := ""
		if c.Kind() == Replace {
			old = "new "
		}
		note := ""
		if c.Type == "TXT" {
			note = " (one line, without quotes around it)"
		}
		fmt.Fprintf(b, "\n%sThe %svalue%s:\n\n%s\n", in, old, note, oneLine(formValue(c.Type, c.Want)))
		fmt.Fprintf(b, "\n%sThe same as a line of a zone file:\n\n%s\n", in, ZoneLine(c.Name, c.Type, c.TTL, c.Want, ""))
	}
	fmt.Fprintf(b, "\n%sTo check, afterwards (each must %s):\n\n", in, c.expected())
	for _, dig := range c.digs() {
		fmt.Fprintf(b, "%s  %s\n", in, dig)
	}
}

// nameLine is the name for a form: most add the zone themselves, some want all of it.
func (v View) nameLine(c Change) string {
	short, ok := relativeName(c.Name, c.Zone())
	if !ok {
		return oneLine(c.Name)
	}
	if consoleOf(v.Host).names == relative {
		return fmt.Sprintf("%s   (the form adds .%s)", oneLine(short), oneLine(c.Zone()))
	}
	return fmt.Sprintf("%s   (or %s, where the form wants the full name)", oneLine(short), oneLine(c.Name))
}

// expected says what the check shows when all is well.
func (c Change) expected() string {
	if c.Want == "" {
		return "show nothing"
	}
	if c.Type == "TXT" && len(c.Want) > maxString {
		return `show the value, which may be cut into several "…" "…"`
	}
	if c.Type == "CNAME" {
		return "show the value, with a dot at its end"
	}
	return "show the value"
}

// maxDigs is how many servers are named in a text; a zone with more is rare, and the rest is asked by us anyway.
const maxDigs = 8

// digs are commands that ask each authoritative server.
func (c Change) digs() []string {
	var digs []string
	for _, s := range c.Last.Servers {
		digs = append(digs, fmt.Sprintf("dig +short +norecurse %s%s %s", shellWord(c.Name), " "+shellWord(c.Type), digServer(s.Server)))
	}
	if len(digs) == 0 {
		return []string{fmt.Sprintf("dig +short %s %s", shellWord(c.Name), shellWord(c.Type))}
	}
	return digs[:min(len(digs), maxDigs)]
}

// digServer is a server as dig takes it; label is "ns1.example.org (192.0.2.1:53)", or the address alone.
func digServer(label string) string {
	name, address, named := strings.Cut(strings.TrimSuffix(label, ")"), " (")
	if !named {
		address = name
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "@" + shellWord(name)
	}
	if !named {
		name = host
	}
	text := "@" + shellWord(name)
	if port != "53" {
		text = "@" + shellWord(host) + " -p " + shellWord(port)
	}
	return text
}

// shellWord keeps what a shell could take for more than a word out of a command that people paste.
func shellWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:", r) {
			return r
		}
		return -1
	}, s)
}

func (v View) ending(b *strings.Builder) {
	fmt.Fprintf(b, `
UNTIL WHEN
  Please %s. After %s the request is shown as overdue. Nothing is undone by itself, a key whose record is missing
  is never used, and a record that comes later still counts.

WHEN SOMETHING IS UNCLEAR
  Change nothing and ask whoever sent you this, naming %s. %s
`, v.until(), v.deadline("that"), v.Ticket.Name(), mistakes)
}

// mistakes are those that are seen most.
const mistakes = `The mistakes seen most: the name ends in the zone twice; quotes were pasted
  into the value; the value was cut at 255 characters; spaces or line breaks got into it.`
