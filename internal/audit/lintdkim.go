package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/postseal/postseal/dkim"
)

// maxRecordOctets is the longest record that package dkim reads, and that is looked into here: twenty times the largest of sense.
const maxRecordOctets = 16 << 10

// RecordLint is what the text of one record shows.
type RecordLint struct {
	// Valid is false when a receiver has to ignore the record or reject what is signed with it (RFC 6376 §3.6.1, §6.1.2; RFC 8301
	// §3.2). It says what package dkim's verifier does. A revoked key is valid: receivers obey it.
	Valid    bool
	Findings []Finding // the worst first

	KeyType   string // "rsa" or "ed25519" when Valid
	Bits      int    // of the modulus, 256 for Ed25519; 0 when revoked or not Valid
	Revoked   bool
	Corrected string // the record with everything mended that can be told from the text; "" when the key itself is missing or must not be used
}

// LintDKIM looks at a DKIM key record. It finds what one record can show by itself: the rules DKIM-S and DKIM-K of the catalogue that need
// no name, no other record and no message. It never fails, whatever the value holds.
func LintDKIM(v Value) RecordLint {
	l := linter{value: v}
	l.judge()
	switch {
	case len(v.Text) > maxRecordOctets:
		l.add("DKIM-S08", Error, "", "the record has %d octets; receivers stop at %d or much earlier", len(v.Text), maxRecordOctets)
	case l.misplaced():
	default:
		l.repair()
		l.correct()
		l.syntax()
		l.flags()
		l.key()
		l.cuts()
	}
	l.explain()
	return l.finish()
}

// linter goes through one record.
type linter struct {
	RecordLint
	value   Value
	refusal string // why a receiver cannot use it; "" when Valid

	text    string  // the record without what spoils it as a whole: quotes, escapes, strange characters, PEM lines
	tags    tagList // of text
	mended  tagList // of text with the missing semicolons
	p       material
	private string // which private key is published, "" if none
	kept    []tag  // what Corrected is made of, in order
}

