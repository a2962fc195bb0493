package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/postseal/postseal/internal/services"
)

// Services is what is asked of the catalogue of outside services; *services.Catalogue has it.
type Services interface {
	Lookup(id string) (services.Service, bool)
	Suggest(id string) []string
}

// privateKey is the prefix of top-level keys that are passed over: a place for anchors.
const privateKey = "x-"

// ParseFleet reads a fleet.yaml strictly: unknown and duplicate keys, wrong types and everything that Check finds are
// problems with file, line and column, reported together. name is how the file is called in them. The error is Problems,
// a fault of code Invalid. Warnings are in the Fleet. catalogue may be nil: then names of services are not checked.
func ParseFleet(name string, data []byte, catalogue Services) (Fleet, error) {
	p := &fleetParser{
		document: newDocument(name),
		services: catalogue,
		policy:   DefaultPolicy(),
	}
	if body := p.open(data); body != nil {
		p.read(body)
		var bad, warnings []Problem
		if !p.tooBig() {
			bad, warnings = p.fleet.Check(catalogue)
			own := &checker{f: &p.fleet} // what no domain inherits is looked at, too
			own.gate(p.policy.Gate, "policy.gate")
			bad = slices.Concat(checkPolicy(p.policy, "policy"), own.bad, bad)
		}
		for _, problem := range bad {
			// What reading found wrong is not told again, nor what several domains inherit.
			if at := p.locate(problem.Path); !p.reported[at] {
				p.add(at, problem.Message, problem.Hint)
			}
		}
		for _, w := range warnings {
			at := p.locate(w.Path)
			w.File, w.Line, w.Col = name, at.line, at.col
			p.fleet.Warnings = append(p.fleet.Warnings, w)
		}
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Col - b.Col
		})
		return Fleet{}, p.problems
	}
	return p.fleet, nil
}

// fleetParser turns the document into a Fleet. It knows keys and types; what the values mean together is Check's.
type fleetParser struct {
	document
	services Services
	policy   Policy // of the organisation
	fleet    Fleet
}

func (p *fleetParser) read(body ast.Node) {
	fields := map[string]func(ast.Node){
		"policy":     func(v ast.Node) { p.readPolicy(v, "policy", &p.policy, &p.fleet.NeedApproval, "need_approval") },
		"dns":        p.readDNS,
		"probes":     p.readProbes,
		"windows":    p.readWindows,
		"publishers": p.readPublishers,
		"servers":    p.readServers,
		"pools":      p.readPools,
		"domains":    nil, // read last: domains inherit the policy, wherever it stands
	}
	var domains ast.Node
	fields["domains"] = func(v ast.Node) { domains = v }
	known := make([]string, 0, len(fields))
	for key := range fields {
		known = append(known, key)
	}
	p.entries(body, "the file", func(key string, k, v ast.Node) {
		switch field, ok := fields[key]; {
		case strings.HasPrefix(key, privateKey):
		case !ok:
			p.unknown(k, "key", key, known)
		default:
			p.mark(key, k)
			field(v)
		}
	})
	if domains != nil {
		p.readDomains(domains)
	}
}

// readPolicy reads a policy over what it inherits.
func (p *fleetParser) readPolicy(n ast.Node, path string, into *Policy, approvals *[]string, approvalsPath string) {
	duration := func(key string, field *time.Duration) func(ast.Node) {
		return func(v ast.Node) { p.mark(path+"."+key, v); p.duration(v, key, field) }
	}
	p.object(n, "policy", map[string]func(ast.Node){
		"rotate_every": duration("rotate_every", &into.RotateEvery),
		"retention":    duration("retention", &into.Retention),
		"tombstone":    duration("tombstone", &into.Tombstone),
		"ttl":          duration("ttl", &into.TTL),
		"min_wait":     duration("min_wait", &into.MinWait),
		"check_every":  duration("check_every", &into.CheckEvery),
		"audit_every":  duration("audit_every", &into.AuditEvery),
		"jitter_percent": func(v ast.Node) {
			p.mark(path+".jitter_percent", v)
			if i, ok := p.integer(v, "jitter_percent"); ok {
				into.JitterPercent = i
			}
		},
		"test_mode": func(v ast.Node) { p.mark(path+".test_mode", v); into.TestMode = p.boolean(v, "test_mode") },
		"gate": func(v ast.Node) {
			p.mark(path+".gate", v)
			into.Gate, _ = p.text(v, "gate")
		},
		"opaque_selectors": func(v ast.Node) { into.OpaqueSelectors = p.boolean(v, "opaque_selectors") },
		"need_approval": func(v ast.Node) {
			p.texts(v, "need_approval", approvalsPath, func(s string, _ ast.Node) { *approvals = append(*approvals, s) })
		},
	})
}

