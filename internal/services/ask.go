package services

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what an answer is.
type Kind string

// The kinds of answers.
const (
	KindSelector Kind = "selector" // one selector, or several with commas between
	KindTXT      Kind = "txt"      // the complete value of a TXT record
	KindTarget   Kind = "target"   // the name that a CNAME points to
)

// What a further record is for.
const (
	ForReturnPath   = "return-path"
	ForSPF          = "spf"
	ForDMARC        = "dmarc"
	ForVerification = "verification"
)

// Input is one thing that the customer's console of a service knows and the catalogue cannot.
type Input struct {
	Name     string   `yaml:"name" json:"name"` // "selector", "txt", or the selector whose target it is
	Kind     Kind     `yaml:"-" json:"kind"`
	Question string   `yaml:"question" json:"question"`
	Pattern  []string `yaml:"-" json:"pattern,omitempty"` // what it usually looks like, with … for what differs
	Example  string   `yaml:"example" json:"example,omitempty"`
	Where    string   `yaml:"where" json:"where,omitempty"` // where in the console, after the way through it
	Default  string   `yaml:"-" json:"default,omitempty"`   // taken when there is no answer
}

// Where is the way through the service's console to its records. It is from memory.
func (s Service) Where() string {
	if s.Console != "" {
		return s.Console
	}
	where := "where sending domains are set up or authenticated"
	if s.Docs != "" {
		where += " (" + s.Docs + ")"
	}
	return where
}

// ByTXT reports whether the service is set up with a TXT value, given what was answered so far.
func (s Service) ByTXT(a Answers) bool {
	if s.Signs == TXT || len(a.TXT) > 0 {
		return true
	}
	return s.Signs == TXTOrCNAME && len(a.Targets) == 0 && !slices.ContainsFunc(s.current(), func(r Record) bool { return len(r.Targets) > 0 }) &&
		len(s.current()) > 0
}

// current are the records that a new set-up has.
func (s Service) current() []Record {
	return slices.DeleteFunc(slices.Clone(s.Records), func(r Record) bool { return r.Legacy || r.Optional })
}

// Ask says what is still to be asked for, given the answers so far; none means that Setup can say which records to
// publish. What a service has the same for everybody is never asked for.
func (s Service) Ask(a Answers) []Input {
	if s.Signs == None || s.Signs == NS {
		return nil
	}
	if s.ByTXT(a) {
		return s.askTXT(a)
	}
	return s.askTargets(a)
}

func (s Service) askTXT(a Answers) []Input {
	var ask []Input
	if len(a.Selectors) == 0 {
		in := Input{Name: "selector", Kind: KindSelector, Question: "the selector", Where: "the name of the TXT record, in front of ._domainkey"}
		for _, r := range s.current() {
			for _, p := range r.Selectors {
				in.Pattern = append(in.Pattern, p.example(""))
			}
		}
		if current := s.current(); len(current) == 1 && len(current[0].Selectors) == 1 && current[0].Selectors[0].literal() {
			in.Default = string(current[0].Selectors[0])
		}
		ask = append(ask, s.worded(in))
	}
	if len(a.TXT) == 0 {
		ask = append(ask, s.worded(Input{Name: "txt", Kind: KindTXT, Question: "the value of the TXT record", Example: "v=DKIM1; k=rsa; p=MIIBIjANBgkqh…",
			Where: "the TXT record with ._domainkey in its name"}))
	}
	return ask
}