// add notes a finding. Without a fix it is to publish the corrected record.
func (l *linter) add(id string, severity Severity, fix, format string, args ...any) {
	l.Findings = append(l.Findings, Finding{ID: id, Severity: severity, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// judge asks package dkim, and what its verifier checks beyond the parser (RFC 6376 §6.1.2 steps 5 to 8).
func (l *linter) judge() {
	record, err := dkim.ParseKeyRecord(l.value.Text)
	if err != nil {
		l.refusal = refusalOf(err)
		return
	}
	tags, err := dkim.ParseTagList(l.value.Text)
	if err != nil {
		l.refusal = refusalOf(err)
		return
	}
	for _, t := range tags {
		switch {
		case t.Name == "h" && !slices.Contains(items(t.Value), "sha256"):
			l.refusal = "h= does not allow sha256"
		case t.Name == "s" && !slices.Contains(items(t.Value), "email") && !slices.Contains(items(t.Value), "*"):
			l.refusal = "s= is not for mail"
		}
	}
	if record.Type == "rsa" && !record.Revoked && record.Bits < dkim.MinRSABits {
		l.refusal = fmt.Sprintf("RSA of %d bits", record.Bits)
	}
	if l.refusal == "" {
		l.Valid, l.KeyType, l.Bits, l.Revoked = true, record.Type, record.Bits, record.Revoked
	}
}

// refusalOf is the detail of an error of package dkim.
func refusalOf(err error) string {
	if e, ok := err.(*dkim.Error); ok && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}

// misplaced finds records of other kinds; nothing else is worth saying about those.
func (l *linter) misplaced() bool {
	kinds := []struct{ start, what, place string }{
		{"v=spf1", "an SPF record", "the domain itself"},
		{"v=dmarc1", "a DMARC record", "_dmarc.DOMAIN"},
		{"v=stsv1", "an MTA-STS record", "_mta-sts.DOMAIN"},
		{"v=tlsrptv1", "a TLS reporting record", "_smtp._tls.DOMAIN"},
		{"v=bimi1", "a BIMI record", "SELECTOR._bimi.DOMAIN"},
	}
	start := strings.ToLower(unspaced(l.value.Text))
	for _, k := range kinds {
		if strings.HasPrefix(strings.TrimLeft(start, "\"'“”"), k.start) {
			l.add("DKIM-S25", Error, "move it to "+k.place+", publish the key record here; if it comes from a wildcard (*), limit the wildcard to other names",
				"this is %s, not a key record", k.what)
			return true
		}
	}
	return false
}

// repair takes away, one after the other, what spoils the text as a whole.
func (l *linter) repair() {
	l.text = l.value.Text
	if mended, what := withoutArmour(l.text); mended != l.text {
		l.text = mended
		if strings.Contains(what, "PRIVATE") {
			l.private = "the PEM lines of " + shown(what)
		} else {
			l.add("DKIM-S23", Error, "", "the lines of a PEM file (%s) are part of the record", shown(what))
		}
	}
	if mended, seen := withoutQuotes(l.text); seen != "" {
		l.text = mended
		l.add("DKIM-S06", Error, "", "the record holds quotation marks (%s); they belong to zone files and forms, not to the value", seen)
	}
	if mended, seen := withoutEscapes(l.text); seen != "" {
		l.text = mended
		l.add("DKIM-S07", Error, "", `semicolons stand in the record as \;, the way a zone file without quotes has them`)
	}
	if mended, seen := retyped(l.text); len(seen) > 0 {
		l.text = mended
		l.add("DKIM-S26", Warning, "", "the record holds characters that are no printable ASCII: %s", characters(seen))
	}
	l.tags = scanTags(l.text)
	separate, seen := separated(l.text)
	l.mended = scanTags(separate)
	if seen != "" {
		l.add("DKIM-S27", Warning, "", "there is no semicolon before %s, so it is part of the tag in front of it", shown(seen))
	}
	for _, t := range l.mended {
		for _, text := range []string{t.value, t.text} {
			if octets, _, _ := decode(text); l.private == "" {
				l.private = privateKey(octets)
			}
		}
	}
	if l.private != "" {
		l.add("DKIM-S22", Error, l.revocation(), "a private key is published here: %s; everybody can sign with it", l.private)
	}
}

// revocation is what to do about a private key in DNS.
func (l *linter) revocation() string {
	keyType := keyTypeOf(l.mended)
	if strings.Contains(l.private, "Ed25519") {
		keyType = "ed25519"
	}
	return fmt.Sprintf("at once: stop signing with this key, publish %s to revoke it, and make another one under another selector (postseal keygen)",
		join([]tag{{name: "v", value: "DKIM1"}, {name: "k", value: keyType}, {name: "p"}}))
}

// keyTypeOf is the key type that k= means to name.
func keyTypeOf(tags tagList) string {
	k, _ := tags.get("k")
	if strings.HasPrefix(strings.ToLower(unspaced(k)), "ed25519") {
		return "ed25519"
	}
	return "rsa"
}

// correct composes the record as it should be, from what can be told for certain.
func (l *linter) correct() {
	p, there := l.mended.get("p")
	if !there && len(l.mended) == 1 && !l.mended[0].known() {
		// A bare key, without any tag.
		p = l.text
	}
	l.p = readMaterial(p)
	if l.private != "" || l.ambiguous() {
		return
	}
	keyType, key := l.p.published()
	switch {
	case key != "":
	case there && unspaced(p) == "":
		keyType = keyTypeOf(l.mended)
	default:
		return
	}
	l.kept = []tag{{name: "v", value: "DKIM1"}, {name: "k", value: keyType}}
	keep := func(name string, allowed ...string) {
		list, _ := l.mended.get(name)
		var good []string
		for _, item := range items(strings.ToLower(list)) {
			if item = unspaced(item); slices.Contains(allowed, item) && !slices.Contains(good, item) {
				good = append(good, item)
			}
		}
		if len(good) > 0 {
			l.kept = append(l.kept, tag{name: name, value: strings.Join(good, ":")})
		}
	}
	keep("h", "sha256")
	keep("s", "email", "*")
	keep("t", "y", "s")
	if note, _ := l.mended.get("n"); note != "" {
		l.kept = append(l.kept, tag{name: "n", value: strings.Join(strings.Fields(note), " ")})
	}
	l.kept = append(l.kept, tag{name: "p", value: key})
	if record := join(l.kept); accepted(record) {
		l.Corrected = record
	} else {
		l.kept = nil
	}
}

// accepted reports whether a receiver reads the record, whatever it thinks of the size of the key.
func accepted(record string) bool {
	_, err := dkim.ParseKeyRecord(record)
	return err == nil
}

// ambiguous reports several different keys: nobody but the owner knows which one is meant.
func (l *linter) ambiguous() bool {
	var first *tag
	for _, t := range l.mended {
		switch {
		case !t.whole || t.name != "p":
		case first == nil:
			first = &t
		case unspaced(t.value) != unspaced(first.value):
			return true
		}
	}
	return false
}

// publish is the fix that consists of a record, here without a tag or a part of one; "" drops nothing.
func (l *linter) publish(drop, item string) string {
	if l.kept == nil {
		return ""
	}
	var list []tag
	for _, t := range l.kept {
		if t.name == drop {
			rest := slices.DeleteFunc(items(t.value), func(s string) bool { return item == "" || s == item })
			if t.value = strings.Join(rest, ":"); t.value == "" {
				continue
			}
		}
		list = append(list, t)
	}
	if l.value.Strings != nil {
		return "publish " + quoted(join(list))
	}
	return "publish " + join(list)
}

// join writes a tag list.
func join(tags []tag) string {
	parts := make([]string, len(tags))
	for i, t := range tags {
		parts[i] = t.name + "=" + t.value
	}
	return strings.Join(parts, "; ")
}

// explain makes sure that an unusable record has an error that says so: what a receiver stumbles over may be part of another finding,
// or have no rule of its own.
func (l *linter) explain() {
	if l.Valid || slices.ContainsFunc(l.Findings, func(f Finding) bool { return f.Severity == Error }) {
		return
	}
	id := "DKIM-S08"
	if _, err := dkim.ParseTagList(l.value.Text); err == nil {
		read := scanTags(l.value.Text)
		v, versioned := read.get("v")
		k, typed := read.get("k")
		switch {
		case versioned && v != "DKIM1":
			id = "DKIM-S11"
		case typed && k != "rsa" && k != "ed25519":
			id = "DKIM-S14"
		default:
			id = "DKIM-S05"
		}
	}
	l.add(id, Error, "", "receivers cannot read the record: %s", l.refusal)
}

// finish fills in the fixes that are the corrected record.
func (l *linter) finish() RecordLint {
	if l.private != "" { // what is found is not quoted once more
		for i := range l.Findings {
			if l.Findings[i].ID == "DKIM-S22" {
				continue
			}
			l.Findings[i].Message = longQuote.ReplaceAllString(l.Findings[i].Message, `"…"`)
		}
	}
	for i := range l.Findings {
		f := &l.Findings[i]
		if f.Fix == "" {
			f.Fix = l.publish("", "")
		}
		if f.Fix == "" && l.private != "" {
			f.Fix = "see DKIM-S22: this key has no future"
		}
		if f.Fix == "" {
			f.Fix = inWords(f.ID)
		}
	}
	l.Findings = sorted(l.Findings)
	return l.RecordLint
}

// longQuote is a quotation that may be of a private key.
var longQuote = regexp.MustCompile(`"[^"]{9,}"`)

// inWords is the fix where the record cannot be given, because its key is not to be had from it.
func inWords(id string) string {
	switch id {
	case "DKIM-S06":
		return "leave the quotation marks away"
	case "DKIM-S07":
		return "leave the backslashes away"
	case "DKIM-S09":
		return "leave the white space away"
	case "DKIM-S10", "DKIM-S12":
		return "begin the record with v=DKIM1;"
	case "DKIM-S11":
		return "write v=DKIM1"
	case "DKIM-S13":
		return "leave the tag in one place"
	case "DKIM-S14":
		return "write k=rsa or k=ed25519"
	case "DKIM-S16", "DKIM-S17", "DKIM-S18", "DKIM-S21":
		return "leave the tag away"
	case "DKIM-S19":
		return "leave y out of t= when the tests are over"
	case "DKIM-S26":
		return "type these places again"
	case "DKIM-S27":
		return "put the semicolon there"
	}
	return "publish the whole record again, as the program that made the key prints it"
}