func (p *fleetParser) readDNS(n ast.Node) {
	dns := &p.fleet.DNS
	address := func(list *[]string) func(string, ast.Node) {
		return func(s string, item ast.Node) {
			full, err := endpoint(s, false)
			if err != nil {
				p.wrong(item, "", "%q %v", shorten(s), err)
			}
			*list = append(*list, full)
		}
	}
	p.object(n, "dns", map[string]func(ast.Node){
		"resolvers": func(v ast.Node) { p.texts(v, "resolvers", "dns.resolvers", address(&dns.Resolvers)) },
		"block_lists": func(v ast.Node) {
			p.texts(v, "block_lists", "dns.block_lists", func(s string, n ast.Node) {
				dns.BlockLists = append(dns.BlockLists, p.name(n, s, "the block list", func(s string) error { _, err := labels(s, true); return err }))
			})
		},
		"views": func(v ast.Node) { p.texts(v, "views", "dns.views", address(&dns.Views)) },
		"authorities": func(v ast.Node) {
			dns.Authorities = make(map[string][]string)
			p.entries(v, "authorities", func(key string, k, v ast.Node) {
				zone := p.name(k, key, "the zone", func(s string) error { _, err := labels(s, true); return err })
				path := "dns.authorities." + zone
				p.mark(path, k)
				if _, twice := dns.Authorities[zone]; twice {
					p.wrong(k, "", "the zone %s appears twice", zone)
				}
				var servers []string
				p.texts(v, "the servers of "+zone, path, address(&servers))
				dns.Authorities[zone] = servers
			})
		},
		"authority_port": func(v ast.Node) {
			p.mark("dns.authority_port", v)
			dns.AuthorityPort, _ = p.text(v, "authority_port")
		},
	})
}

func (p *fleetParser) readProbes(n ast.Node) {
	probes := &p.fleet.Probes
	probes.Every = DefaultProbeEvery
	p.object(n, "probes", map[string]func(ast.Node){
		"address": func(v ast.Node) {
			p.mark("probes.address", v)
			if s, ok := p.text(v, "address"); ok {
				full, err := probeAddress(s)
				if err != nil {
					p.wrong(v, "", "%q %v", shorten(s), err)
				}
				probes.Address = full
			}
		},
		"every": func(v ast.Node) { p.mark("probes.every", v); p.duration(v, "every", &probes.Every) },
	})
}

func (p *fleetParser) readWindows(n ast.Node) {
	p.list(n, "windows", func(_ int, item ast.Node) {
		path := "windows[" + strconv.Itoa(len(p.fleet.Windows)) + "]"
		p.mark(path, item)
		var w Window
		field := func(key string, into *string) func(ast.Node) {
			return func(v ast.Node) { p.mark(path+"."+key, v); *into, _ = p.text(v, key) }
		}
		p.object(item, "a window", map[string]func(ast.Node){
			"days": func(v ast.Node) {
				p.texts(v, "days", path+".days", func(s string, n ast.Node) {
					if day, ok := weekday(s); ok {
						w.Days = append(w.Days, day)
					} else {
						p.unknown(n, "day", s, []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
					}
				})
			},
			"from": field("from", &w.From), "to": field("to", &w.To), "zone": field("zone", &w.Zone),
		})
		p.fleet.Windows = append(p.fleet.Windows, w)
	})
}

// weekday reads "sat" or "Saturday".
func weekday(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, d.String()) || strings.EqualFold(s, dayWord(d)) {
			return d, true
		}
	}
	return 0, false
}

func (p *fleetParser) readPublishers(n ast.Node) {
	p.entries(n, "publishers", func(name string, k, v ast.Node) {
		path := "publishers[" + strconv.Itoa(len(p.fleet.Publishers)) + "]"
		p.mark(path, k)
		out := Publisher{Name: name}
		var kinds []string
		ways := make(map[string]func(ast.Node))
		for kind, settings := range publisherSettings {
			ways[string(kind)] = func(v ast.Node) {
				out.Kind = kind
				kinds = append(kinds, string(kind))
				fields := map[string]func(ast.Node){"repair": func(v ast.Node) { out.Repair = p.boolean(v, "repair") }}
				for _, s := range settings {
					fields[s.key] = func(v ast.Node) {
						p.mark(path+"."+s.key, v)
						if s.form == formDuration {
							p.duration(v, s.key, s.lasts(&out))
							return
						}
						*s.field(&out) = p.setting(v, s)
					}
				}
				p.object(v, string(kind), fields)
			}
		}
		p.object(v, "a publisher", ways)
		if len(kinds) > 1 {
			p.wrong(k, "give each its own name", "the publisher %q is both %s", shorten(name), strings.Join(kinds, " and "))
		}
		p.fleet.Publishers = append(p.fleet.Publishers, out)
	})
}

// setting reads one line of a publisher in the form in which it is kept.
func (p *fleetParser) setting(n ast.Node, s setting) string {
	text, ok := p.text(n, s.key)
	switch {
	case !ok:
	case s.form == formAddress:
		full, err := endpoint(text, true)
		if err != nil {
			p.wrong(n, "", "%q %v", shorten(text), err)
			return text
		}
		return full
	case s.form == formZone:
		return p.name(n, text, "the zone", func(s string) error { _, err := labels(s, true); return err })
	}
	return text
}