func (s Service) askTargets(a Answers) []Input {
	selectors := s.setupSelectors(a)
	if len(selectors) == 0 {
		question := "the selector"
		if s.Count > 1 {
			question = fmt.Sprintf("the %d selectors, with commas between", s.Count)
		}
		in := Input{Name: "selector", Kind: KindSelector, Question: question, Where: "the names of the CNAME records, in front of ._domainkey"}
		for _, r := range s.current() {
			for _, p := range r.Selectors {
				if p != "*" {
					in.Pattern = append(in.Pattern, p.example(""))
				}
			}
		}
		return []Input{s.worded(in)}
	}
	var ask []Input
	for _, selector := range selectors {
		if a.Targets[selector] != "" {
			continue
		}
		if _, fixed := s.fixedTarget(selector); fixed {
			continue
		}
		in := Input{Name: selector, Kind: KindTarget, Question: "the name that " + selector + " points to",
			Where: "the value of the CNAME record " + selector + "._domainkey", Default: s.likelyTarget(selector, a)}
		if r, ok := s.record(selector); ok {
			for i, p := range r.Targets {
				text := p.example(selector)
				if len(r.Forms) > 0 {
					text += " (" + r.Forms[i] + ")"
				}
				in.Pattern = append(in.Pattern, text)
			}
		}
		ask = append(ask, s.worded(in))
	}
	return ask
}

// worded takes over the catalogue's own words: of the input itself, or those for every target.
func (s Service) worded(in Input) Input {
	for _, own := range s.Inputs {
		if own.Name == in.Name || own.Name == "target" && in.Kind == KindTarget {
			if own.Name == in.Name {
				in.Question = own.Question
			}
			in.Example, in.Where = own.Example, own.Where
			return in
		}
	}
	return in
}

// setupSelectors are the selectors of a set-up: those that were answered, or those that everybody has.
func (s Service) setupSelectors(a Answers) []string {
	var list []string
	add := func(selector string) {
		if !slices.Contains(list, selector) {
			list = append(list, selector)
		}
	}
	for _, selector := range a.Selectors {
		add(selector)
	}
	if len(list) == 0 {
		for _, r := range s.current() {
			for _, p := range r.Selectors {
				if p.literal() {
					add(string(p))
				}
			}
		}
	}
	if len(a.Selectors) == 0 && len(list) < s.Count {
		list = nil // there are more than those that are known by name
	}
	rest := make([]string, 0, len(a.Targets))
	for selector := range a.Targets {
		rest = append(rest, selector)
	}
	slices.Sort(rest)
	if len(list) == 0 || len(a.Selectors) > 0 || s.known(list, rest) {
		for _, selector := range rest {
			add(selector)
		}
		return list
	}
	return rest // the account has selectors of its own instead of the usual ones
}

// known reports whether what was answered is among the usual selectors.
func (s Service) known(usual, answered []string) bool {
	for _, selector := range answered {
		if r, ok := s.record(selector); !slices.Contains(usual, selector) && !(ok && (r.Optional || r.Legacy)) {
			return false
		}
	}
	return true
}

// fixedTarget is the target that needs no asking, because it follows from the selector.
func (s Service) fixedTarget(selector string) (string, bool) {
	r, ok := s.record(selector)
	if !ok {
		return "", false
	}
	for _, p := range r.Targets {
		if target := Pattern(strings.ReplaceAll(string(p), ownSelector, selector)); target.literal() {
			return string(target), true
		}
	}
	return "", false
}

// likelyTarget guesses a target from that of another selector: what differs is the selector at its beginning.
func (s Service) likelyTarget(selector string, a Answers) string {
	for _, other := range s.setupSelectors(a) {
		have := strings.ToLower(strings.TrimSuffix(a.Targets[other], "."))
		if rest, ok := strings.CutPrefix(have, other); have != "" && ok {
			if r, known := s.record(selector); known && slices.ContainsFunc(r.Targets, func(p Pattern) bool { return p.Match(selector, selector+rest) }) {
				return selector + rest
			}
		}
	}
	return ""
}

// SetupSelectors returns the selectors of an ordinary set-up today that are known by name.
func (s Service) SetupSelectors() []string {
	var list []string
	for _, r := range s.current() {
		for _, p := range r.Selectors {
			if p.literal() {
				list = append(list, string(p))
			}
		}
	}
	return list
}

// FixedTarget returns the target of a selector where it is the same for everybody.
func (s Service) FixedTarget(selector string) (string, bool) { return s.fixedTarget(selector) }
