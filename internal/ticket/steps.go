package ticket

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Steps is the ticket as numbered click steps for the console of its owner's DNS host.
func Steps(v View) string {
	var b strings.Builder
	k := consoleOf(v.Host)
	fmt.Fprintf(&b, "%s\nSteps for %s\n", Title(v), k.title)
	if len(v.Changes) == 0 {
		b.WriteString("\nNothing is left to do.\n")
		return b.String()
	}
	number := 0
	step := func(format string, args ...any) {
		number++
		fmt.Fprintf(&b, "%3d. %s\n", number, fmt.Sprintf(format, args...))
	}
	for _, zone := range v.zones() {
		fmt.Fprintf(&b, "\nZone %s\n", oneLine(zone))
		for _, way := range k.open {
			step("%s", strings.ReplaceAll(way, "ZONE", oneLine(zone)))
		}
		changes := v.in(zone)
		for _, c := range changes {
			fmt.Fprintf(&b, "\n  %s\n", c.heading())
			k.steps(c, changes, step)
		}
	}
	fmt.Fprintf(&b, "\nNothing needs to be reported back: a change counts as soon as every name server shows it.\n")
	return b.String()
}

// steps are those of one change.
func (k console) steps(c Change, among []Change, step func(format string, args ...any)) {
	switch kind := c.Kind(); {
	case kind == Remove:
		switch other := c.makesRoom(among); {
		case other != nil:
			step("Have the %s record of the same name at hand, which comes next: it cannot stand beside this one.", oneLine(other.Type))
		case len(among) > 1 && order(c, among) > order(among[0], among):
			step("Go on only when everything above is saved.")
		}
		step("%s %s", k.find(c, k.remove, "Find the %s record named %s and delete it."), c.recognise())
		return
	case kind == Add:
		if c.followsRemoval(among) == nil {
			step("Look whether there is a record named %s already. If so, change nothing and tell us.", k.short(c))
		}
		if c.Type == "CNAME" && k.alias != "" {
			step("%s", strings.ReplaceAll(k.alias, "OWNER", oneLine(c.Name)))
			break
		}
		step("%s", strings.ReplaceAll(k.add, "TYPE", oneLine(c.Type)))
	case kind == Restore:
		step("Look for the %s record named %s. If it is there with another value, edit it; if there is none, add one.", oneLine(c.Type), k.short(c))
	default:
		step("%s %s", k.find(c, k.edit, "Find the %s record named %s and edit it. Do not delete it."), c.recognise())
	}
	if note := k.notes[c.Type]; note != "" && (c.Type == "CNAME" || len(c.Want) > maxString) {
		step("%s", note)
	}
	if k.most > 0 && c.Type == "TXT" && len(c.Want) > k.most {
		step("%s\n\n%s\n", k.tooLong, ZoneLine(c.Name, c.Type, c.TTL, c.Want, ""))
		return
	}
	if c.Kind() != Replace && (c.Type != "CNAME" || k.alias == "") {
		step("%s: %s", k.name, k.typed(c))
	}
	field := k.value
	if c.Type == "CNAME" {
		field = k.target
	}
	step("%s: %s\n\n%s\n", field, k.how(c), k.written(c))
	step("TTL: %d seconds, or the nearest that the form offers; leave it where there is no such field.", int64(c.TTL/time.Second))
	step("%s", cmp.Or(k.save, "Save."))
	k.sign(c, step)
}

// find is the way to an existing record.
func (k console) find(c Change, way, otherwise string) string {
	if way == "" {
		return fmt.Sprintf(otherwise, oneLine(c.Type), k.short(c))
	}
	return fmt.Sprintf("The %s record named %s: %s", oneLine(c.Type), k.short(c), way)
}

// short is the name as the console lists it, as far as that is known.
func (k console) short(c Change) string {
	if short, ok := relativeName(c.Name, c.Zone()); ok && k.names == relative {
		return oneLine(short)
	}
	return oneLine(c.Name)
}

// typed is what goes into the field for the name.
func (k console) typed(c Change) string {
	short, ok := relativeName(c.Name, c.Zone())
	switch {
	case !ok:
		return oneLine(c.Name)
	case short == "@" && k.noApex:
		return "leave it empty"
	case k.names == relative:
		return fmt.Sprintf("%s   (without %s, which is added)", oneLine(short), oneLine(c.Zone()))
	}
	return fmt.Sprintf("%s   (if the form shows no zone beside the field, or asks for the full name: %s)", oneLine(short), oneLine(c.Name))
}

// how says how the value is written.
func (k console) how(c Change) string {
	switch {
	case c.Type == "CNAME" && k.dot == dotNeeded:
		return "this name, with the dot at its end"
	case c.Type == "CNAME":
		return "this name"
	case k.txt == pieces && len(c.Want) > maxString:
		return "this line as it is, with the quotes: long values are several pieces, each in quotes"
	case k.txt == pieces:
		return "this line as it is, with the quotes"
	}
	return "this line, all of it, without quotes around it"
}

func (k console) written(c Change) string {
	value := oneLine(formValue(c.Type, c.Want))
	switch {
	case c.Type == "CNAME" && k.dot == dotNeeded:
		return value + "."
	case c.Type == "TXT" && k.txt == pieces:
		return Quote(c.Want)
	}
	return value
}

// sign says by what to tell that the form understood something else, where it is not known what it does.
func (k console) sign(c Change, step func(format string, args ...any)) {
	zone := oneLine(c.Zone())
	if k.names == either && c.Kind() != Replace {
		step("Look at the list: the record must be named %s. If it ends in %s.%s, the form adds the zone itself: take the zone out of the name.", oneLine(c.Name), zone, zone)
	}
	if c.Type == "CNAME" && k.dot == dotUnknown {
		target := oneLine(formValue(c.Type, c.Want))
		step("Look at the target in the list: if it became %s.%s, write it with a dot at its end.", target, zone)
	}
}

// recognise says by what the former record is told from another one.
func (c Change) recognise() string {
	const most = 30 // characters of a value that people compare
	value := oneLine(formValue(c.Type, c.Written))
	switch runes := []rune(value); {
	case c.Written == "":
		return "If there is none, nothing is to be done."
	case len(runes) > most:
		return fmt.Sprintf("Its value must begin with %q; if not, change nothing and tell us.", string(runes[:most]))
	}
	return fmt.Sprintf("Its value must be exactly %q; if not, change nothing and tell us.", value)
}
