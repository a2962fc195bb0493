package services

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// maxSetupRecords bounds the records of one set-up; Stripe, with six, wants the most.
const maxSetupRecords = 20

// Answers are what is known of an account at a service.
type Answers struct {
	Selectors []string          // in the order in which they were given
	TXT       string            // the value for the one selector of a TXT set-up
	Targets   map[string]string // by selector
}

// SetupRecord is one record to publish at SELECTOR._domainkey.DOMAIN.
type SetupRecord struct {
	Selector string `json:"selector"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Value    string `json:"value"`
	Form     string `json:"form,omitempty"` // which of several forms of targets it has
}

// Setup is what is to be published so that a service can sign for a domain, and what a person should know beside.
type Setup struct {
	Records  []SetupRecord
	Notes    []string // what was mended in the answers
	Warnings []string // what does not look like the service's usual records
	Expected []string // the same where the catalogue knows the usual ones from memory only: never a reason to stop
}

// Setup turns answers into records. The zero Service stands for one that the catalogue does not have: everything is taken
// that can be published.
//
// Errors have the code Invalid: an answer that is missing (the hint says where in the console it is), in the wrong field, or that no record can hold.
func (s Service) Setup(domain string, a Answers) (Setup, error) {
	switch s.Signs {
	case None:
		return Setup{}, fault.New(fault.Invalid, "%s sends from its own domain: there is nothing to publish for it", s.Title).WithHint("%s", s.Note)
	case NS:
		if len(a.Targets) == 0 && a.TXT == "" {
			return Setup{}, fault.New(fault.Invalid, "%s keeps the keys itself: a zone is delegated to it, which is done at the DNS host", s.Title).WithHint("%s", s.Note)
		}
	}
	var out Setup
	a, err := s.clean(domain, a, &out)
	if err != nil {
		return Setup{}, err
	}
	if missing := s.Ask(a); s.ID != "" && len(missing) > 0 {
		return Setup{}, s.missing(missing)
	}
	switch {
	case a.TXT != "" && len(a.Targets) > 0:
		return Setup{}, fault.New(fault.Invalid, "both a TXT value and CNAME targets were given").WithHint("a service is set up with one or the other; add the second under another --stream")
	case a.TXT != "":
		err = s.setupTXT(domain, a, &out)
	default:
		err = s.setupTargets(domain, a, &out)
	}
	return out, err
}

// missing is the error for the first input that is missing.
func (s Service) missing(all []Input) error {
	in := all[0]
	flag := "--selector NAME"
	switch in.Kind {
	case KindTXT:
		flag = "--txt VALUE"
	case KindTarget:
		flag = "--cname " + in.Name + "=TARGET"
	}
	return fault.New(fault.Invalid, "%s needs %s (%s)", s.Title, in.Question, flag).
		WithHint("where to find it: %s: %s", s.Where(), in.Where)
}

// clean reads the answers as they were pasted.
func (s Service) clean(domain string, a Answers, out *Setup) (Answers, error) {
	got := Answers{Targets: map[string]string{}}
	for _, text := range a.Selectors {
		for one := range strings.SplitSeq(text, ",") {
			selector, notes := ReadSelector(one, domain)
			if err := checkSelector(selector); err != nil {
				return got, fault.New(fault.Invalid, "the selector %q %s", shorten(strings.TrimSpace(one)), err)
			}
			out.Notes = append(out.Notes, notes...)
			if !slices.Contains(got.Selectors, selector) {
				got.Selectors = append(got.Selectors, selector)
			}
		}
	}
	if a.TXT != "" {
		p, err := ReadPasted(a.TXT, domain)
		if err != nil {
			return got, fault.New(fault.Invalid, "the TXT value: %s", err)
		}
		out.Notes = append(out.Notes, p.Notes...)
		got.TXT = p.Value
		switch {
		case p.Type == "CNAME" || looksLikeHost(p.Value):
			return got, fault.New(fault.Invalid, "the value of a TXT record is wanted, and %q is a host name", shorten(p.Value)).
				WithHint("if the service shows CNAME records, give them as --cname SELECTOR=TARGET")
		case s.Signs == CNAME:
			return got, fault.New(fault.Invalid, "%s is set up with CNAME records, and this is the value of a TXT record", s.Title).
				WithHint("where to find its names: %s; %s", s.Where(), s.otherWay())
		case len(got.Selectors) == 0 && p.Selector != "":
			got.Selectors = []string{p.Selector}
		case p.Selector != "" && !slices.Contains(got.Selectors, p.Selector):
			return got, fault.New(fault.Invalid, "the line that was pasted is for the selector %s, not for %s", p.Selector, strings.Join(got.Selectors, ", "))
		}
	}
	for _, given := range slices.Sorted(maps.Keys(a.Targets)) {
		selector, notes := ReadSelector(given, domain)
		if err := checkSelector(selector); err != nil {
			return got, fault.New(fault.Invalid, "the selector %q %s", shorten(given), err)
		}
		if s.Signs == TXT {
			if looksLikeTXT(a.Targets[given]) {
				return got, fault.New(fault.Invalid, "this is the value of a TXT record, not a target").WithHint("give it as --selector %s --txt VALUE", selector)
			}
			return got, fault.New(fault.Invalid, "%s gives a TXT value to publish, not a name to point to", s.Title).
				WithHint("where to find it: %s", s.Where())
		}
		target, more, err := s.readTarget(selector, a.Targets[given], domain)
		if err != nil {
			return got, fault.New(fault.Invalid, "%s", err)
		}
		out.Notes = append(append(out.Notes, notes...), more...)
		if other, twice := got.Targets[selector]; twice && other != target {
			return got, fault.New(fault.Invalid, "two targets were given for the selector %s", selector)
		}
		got.Targets[selector] = target
	}
	return got, nil
}

// otherWay names the variant of a service that signs with TXT.
func (s Service) otherWay() string {
	if s.ID == "sendgrid" {
		return "with Automated Security off it is the service sendgrid-manual"
	}
	return "write it under --custom if the account really has a TXT record"
}

func (s Service) setupTXT(domain string, a Answers, out *Setup) error {
	if len(a.Selectors) == 0 {
		return fault.New(fault.Invalid, "the selector of the TXT record is missing (--selector NAME)")
	}
	if len(a.Selectors) > 1 {
		return fault.New(fault.Invalid, "one TXT value belongs to one selector, not to %s", strings.Join(a.Selectors, " and "))
	}
	selector := a.Selectors[0]
	out.Records = []SetupRecord{{Selector: selector, Name: selector + "._domainkey." + domain, Type: "TXT", Value: a.TXT}}
	if _, known := s.record(selector); s.ID != "" && !known && len(s.Records) > 0 && s.SelectorHint == "" {
		s.say(out, "selectors", fmt.Sprintf("%s signs with the selector %s, not with %s", s.Title, strings.Join(s.selectorNames(), " or "), selector))
	}
	return nil
}

func (s Service) setupTargets(domain string, a Answers, out *Setup) error {
	selectors := s.setupSelectors(a)
	if len(selectors) == 0 {
		return fault.New(fault.Invalid, "no record was given").WithHint("--cname SELECTOR=TARGET for each, or --selector NAME --txt VALUE")
	}
	if len(selectors) > maxSetupRecords {
		return fault.New(fault.Invalid, "%d records are more than any service has (%d)", len(selectors), maxSetupRecords)
	}
	for _, selector := range selectors {
		target := a.Targets[selector]
		if target == "" {
			fixed, ok := s.fixedTarget(selector)
			if !ok {
				return fault.New(fault.Invalid, "the target of the selector %s is missing (--cname %s=TARGET)", selector, selector)
			}
			target = fixed
		}
		out.Records = append(out.Records, SetupRecord{Selector: selector, Name: selector + "._domainkey." + domain, Type: "CNAME", Value: target, Form: s.form(selector, target)})
		if s.ID == "" {
			continue
		}
		if ok, why := s.CheckTarget(selector, target); !ok {
			s.say(out, "records", why)
		}
		if foreign := s.otherDomain(selector, target, domain); foreign {
			s.say(out, "records", fmt.Sprintf("%s does not hold %s: it looks like the target of another domain", target, domain))
		}
	}
	if s.Count > 0 && len(selectors) < s.Count {
		s.say(out, "count", fmt.Sprintf("%s usually has %d records and %d are here: without all of them its next change of keys fails", s.Title, s.Count, len(selectors)))
	}
	return nil
}

// form says which of several forms a target has.
func (s Service) form(selector, target string) string {
	r, _ := s.record(selector)
	for i, p := range r.Targets {
		if i < len(r.Forms) && p.Match(selector, target) {
			return r.Forms[i]
		}
	}
	return ""
}

// otherDomain reports whether a target that should hold the domain does not.
func (s Service) otherDomain(selector, target, domain string) bool {
	r, known := s.record(selector)
	if !known || !s.fits(selector, target) {
		return false
	}
	switch r.Holds {
	case HoldsDomain:
		return !strings.Contains(target, domain+".")
	case HoldsDashed:
		return !strings.Contains(target, strings.ReplaceAll(domain, ".", "-"))
	}
	return false
}

// say files a remark by how sure the catalogue is of the fact behind it.
func (s Service) say(out *Setup, field, text string) {
	if s.EvidenceOf(field) == Confirmed {
		out.Warnings = append(out.Warnings, text)
		return
	}
	out.Expected = append(out.Expected, text)
}

// checkSelector says what keeps a text from being a selector (RFC 6376 §3.1; underscores are in use).
func checkSelector(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("is empty")
	case len(s) > maxName:
		return fmt.Errorf("is too long")
	case strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return fmt.Errorf("may hold letters, digits, hyphens, underscores and dots only")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return fmt.Errorf("has an empty part, or one of more than %d characters", maxLabel)
		}
	}
	return nil
}

// maxLabel is the longest label (RFC 1035 §2.3.4).
const maxLabel = 63

// Needs returns the records that the service wants beside its keys; where the entry names none, those of the service
// whose infrastructure it uses.
func (c *Catalogue) Needs(s Service) []Also {
	also := s.Also
	if len(also) == 0 && s.Carrier != "" && s.ReturnPath == ReturnPathNeeded {
		if carrier, ok := c.Lookup(s.Carrier); ok {
			s, also = carrier, carrier.Also
		}
	}
	out := slices.Clone(also)
	for i := range out {
		if out[i].Evidence == "" {
			out[i].Evidence = s.EvidenceOf("also")
		}
	}
	return out
}

// Variants returns the other ways of setting a service up, by id: those that name it, and the one that it is a variant of. A service that the
// catalogue does not have, which has no id, has none.
func (c *Catalogue) Variants(s Service) []Service {
	if s.ID == "" {
		return nil
	}
	var out []Service
	for _, other := range c.services {
		if other.ID != s.ID && (other.VariantOf == s.ID || other.ID == s.VariantOf || s.VariantOf != "" && other.VariantOf == s.VariantOf) {
			out = append(out, other)
		}
	}
	return out
}

// Clean reads answers as they were pasted, so that Ask can say what is still missing, and returns what was mended in them. Errors are
// those of Setup for a value that cannot be.
func (s Service) Clean(domain string, a Answers) (Answers, []string, error) {
	var out Setup
	got, err := s.clean(domain, a, &out)
	return got, out.Notes, err
}

// Accept takes one answer to one question, as it was pasted, and returns the answers with it and what was mended in it. An answer
// that cannot be is an Invalid fault, and the answers stay as they were.
func (s Service) Accept(domain string, a Answers, in Input, text string) (Answers, []string, error) {
	one := Answers{}
	switch in.Kind {
	case KindSelector:
		one.Selectors = []string{text}
	case KindTXT:
		one.TXT, one.Selectors = text, a.Selectors
	default:
		one.Targets = map[string]string{in.Name: text}
	}
	var out Setup
	got, err := s.clean(domain, one, &out)
	if err != nil {
		return a, nil, err
	}
	next := Answers{Selectors: a.Selectors, TXT: a.TXT, Targets: maps.Clone(a.Targets)}
	if len(got.Selectors) > 0 {
		next.Selectors = got.Selectors
	}
	if got.TXT != "" {
		next.TXT = got.TXT
	}
	if next.Targets == nil {
		next.Targets = map[string]string{}
	}
	maps.Copy(next.Targets, got.Targets)
	return next, out.Notes, nil
}
