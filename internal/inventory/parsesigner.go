package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// DefaultAlgorithm is the key that every receiver can verify (RFC 8301 §3.2).
const DefaultAlgorithm = "rsa2048"

// ed25519 is the one kind of key that is not RSA (RFC 8463).
const ed25519 = "ed25519"

// algorithms are the kinds of keys that agents make, by the names that package dkim gives them.
func algorithms() []string { return []string{DefaultAlgorithm, "rsa3072", "rsa4096", ed25519} }

// readSigners reads the signers of a domain; path is the domain's.
func (p *fleetParser) readSigners(n ast.Node, path string) []FleetSigner {
	var out []FleetSigner
	p.list(n, "signers", func(_ int, item ast.Node) {
		s := signerParser{fleetParser: p, path: path + ".signers[" + strconv.Itoa(len(out)) + "]", node: item}
		p.mark(s.path, item)
		if s.read() {
			out = append(out, s.out)
		}
	})
	return out
}

// signerParser reads one entry under signers.
type signerParser struct {
	*fleetParser
	path     string
	node     ast.Node
	out      FleetSigner
	given    []string // which of server, pool and service were written
	selector string
	selNode  ast.Node
	txt      ast.Node
	cname    ast.Node
	broken   bool // its records could not be read: looking further would only confuse
}

// read reports whether there is a signer that the checks can look at.
func (s *signerParser) read() bool {
	s.out.Stream = DefaultStream
	word := func(key string, f func(string)) func(ast.Node) {
		return func(v ast.Node) {
			s.mark(s.path+"."+key, v)
			if text, ok := s.text(v, key); ok {
				f(text)
			}
		}
	}
	who := func(key string, into *string) func(ast.Node) {
		return word(key, func(text string) {
			s.given = append(s.given, key)
			*into = strings.ToLower(text)
		})
	}
	s.object(s.node, "a signer", map[string]func(ast.Node){
		"server":  who("server", &s.out.Server),
		"pool":    who("pool", &s.out.Pool),
		"service": who("service", &s.out.Service),
		"custom":  func(v ast.Node) { s.out.Custom = s.boolean(v, "custom") },
		"stream":  word("stream", func(t string) { s.out.Stream = t }),
		"bulk":    func(v ast.Node) { s.out.Bulk = s.boolean(v, "bulk") },
		"standby": func(v ast.Node) {
			s.mark(s.path+".standby", v)
			s.out.Standby = s.boolean(v, "standby")
		},
		"no_key": word("no_key", func(t string) { s.out.NoKey = NoKey(t) }),
		"subdomains": func(v ast.Node) {
			s.mark(s.path+".subdomains", v)
			on := s.boolean(v, "subdomains")
			s.out.Subdomains = &on
		},
		"signing": func(v ast.Node) { s.readSigning(v, s.path+".signing", &s.out.Signing) },
		"algorithms": func(v ast.Node) {
			s.texts(v, "algorithms", s.path+".algorithms", func(t string, _ ast.Node) { s.out.Algorithms = append(s.out.Algorithms, t) })
		},
		"slots": func(v ast.Node) {
			names := func(v ast.Node) {
				s.texts(v, "slots", s.path+".slots", func(t string, n ast.Node) {
					s.out.Slots = append(s.out.Slots, s.name(n, t, "the selector", func(t string) error { return checkSelector(t, "") }))
				})
			}
			switch s.resolve(v).(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
				s.mark(s.path+".slots", v)
				s.object(v, "slots", map[string]func(ast.Node){"names": names, "through": word("through", func(t string) { s.out.Through = t })})
			default:
				names(v)
			}
		},
		"selector": func(v ast.Node) {
			s.selNode = v
			if t, ok := s.text(v, "selector"); ok {
				s.selector = s.selectorName(v, t)
			}
		},
		"txt":   func(v ast.Node) { s.txt = v },
		"cname": func(v ast.Node) { s.cname = v },
	})
	if len(s.given) != 1 {
		if len(s.given) == 0 {
			s.wrong(s.node, "write server: NAME, pool: NAME or service: NAME", "it is not said who signs")
		} else {
			s.wrong(s.node, "make an entry for each", "one signer cannot be %s at once", strings.Join(s.given, " and "))
		}
		return false
	}
	if s.out.Service == "" {
		s.managed()
	} else {
		s.service()
	}
	return s.out.Name() != "" && !s.broken
}

