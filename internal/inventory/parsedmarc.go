package inventory

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/postseal/postseal/dmarc"
)

// readDMARC reads a domain's dmarc: the text of the record, or an object that is turned into it. What is wrong with the object is told at its
// place, and the domain has no policy then.
func (p *fleetParser) readDMARC(n ast.Node, path string, into *string) {
	p.mark(path, n)
	switch p.resolve(n).(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		if s, ok := p.text(n, "dmarc"); ok {
			*into = s
		}
		return
	}
	before := len(p.problems)
	var r dmarc.Record
	p.object(n, "dmarc", map[string]func(ast.Node){
		"policy":      p.dmarcPolicy("policy", &r.Policy),
		"subdomains":  p.dmarcPolicy("subdomains", &r.Subdomains),
		"nonexistent": p.dmarcPolicy("nonexistent", &r.Nonexistent),
		"adkim":       p.dmarcMode("adkim", &r.DKIM),
		"aspf":        p.dmarcMode("aspf", &r.SPF),
		"rua":         p.reportAddresses("rua", &r.Aggregate),
		"ruf":         p.reportAddresses("ruf", &r.Failure),
		"fo":          func(v ast.Node) { p.failureOptions(v, &r.FailureWhen) },
		"test":        func(v ast.Node) { r.Testing = p.boolean(v, "test") },
		"psd": p.dmarcWord("psd", []string{string(dmarc.PSDYes), string(dmarc.PSDNo), string(dmarc.PSDUnknown)},
			func(s string) { r.PSD = dmarc.PSD(s) }),
	})
	if len(p.problems) > before {
		return
	}
	if r.Policy == "" {
		p.wrong(n, "write policy: none to begin with", "the DMARC policy does not say what is asked for mail that fails")
		return
	}
	*into = r.String()
}

// dmarcWord reads one word of a vocabulary.
func (p *fleetParser) dmarcWord(key string, words []string, take func(string)) func(ast.Node) {
	return func(v ast.Node) {
		switch s, ok := p.text(v, key); {
		case !ok:
		case !slices.Contains(words, s):
			p.unknown(v, "word for "+key, s, words)
		default:
			take(s)
		}
	}
}

func (p *fleetParser) dmarcPolicy(key string, into *dmarc.Policy) func(ast.Node) {
	return p.dmarcWord(key, []string{string(dmarc.PolicyNone), string(dmarc.PolicyQuarantine), string(dmarc.PolicyReject)}, func(s string) { *into = dmarc.Policy(s) })
}

func (p *fleetParser) dmarcMode(key string, into *dmarc.Mode) func(ast.Node) {
	return p.dmarcWord(key, []string{"relaxed", "strict"}, func(s string) { *into = dmarc.Mode(s[:1]) })
}

// reportAddresses reads a list of addresses for reports, or one alone.
func (p *fleetParser) reportAddresses(key string, into *[]dmarc.URI) func(ast.Node) {
	return func(v ast.Node) {
		p.oneOrMore(v, key, func(s string, item ast.Node) {
			u, err := ReportAddress(s)
			if err != nil {
				p.wrong(item, "write an address such as dmarc@example.com", "%s: %q %v", key, shorten(s), err)
				return
			}
			if slices.ContainsFunc(*into, func(other dmarc.URI) bool { return strings.EqualFold(other.Address, u.Address) }) {
				p.wrong(item, "", "%s names %s twice", key, shorten(s))
				return
			}
			*into = append(*into, u)
		})
	}
}

func (p *fleetParser) failureOptions(v ast.Node, into *[]dmarc.FailureOption) {
	words := []string{string(dmarc.FailureAll), string(dmarc.FailureAny), string(dmarc.FailureDKIM), string(dmarc.FailureSPF)}
	p.oneOrMore(v, "fo", func(s string, item ast.Node) {
		switch {
		case !slices.Contains(words, s):
			p.unknown(item, "word for fo", s, words)
		case slices.Contains(*into, dmarc.FailureOption(s)):
			p.wrong(item, "", "fo names %s twice", s)
		default:
			*into = append(*into, dmarc.FailureOption(s))
		}
	})
}

// oneOrMore reads a list of strings, or one string alone.
func (p *fleetParser) oneOrMore(n ast.Node, what string, each func(s string, n ast.Node)) {
	one := func(item ast.Node) {
		if s, ok := p.text(item, what); ok {
			each(s, item)
		}
	}
	if _, several := p.resolve(n).(*ast.SequenceNode); several {
		p.list(n, what, func(_ int, item ast.Node) { one(item) })
		return
	}
	one(n)
}
