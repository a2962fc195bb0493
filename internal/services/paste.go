package services

import (
	"fmt"
	"slices"
	"strings"
)

// maxPasted is the longest text that is looked at: some times the longest record of sense.
const maxPasted = 16 << 10

// Pasted is what somebody copied out of a console, taken apart.
type Pasted struct {
	Selector string   // from the name of a whole line; "" when there was none
	Type     string   // TXT or CNAME, from a whole line; "" when there was none
	Value    string   // the value alone; of a TXT record with the quotation marks that it had
	Notes    []string // what was left out, for people
}

// ReadPasted takes a pasted text apart: a value alone, or the line of a zone file with name, TTL and class. domain is the one
// that it is for.
func ReadPasted(text, domain string) (Pasted, error) {
	if len(text) > maxPasted {
		return Pasted{}, fmt.Errorf("it has more than %d characters, which no record has", maxPasted)
	}
	text = strings.TrimSpace(text)
	p := Pasted{Value: text}
	fields := strings.Fields(text)
	for i, f := range fields[:min(len(fields), maxHead)] {
		kind := strings.ToUpper(f)
		if i == 0 || kind != "TXT" && kind != "CNAME" {
			if i > 0 && strings.ToUpper(f) != "IN" && strings.Trim(f, "0123456789smhdwSMHDW") != "" {
				break // no TTL and no class: it is not the head of a line
			}
			continue
		}
		if i+1 == len(fields) {
			return Pasted{}, fmt.Errorf("the line ends after %s: its value is missing", kind)
		}
		p.Type = kind
		p.Value = strings.TrimSpace(afterFields(text, i+1))
		selector, notes := ReadSelector(fields[0], domain)
		p.Selector = selector
		p.Notes = append(p.Notes, notes...)
		p.Notes = append(p.Notes, "the whole line of a zone file was pasted; its value was taken")
		break
	}
	return p, nil
}

// maxHead is how many fields of a line come before its value: name, TTL, class, type.
const maxHead = 4

// afterFields returns what follows the first n fields.
func afterFields(text string, n int) string {
	for range n {
		text = strings.TrimLeft(text, " \t\r\n")
		i := strings.IndexAny(text, " \t\r\n")
		if i < 0 {
			return ""
		}
		text = text[i:]
	}
	return text
}

// ReadSelector takes a selector out of what was pasted: alone, with ._domainkey behind it, or as a whole name.
func ReadSelector(text, domain string) (selector string, notes []string) {
	s := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "."))
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	trimmed := false
	for n := 0; domain != "" && strings.HasSuffix(s, "."+domain); n++ {
		s, trimmed = strings.TrimSuffix(s, "."+domain), true
		if n == 1 {
			notes = append(notes, "the domain stood twice in the name, as some consoles make it; it was taken once")
		}
	}
	if short, found := strings.CutSuffix(s, "._domainkey"); found {
		s, trimmed = short, true
	}
	if trimmed && len(notes) == 0 {
		notes = append(notes, fmt.Sprintf("the selector is %s, without ._domainkey and the domain", s))
	}
	return s, notes
}

// looksLikeTXT reports whether a value is that of a TXT record: a list of tags, or a bare key.
func looksLikeTXT(value string) bool {
	v := strings.TrimLeft(strings.ToLower(value), "\"'( ")
	for _, start := range []string{"v=", "k=", "p=", "h=", "t=", "s=", "n=", "g="} {
		if strings.HasPrefix(v, start) {
			return true
		}
	}
	return strings.HasPrefix(value, "MII") || strings.HasPrefix(value, "MIG") || strings.Contains(value, ";") || strings.Contains(value, "-----BEGIN")
}

// looksLikeHost reports whether a value is a host name and not a list of tags.
func looksLikeHost(value string) bool {
	v := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(value)), ".")
	return strings.Contains(v, ".") && strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// readTarget brings a target into the form in which it is published and says what was mended.
func (s Service) readTarget(selector, value, domain string) (target string, notes []string, err error) {
	p, err := ReadPasted(value, domain)
	if err != nil {
		return "", nil, err
	}
	notes = p.Notes
	v := strings.Trim(p.Value, "\"'` ")
	switch {
	case p.Type == "TXT" || looksLikeTXT(v):
		return "", nil, fmt.Errorf("%s wants a CNAME at %s, and this is the value of a TXT record: paste the name that the CNAME points to", s.name(), selector)
	case p.Selector != "" && p.Selector != selector:
		return "", nil, fmt.Errorf("this line is for the selector %s, not for %s", p.Selector, selector)
	case v == "":
		return "", nil, fmt.Errorf("the target of %s is empty", selector)
	}
	for _, scheme := range []string{"https://", "http://"} {
		if rest, found := strings.CutPrefix(strings.ToLower(v), scheme); found {
			v = strings.TrimSuffix(rest, "/")
			notes = append(notes, "a web address was pasted; its name was taken")
		}
	}
	v = strings.ToLower(strings.TrimSuffix(v, "."))
	if !looksLikeHost(v) {
		return "", nil, fmt.Errorf("%q is not a host name", shorten(v))
	}
	if rest, found := strings.CutSuffix(v, "."+domain); found && s.fits(selector, rest) && !s.fits(selector, v) {
		v = rest
		notes = append(notes, fmt.Sprintf("%s stood behind the target, as some consoles add it; it was left out", domain))
	}
	switch {
	case v == selector+"._domainkey."+domain:
		return "", nil, fmt.Errorf("%s is the name of the record itself; paste the name that it points to", v)
	case v == domain || strings.HasSuffix(v, "._domainkey."+domain):
		return "", nil, fmt.Errorf("%s is a name of your own; paste the name at %s that the CNAME points to", v, s.name())
	}
	return v, notes, nil
}

// fits reports whether a target is one of the record's.
func (s Service) fits(selector, target string) bool {
	r, ok := s.record(selector)
	return ok && slices.ContainsFunc(r.Targets, func(p Pattern) bool { return p.Match(selector, target) })
}

// name is what people call it; the zero Service is one that the catalogue does not have.
func (s Service) name() string {
	if s.Title == "" {
		return "the service"
	}
	return s.Title
}