func (s *signerParser) selectorName(n ast.Node, text string) string {
	return s.name(n, text, "the selector", func(t string) error { return checkSelector(t, "") })
}

func (s *signerParser) managed() {
	s.out.Class = ClassManaged
	if s.out.Algorithms == nil {
		s.out.Algorithms = []string{DefaultAlgorithm}
	}
	for _, field := range []struct {
		key  string
		node ast.Node
	}{{"selector", s.selNode}, {"txt", s.txt}, {"cname", s.cname}} {
		if field.node != nil {
			s.wrong(field.node, "the key is made by the server, under a selector of its own", "%s is for services", field.key)
		}
	}
	if s.out.Custom {
		s.wrong(s.node, "", "custom is for services")
	}
}

func (s *signerParser) service() {
	if s.services != nil && !s.out.Custom {
		if known, ok := s.services.Lookup(s.out.Service); ok {
			s.out.Service = known.ID // an alias means the same service
		}
	}
	switch {
	case s.txt != nil && s.cname != nil:
		s.wrong(s.cname, "write two entries with different streams", "one entry has either txt or cname")
		s.broken = true
	case s.cname != nil:
		s.out.Class = ClassDelegated
		s.records("CNAME", s.cname, "cname")
	default:
		s.out.Class = ClassForeign
		if s.txt != nil {
			s.records("TXT", s.txt, "txt")
		} else if s.selNode != nil {
			s.wrong(s.selNode, "add txt: \"v=DKIM1; …\" or cname: target", "the selector %s has no record", s.selector)
			s.broken = true
		}
	}
}

// records reads either one value, at the selector of the entry, or a mapping from selectors to values.
func (s *signerParser) records(rrtype string, n ast.Node, key string) {
	add := func(selector string, at, v ast.Node) {
		path := s.path + ".records[" + strconv.Itoa(len(s.out.Records)) + "]"
		s.mark(path, v)
		s.mark(path+".selector", at)
		value, ok := s.text(v, key)
		if !ok {
			return
		}
		if rrtype == "CNAME" {
			value = s.fleetParser.name(v, value, "the target", checkHost)
		}
		s.out.Records = append(s.out.Records, ServiceRecord{Selector: selector, Type: rrtype, Value: value})
	}
	switch v := s.resolve(n).(type) {
	case nil:
	case *ast.MappingNode, *ast.MappingValueNode:
		if s.selNode != nil {
			s.wrong(s.selNode, fmt.Sprintf("the selectors are the keys below %s", key), "selector is not needed here")
		}
		s.entries(v, key, func(selector string, k, v ast.Node) { add(s.selectorName(k, selector), k, v) })
	default:
		if s.selNode == nil {
			s.wrong(n, s.likelySelectors(), "the selector of this record is missing")
			s.broken = true
			return
		}
		add(s.selector, s.selNode, n)
	}
}

// likelySelectors is a hint from the catalogue.
func (s *signerParser) likelySelectors() string {
	if s.services != nil {
		if known, ok := s.services.Lookup(s.out.Service); ok {
			if names := known.Selectors(); len(names) > 0 {
				return known.Title + " uses " + strings.Join(slices.Compact(names), ", ")
			}
			return known.SelectorHint
		}
	}
	return "write selector: NAME, or txt: {NAME: value}"
}

// readSigning reads how signatures are made, at a domain or at one of its signers.
func (p *fleetParser) readSigning(n ast.Node, path string, into *Signing) {
	names := func(key string, list *[]string) func(ast.Node) {
		return func(v ast.Node) {
			p.mark(path+"."+key, v)
			*list = []string{} // written, be it with nothing in it
			p.texts(v, key, path+"."+key, func(s string, _ ast.Node) { *list = append(*list, s) })
		}
	}
	p.mark(path, n)
	p.object(n, "signing", map[string]func(ast.Node){
		"headers":  names("headers", &into.Headers),
		"oversign": names("oversign", &into.Oversign),
		"canonicalization": func(v ast.Node) {
			p.mark(path+".canonicalization", v)
			if s, ok := p.text(v, "canonicalization"); ok {
				into.Canonicalization = s
			}
		},
		"expire": func(v ast.Node) {
			p.mark(path+".expire", v)
			var d time.Duration
			p.duration(v, "expire", &d)
			into.Expire = &d
		},
	})
}
