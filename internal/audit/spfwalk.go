package audit

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/internal/resolver"
)

const (
	// maxVoid is how many look-ups may find nothing (RFC 7208 §4.6.4).
	maxVoid = 2
	// maxMXNames is how many names of one mx term receivers look up (RFC 7208 §4.6.4).
	maxMXNames = 10
	// maxSPFDepth and maxSPFAsked bound the walk, whatever strangers' records refer to. An honest record is four deep, and one that takes four times
	// the look-ups that receivers make is broken enough.
	maxSPFDepth, maxSPFAsked = 20, 60
)

// SPFTree is what an SPF record and all that it includes come to.
type SPFTree struct {
	Record   string   // of the domain itself; "" = none
	Lookups  int      // that evaluating it may take (RFC 7208 §4.6.4)
	Void     int      // of those that find nothing
	Includes []string // names of other records, in the order in which they are met
	Findings []Finding
}

// WalkSPF follows the SPF record of a domain. own are the TXT records at the domain; ask gives those of other names. Terms that depend on the
// message (macros) count as a look-up and are not followed.
func WalkSPF(domain string, own []string, ask func(name, rrtype string) resolver.Answer) SPFTree {
	w := spfWalk{domain: domain, ask: ask}
	records := slices.DeleteFunc(slices.Clone(own), func(s string) bool { return !isSPF(s) })
	switch len(records) {
	case 0:
		return w.SPFTree
	case 1:
	default:
		f := Finding{ID: "SPF-01", Severity: Error, Subject: domain, Message: fmt.Sprintf("%d SPF records stand here; receivers take none (RFC 7208 §4.5)", len(records)),
			Fix: "merge them into one"}
		if merged := mergeSPF(records); merged != "" {
			f.Fix = "publish " + merged + " in their place"
			for _, r := range records {
				f.Mend = append(f.Mend, Mend{Remove: true, Name: domain, Type: "TXT", Value: r})
			}
			f.Mend = append(f.Mend, Mend{Name: domain, Type: "TXT", Value: merged})
		}
		w.Findings = append(w.Findings, f)
		return w.SPFTree
	}
	w.Record = records[0]
	w.record(domain, w.Record, []string{domain})
	w.limits()
	return w.SPFTree
}

// mergeSPF joins records: the terms of all, the strictest end that is not the most lenient. "" when one of them cannot be read.
func mergeSPF(records []string) string {
	words := []string{"v=spf1"}
	end := ""
	for _, r := range records {
		for _, t := range parseSPF(r) {
			switch {
			case t.problem != "" || t.modifier:
				return ""
			case t.name == "all":
				if end == "" || t.qualifier == '~' || t.qualifier == '-' && end != "~all" {
					end = string(t.qualifier) + "all"
				}
			case !slices.Contains(words, t.text):
				words = append(words, t.text)
			}
		}
	}
	if end == "" || end == "+all" || end == "?all" {
		end = "~all"
	}
	return strings.Join(append(words, end), " ")
}

// spfWalk is one walk.
type spfWalk struct {
	SPFTree
	domain string
	ask    func(name, rrtype string) resolver.Answer
	asked  int
	unsure bool // some name gave no usable answer, so that the counts are the least
}

