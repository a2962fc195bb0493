package audit

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/postseal/postseal/dkim"
)

// Errand is what a person was asked to do with one record, for an explanation of what stands instead.
type Errand struct {
	Name   string // absolute, lower case, without trailing dot
	Type   string // TXT or CNAME
	Want   string // "" = nothing should stand there
	Before string // what of ours stood there before; "" = nothing
	Zone   string // the zone that the person works in
}

// Mistake is what went wrong; the zero value means nothing did.
type Mistake struct {
	Code    string // stable word
	Message string
	Fix     string
}

// The codes of mistakes.
const (
	MistakeAbsent   = "absent"        // nothing stands there (yet)
	MistakeOld      = "unchanged"     // what stood before still does
	MistakeSeveral  = "several"       // others stand beside it
	MistakeOther    = "other"         // something else altogether
	MistakeType     = "type"          // a record of another type
	MistakeQuotes   = "quotes"        // quotes are part of the value
	MistakeLine     = "zone-line"     // a line of a zone file was pasted into the value
	MistakeName     = "name-in-value" // the name was pasted into the value
	MistakeCut      = "cut"           // the end is missing
	MistakePieces   = "pieces"        // several records in place of one
	MistakeEscapes  = "escapes"       // backslashes of a zone file are part of the value
	MistakeSpaces   = "spaces"        // spaces or line breaks got into it, or out of it
	MistakeLetters  = "letters"       // capital and small letters were changed
	MistakeStrange  = "characters"    // look-alikes, no-break spaces
	MistakeMore     = "more"          // something follows the value
	MistakeWords    = "other-words"   // the same key, written differently
	MistakeDoubled  = "doubled-name"  // the zone stands twice in the name
	MistakeAppended = "zone-appended" // the zone was added to the target
	MistakePlace    = "wrong-name"    // it stands at another name
)

// Judge says what is wrong with the values that one server shows at the name itself; alias is the target of a CNAME that stands there although a TXT
// record is asked for, "" when there is none.
func (e Errand) Judge(values []string, alias string) Mistake {
	switch {
	case alias != "" && e.Type != "CNAME":
		return Mistake{MistakeType, fmt.Sprintf("a CNAME to %s stands there, beside which nothing else can stand", shown(alias)), "if nobody needs it, remove it, then add the TXT record"}
	case e.Want == "" && len(values) == 0:
		return Mistake{}
	case e.Want == "" && e.Before != "" && len(values) == 1 && values[0] == e.Before:
		return Mistake{MistakeOld, "the record still stands there", "remove it"}
	case e.Want == "":
		return Mistake{MistakeOther, fmt.Sprintf("%s stands there", list(values)), "if it is not what should be removed, leave it and tell whoever asked"}
	case len(values) == 0:
		return Mistake{MistakeAbsent, "nothing stands there", "add the record; if that was done, look whether it was saved, and at which name"}
	}
	return e.judgeValues(values)
}

func (e Errand) judgeValues(values []string) Mistake {
	others := 0
	for _, v := range values {
		if v != e.Want {
			others++
		}
	}
	switch {
	case others == 0:
		return Mistake{}
	case others < len(values):
		return Mistake{MistakeSeveral, "the value stands there, and beside it another record: " + list(without(values, e.Want)), "remove the other one, if nobody needs it: receivers may take either"}
	case len(values) > 1 && e.inPieces(values):
		return Mistake{MistakePieces, fmt.Sprintf("the value was cut into %d records", len(values)), "make one record of it; its pieces are strings within one value"}
	case len(values) > 1:
		return Mistake{MistakeOther, list(values) + " stand there", "one record with the value that was asked for must stand there"}
	case values[0] == e.Before && e.Before != "":
		return Mistake{MistakeOld, "the former value still stands there", "replace it by the new one"}
	case e.Type == "CNAME":
		return e.judgeTarget(values[0])
	}
	return e.judgeText(values[0])
}

