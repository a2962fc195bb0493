package services

import (
	"fmt"
	"strings"
)

// CheckTarget says whether a CNAME or NS target is one that the service uses for this selector.
//
// ok is false when the catalogue knows better; why then says what it expected. ok is true with an empty why when the
// target fits, and true with a reason when the catalogue cannot tell: a person decides, we do not stand in the way.
func (s Service) CheckTarget(selector, target string) (ok bool, why string) {
	switch s.Signs {
	case None:
		return false, s.Title + " sends from its own domain; there is nothing to publish for it"
	case TXT:
		return false, s.Title + " gives a TXT value to publish, not a name to point to"
	}
	if _, ok := normal(target); !ok {
		return false, fmt.Sprintf("%q is not a host name", target)
	}
	record, known := s.record(selector)
	switch {
	case !known && len(s.Records) > 0 && s.SelectorHint == "":
		return false, fmt.Sprintf("%s signs with the selectors %s, not with %s", s.Title, strings.Join(s.selectorNames(), ", "), selector)
	case !known:
		return true, fmt.Sprintf("the catalogue does not know %s's selector %s (%s)", s.Title, selector, s.SelectorHint)
	case len(record.Targets) == 0:
		return true, fmt.Sprintf("the catalogue does not know where %s's selector %s points to", s.Title, selector)
	}
	for _, p := range record.Targets {
		if p.Match(selector, target) {
			return true, ""
		}
	}
	var expected []string
	for _, p := range record.Targets {
		expected = append(expected, p.example(selector))
	}
	return false, fmt.Sprintf("%s's selector %s points to %s, not to %s", s.Title, selector, strings.Join(expected, " or "), target)
}

// record returns the first record whose selectors match: an entry writes what is particular before what is general.
func (s Service) record(selector string) (Record, bool) {
	for _, r := range s.Records {
		for _, p := range r.Selectors {
			if p.Match("", selector) {
				return r, true
			}
		}
	}
	return Record{}, false
}

func (s Service) selectorNames() []string {
	var names []string
	for _, r := range s.Records {
		for _, p := range r.Selectors {
			names = append(names, p.example(""))
		}
	}
	return names
}