func (w *spfWalk) add(id string, severity Severity, subject, fix, format string, args ...any) {
	w.Findings = append(w.Findings, Finding{ID: id, Severity: severity, Subject: subject, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// look asks within the bounds of the walk.
func (w *spfWalk) look(name, rrtype string) (resolver.Answer, bool) {
	if w.asked++; w.asked > maxSPFAsked {
		return resolver.Answer{}, false
	}
	a := w.ask(name, rrtype)
	if a.Status == resolver.StatusError {
		w.unsure = true
		return a, false
	}
	return a, true
}

// record goes through the terms of one record; path are the names that led to it.
func (w *spfWalk) record(name, text string, path []string) {
	terms := parseSPF(text)
	closed := slices.ContainsFunc(terms, func(t spfTerm) bool { return t.name == "all" && !t.modifier })
	for _, t := range terms {
		if t.problem != "" {
			if len(path) > 1 { // the domain's own record is judged by itself
				w.add("SPF-04", Error, name, "remove the include, or have its owner correct the record", "the SPF record of %s, which %s includes, cannot be read: %s (%s)", name, w.domain, shown(t.text), t.problem)
			}
			return
		}
		if !t.asks() || t.name == "redirect" && closed {
			continue
		}
		w.Lookups++
		if t.macro() {
			continue
		}
		target := strings.ToLower(strings.TrimSuffix(t.value, "."))
		switch t.name {
		case "include", "redirect":
			w.follow(t, target, path)
		case "a":
			w.hosts(t, orName(target, name), "A", "AAAA")
		case "exists":
			w.hosts(t, target, "A")
		case "mx":
			w.mailers(t, orName(target, name))
		}
		if t.name == "all" {
			return
		}
	}
}

func orName(target, name string) string {
	if target == "" {
		return name
	}
	return target
}

// follow goes into the record of another name.
func (w *spfWalk) follow(t spfTerm, target string, path []string) {
	from := path[len(path)-1]
	if slices.Contains(path, target) {
		w.add("SPF-04", Error, target, "remove the term that closes the circle", "the SPF records include each other: %s → %s", strings.Join(path, " → "), target)
		return
	}
	if len(path) > maxSPFDepth {
		return
	}
	w.Includes = append(w.Includes, target)
	a, ok := w.look(target, "TXT")
	if !ok {
		return
	}
	records := slices.DeleteFunc(slices.Clone(a.TXT), func(s string) bool { return !isSPF(s) })
	switch {
	case len(records) == 1:
		w.record(target, records[0], append(slices.Clone(path), target))
	case len(records) > 1:
		w.add("SPF-04", Error, target, "remove the term, or have the name's owner keep one record", "%s names %s in %s, and that has %d SPF records: receivers stop there", from, target, t.text, len(records))
	default:
		w.Void++
		if reg, err := publicsuffix.EffectiveTLDPlusOne(target); err == nil && a.Status == resolver.StatusNXDomain {
			if owner, ok := w.look(reg, "NS"); ok && owner.Status == resolver.StatusNXDomain {
				w.add("SPF-05", Error, target, "remove "+t.text+" at once", "%s names %s in %s, and nobody has registered %s: whoever does can send as %s", from, target, t.text, reg, w.domain)
				return
			}
		}
		w.add("SPF-04", Error, target, "remove "+t.text+", or correct the name", "%s names %s in %s, and that has no SPF record: receivers stop there", from, target, t.text)
	}
}

// hosts counts a term whose names have no address.
func (w *spfWalk) hosts(t spfTerm, name string, types ...string) {
	for _, rrtype := range types {
		if a, ok := w.look(name, rrtype); !ok || a.Status == resolver.StatusOK {
			return
		}
	}
	w.Void++
}

// mailers looks at an mx term.
func (w *spfWalk) mailers(t spfTerm, name string) {
	a, ok := w.look(name, "MX")
	switch {
	case !ok:
	case a.Status != resolver.StatusOK || nullMX(a.Data):
		w.Void++
	case len(a.Data) > maxMXNames:
		w.add("SPF-02", Error, name, "name the addresses of those that send", "%s has %d mail servers; receivers stop at an mx term with more than %d", name, len(a.Data), maxMXNames)
	}
}

// limits judges the counts.
func (w *spfWalk) limits() {
	least := ""
	if w.unsure || w.asked > maxSPFAsked {
		least = "at least "
	}
	if w.Lookups > maxSPFLookups {
		w.add("SPF-02", Error, w.domain, "leave out includes of services that are not used, and name addresses (ip4:, ip6:) of your own servers",
			"evaluating the record takes %s%d look-ups; receivers stop after %d, and mail fails (includes: %s)", least, w.Lookups, maxSPFLookups, strings.Join(w.Includes, ", "))
	}
	if w.Void > maxVoid {
		w.add("SPF-03", Error, w.domain, "remove the terms whose names are gone", "%s%d look-ups of the record find nothing; receivers stop after %d", least, w.Void, maxVoid)
	}
}