// judgeTarget explains a CNAME that leads elsewhere.
func (e Errand) judgeTarget(target string) Mistake {
	target, want, zone := plainHost(target), plainHost(e.Want), plainHost(e.Zone)
	if zone != "" && target == want+"."+zone {
		return Mistake{MistakeAppended, fmt.Sprintf("it leads to %s: the zone was added to the target", shown(target)), fmt.Sprintf("write the target with a dot at its end: %s.", want)}
	}
	return Mistake{MistakeOther, fmt.Sprintf("it leads to %s", shown(target)), fmt.Sprintf("it must lead to %s", want)}
}

// judgeText explains a value that is nearly the one that was asked for.
func (e Errand) judgeText(v string) Mistake {
	unquoted, quote := withoutQuotes(v)
	unescaped, escape := withoutEscapes(v)
	typed, strange := retyped(v)
	read := ReadValue(v)
	switch {
	case read.Strings != nil && read.Text == e.Want && strings.HasPrefix(strings.TrimSpace(v), `"`), quote != "" && (unquoted == e.Want || squeeze(unquoted) == squeeze(e.Want)):
		return Mistake{MistakeQuotes, "quotes are part of the value", "enter the value without quotes; the form puts them in itself"}
	case read.Strings != nil && read.Text == e.Want:
		return Mistake{MistakeLine, "a whole line of a zone file was put into the value", "enter only the value, which begins with " + beginning(e.Want)}
	case escape != "" && (unescaped == e.Want || strings.ReplaceAll(v, `\`, "") == e.Want):
		return Mistake{MistakeEscapes, `backslashes (\;) are part of the value`, "take the backslashes out"}
	case plainHost(v) == e.Name:
		return Mistake{MistakeName, "the name of the record was put into its value", "name and value are two fields"}
	case e.begins(v):
		return e.cutOff(v)
	case strings.HasPrefix(v, e.Want):
		return Mistake{MistakeMore, fmt.Sprintf("%s follows the value", shown(v[len(e.Want):])), "take away what is too much"}
	case squeeze(v) == squeeze(e.Want):
		return Mistake{MistakeSpaces, "spaces or line breaks were put in or left out", "enter the value as one line, exactly as it was given"}
	case len(strange) > 0 && (typed == e.Want || squeeze(typed) == squeeze(e.Want)):
		return Mistake{MistakeStrange, "there are characters that only look right: " + characters(strange), "copy the value as plain text"}
	case strings.EqualFold(v, e.Want):
		return Mistake{MistakeLetters, "capital and small letters were changed, and in a key they are different letters", "enter the value exactly as it was given"}
	case sameKey(v, e.Want):
		return Mistake{MistakeWords, "it is the same key in other words: " + shown(v), "enter the value exactly as it was given; only that is counted as done"}
	}
	return e.mixed(v)
}

// begins reports whether a text is the beginning of the value, and enough of it not to be that of any record.
func (e Errand) begins(text string) bool {
	const enough = 40 // octets: more than all that comes before the key itself
	return strings.HasPrefix(e.Want, text) && (len(text) >= enough || len(text)*2 >= len(e.Want))
}

// cutOff tells the usual limit of a form from any other.
func (e Errand) cutOff(v string) Mistake {
	m := Mistake{MistakeCut, fmt.Sprintf("only the first %d of %d characters stand there", len(v), len(e.Want)), "enter the whole value"}
	if len(v) == txtStringOctets || len(v) == txtStringOctets-1 {
		m.Fix = fmt.Sprintf(`enter the whole value; if the form takes no more than %d characters, write it in pieces, each in quotes: "…" "…"`, txtStringOctets)
	}
	return m
}

// mixed is for more than one mistake at a time, and for values that have nothing to do with ours.
func (e Errand) mixed(v string) Mistake {
	text, _ := withoutEscapes(ReadValue(v).Text)
	text, _ = withoutQuotes(text)
	text, _ = retyped(text)
	text = squeeze(text)
	want := squeeze(e.Want)
	switch {
	case text == want:
		return Mistake{MistakeSpaces, "quotes, backslashes or spaces got into the value: " + shown(v), "enter the value as one line, exactly as it was given"}
	case Errand{Want: want}.begins(text):
		return Mistake{MistakeCut, fmt.Sprintf("only the beginning of the value stands there, in other signs: %s", shown(v)), "enter the whole value, without quotes"}
	}
	return Mistake{MistakeOther, fmt.Sprintf("%s stands there", shown(v)), "if nobody needs it, replace it by the value that was asked for; else tell whoever asked"}
}

// inPieces reports whether records together make the value, in whatever order a server gives them.
func (e Errand) inPieces(values []string) bool {
	octets := 0
	for _, v := range values {
		v, _ = withoutQuotes(v)
		if v == "" || !strings.Contains(e.Want, v) {
			return false
		}
		octets += len(v)
	}
	return octets == len(e.Want)
}

// Place is another name or type at which the record may have ended up.
type Place struct {
	Name, Type string
	Mistake    Mistake
}

// Places are the names at which a record that is missing is found most often.
func (e Errand) Places() []Place {
	if e.Want == "" {
		return nil
	}
	zone := plainHost(e.Zone)
	var places []Place
	add := func(name, code, message string) {
		if name == e.Name || len(name) > 253 || name == "" {
			return
		}
		for _, p := range places {
			if p.Name == name {
				return
			}
		}
		places = append(places, Place{name, e.Type, Mistake{code, fmt.Sprintf(message, name), "move it: the record must be named " + e.Name}})
	}
	if zone != "" {
		add(e.Name+"."+zone, MistakeDoubled, "it stands at %s: the form added the zone to a name that had it already")
	}
	for _, label := range []string{"_domainkey", "_dmarc"} {
		head, domain, found := strings.Cut("."+e.Name+".", "."+label+".")
		if !found {
			continue
		}
		head, domain = strings.Trim(head, "."), strings.Trim(domain, ".")
		join := func(labels ...string) string { return strings.Trim(strings.Join(labels, "."), ".") }
		add(join(head, strings.TrimPrefix(label, "_"), domain), MistakePlace, "it stands at %s: the underscore got lost")
		if head != "" {
			add(join(head, domain), MistakePlace, "it stands at %s: "+label+" is missing in the name")
			add(join(label, domain), MistakePlace, "it stands at %s: the selector is missing in the name")
		}
		add(domain, MistakePlace, "it stands at %s itself: the name was left out")
		if zone != "" && zone != domain && strings.HasSuffix(domain, "."+zone) {
			add(join(head, label, zone), MistakePlace, "it stands at %s: the subdomain is missing in the name")
		}
	}
	if e.Type == "CNAME" {
		places = append(places, Place{e.Name, "TXT", Mistake{MistakeType, "the target was entered as a TXT record", "remove that, and add a CNAME record with it"}})
	}
	return places
}

// Ours reports whether one of the values is the one that was asked for, mistakes in it aside.
func (e Errand) Ours(values []string) bool {
	for _, v := range values {
		if e.Type == "CNAME" {
			v, want := plainHost(v), plainHost(e.Want)
			if v == want || e.Zone != "" && v == want+"."+plainHost(e.Zone) {
				return true
			}
			continue
		}
		if v == e.Want {
			return true
		}
		if m := e.judgeText(v); m.Code != MistakeOther && m.Code != MistakeName {
			return true
		}
	}
	return false
}

// sameKey reports whether two key records have the same public key.
func sameKey(a, b string) bool {
	x, err := dkim.ParseKeyRecord(a)
	if err != nil {
		return false
	}
	y, err := dkim.ParseKeyRecord(b)
	return err == nil && x.Fingerprint() != "" && x.Fingerprint() == y.Fingerprint()
}

// squeeze takes all white space out.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func plainHost(name string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
}

// beginning is enough of a value to recognise it.
func beginning(value string) string {
	const most = 12
	return quoteASCII(value[:min(len(value), most)])
}

func without(values []string, one string) []string {
	var rest []string
	for _, v := range values {
		if v != one {
			rest = append(rest, v)
		}
	}
	return rest
}

// list shows values in a sentence.
func list(values []string) string {
	const most = 3
	var parts []string
	for _, v := range values[:min(len(values), most)] {
		parts = append(parts, shown(v))
	}
	if len(values) > most {
		parts = append(parts, fmt.Sprintf("%d more", len(values)-most))
	}
	return strings.Join(parts, ", ")
}