func (p *fleetParser) readServers(n ast.Node) {
	p.entries(n, "servers", func(name string, k, v ast.Node) {
		path := "servers[" + strconv.Itoa(len(p.fleet.Servers)) + "]"
		p.mark(path, k)
		out := FleetServer{Name: strings.ToLower(name), Label: defaultLabel(name)}
		p.object(v, "a server", map[string]func(ast.Node){
			"label": p.label(path, &out.Label),
			"helo": func(v ast.Node) {
				p.mark(path+".helo", v)
				if s, ok := p.text(v, "helo"); ok {
					out.HELO = p.name(v, s, "helo", func(s string) error { _, err := labels(s, false); return err })
				}
			},
			"addresses": func(v ast.Node) {
				p.texts(v, "addresses", path+".addresses", func(s string, n ast.Node) {
					if a, err := netip.ParseAddr(s); err == nil {
						s = a.Unmap().String()
					}
					out.Addresses = append(out.Addresses, s)
				})
			},
			"networks": func(v ast.Node) {
				p.texts(v, "networks", path+".networks", func(s string, n ast.Node) {
					if x, err := netip.ParsePrefix(s); err == nil {
						s = x.String()
					}
					out.Networks = append(out.Networks, s)
				})
			},
		})
		p.fleet.Servers = append(p.fleet.Servers, out)
	})
}

func (p *fleetParser) readPools(n ast.Node) {
	p.entries(n, "pools", func(name string, k, v ast.Node) {
		path := "pools[" + strconv.Itoa(len(p.fleet.Pools)) + "]"
		p.mark(path, k)
		out := FleetPool{Name: strings.ToLower(name), Label: defaultLabel(name)}
		p.object(v, "a pool", map[string]func(ast.Node){
			"label": p.label(path, &out.Label),
			"members": func(v ast.Node) {
				p.texts(v, "members", path+".members", func(s string, _ ast.Node) { out.Members = append(out.Members, strings.ToLower(s)) })
			},
		})
		p.fleet.Pools = append(p.fleet.Pools, out)
	})
}

func (p *fleetParser) label(path string, into *string) func(ast.Node) {
	return func(v ast.Node) {
		p.mark(path+".label", v)
		if s, ok := p.text(v, "label"); ok {
			*into = strings.ToLower(s)
		}
	}
}

// defaultLabel makes the label of a server from its name: a dot in it would make a zone of its own.
func defaultLabel(name string) string { return strings.ReplaceAll(strings.ToLower(name), ".", "-") }

// name normalises a DNS name and reports what is wrong with it.
func (p *fleetParser) name(n ast.Node, s, what string, check func(string) error) string {
	out, err := ASCII(s)
	if err == nil {
		err = check(out)
	}
	if err != nil {
		p.wrong(n, "", "%s %q %v", what, shorten(s), err)
		return strings.ToLower(s)
	}
	return out
}

func (p *fleetParser) readDomains(n ast.Node) {
	inherited := make(map[string]place) // what a domain inherits stands where the organisation's policy says it
	for key, at := range p.places {
		if strings.HasPrefix(key, "policy.") {
			inherited[key] = at
		}
	}
	p.entries(n, "domains", func(name string, k, v ast.Node) {
		i := len(p.fleet.Domains)
		path := fmt.Sprintf("domains[%d]", i)
		p.mark(path, k)
		out := FleetDomain{Domain: Domain{
			Name: p.name(k, name, "the domain", checkDomain), Mode: Managed, NoKey: NoKeyPass, Policy: p.policy,
		}}
		for key, at := range inherited {
			p.places[path+"."+key] = at
		}
		word := func(key string, f func(string)) func(ast.Node) {
			return func(v ast.Node) {
				p.mark(path+"."+key, v)
				if s, ok := p.text(v, key); ok {
					f(s)
				}
			}
		}
		p.object(v, "a domain", map[string]func(ast.Node){
			"mode":      word("mode", func(s string) { out.Mode = Mode(s) }),
			"publisher": word("publisher", func(s string) { out.Publisher = s }),
			"no_key":    word("no_key", func(s string) { out.NoKey = NoKey(s) }),
			"dmarc":     func(v ast.Node) { p.readDMARC(v, path+".dmarc", &out.DMARC) },
			"subdomains": func(v ast.Node) {
				p.mark(path+".subdomains", v)
				out.Subdomains = p.boolean(v, "subdomains")
			},
			"signing": func(v ast.Node) { p.readSigning(v, path+".signing", &out.Signing) },
			"labels": func(v ast.Node) {
				p.texts(v, "labels", path+".labels", func(s string, _ ast.Node) { out.Labels = append(out.Labels, s) })
			},
			"policy": func(v ast.Node) {
				p.readPolicy(v, path+".policy", &out.Policy, &out.Policy.NeedApproval, path+".policy.need_approval")
			},
			"signers": func(v ast.Node) { out.Signers = p.readSigners(v, path) },
		})
		slices.Sort(out.Labels)
		out.Labels = slices.Compact(out.Labels)
		p.fleet.Domains = append(p.fleet.Domains, out)
	})
}
