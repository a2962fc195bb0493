package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

const (
	// looksTogether is how many questions are under way at once: a resolver takes them easily, and one that limits its clients does too.
	looksTogether = 12
	// maxSPFHosts bounds the SPF records that are read: twice what an evaluator may look up (RFC 7208 §4.6.4), so that records that are
	// over it are still told in full.
	maxSPFHosts = 20
	// maxSPFDepth bounds includes of includes.
	maxSPFDepth = 5
	// silentAfter is how many questions go unanswered, none answered before, until the others are not asked: the resolver is silent then, and
	// each further dozen would wait as long as the first. A lost datagram or two are asked again anyway.
	silentAfter = 4
	// maxGivenSelectors bounds the selectors of one call.
	maxGivenSelectors = 200
)

// asker answers DNS questions with what stands there, chain and all.
type asker interface {
	ask(ctx context.Context, name, rrtype string) resolver.Answer
}

type recursiveAsker struct{ r *resolver.Resolver }

func (a recursiveAsker) ask(ctx context.Context, name, rrtype string) resolver.Answer {
	return a.r.First(ctx, name, rrtype)
}

type fileAsker struct{ f *resolver.File }

func (a fileAsker) ask(_ context.Context, name, rrtype string) resolver.Answer {
	return a.f.Answer(name, rrtype)
}

// asker gives what the flags name, or the system's resolver, with whole answers.
func (f *dnsFlags) asker() (asker, error) {
	if f.records != "" {
		file, err := f.openRecords()
		return fileAsker{file}, err
	}
	var servers []string
	if f.resolver != "" {
		if err := checkResolverAddr("resolver", f.resolver); err != nil {
			return nil, err
		}
		servers = []string{f.resolver}
	}
	r, err := resolver.New(resolver.Config{Recursive: servers})
	return recursiveAsker{r}, err
}

// domainLook is what was asked about one domain and what could not be.
type domainLook struct {
	services.Sighted
	NotChecked []string // names that nobody answered for
	Wildcard   bool     // names that nobody made are answered too
	Queries    int
}

// lookAtDomain asks for everything that tells of services: the selectors that the catalogue knows and the given ones, SPF with its
// includes, MX, TXT, the delegation of _domainkey, and a few further names.
func lookAtDomain(ctx context.Context, dns asker, c *services.Catalogue, domain string, selectors []string, status io.Writer) domainLook {
	l := domainLook{Sighted: services.Sighted{Domain: domain}}
	type task struct {
		name, rrtype string
		take         func(resolver.Answer)
	}
	var tasks []task
	var stray string // what a name shows that nobody made
	names := slices.Clone(selectors)
	for _, s := range c.AllSelectors() {
		if !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	found := make([]*services.SightedSelector, len(names))
	for i, s := range names {
		tasks = append(tasks, task{s + "._domainkey." + domain, "TXT", func(a resolver.Answer) {
			if standsAs(a) != "" && standsAs(a) != stray {
				found[i] = &services.SightedSelector{Selector: s, Chain: a.CNAME, TXT: firstOf(a.TXT...)}
			}
		}})
	}
	probes := c.Probes()
	records := make([]*services.SightedName, len(probes))
	for i, p := range probes {
		tasks = append(tasks, task{p + "." + domain, "CNAME", func(a resolver.Answer) {
			if len(a.CNAME) > 0 {
				records[i] = &services.SightedName{Name: p + "." + domain, Target: a.CNAME[0]}
			}
		}})
	}
	tasks = append(tasks,
		task{domain, "TXT", func(a resolver.Answer) { l.TXT = a.TXT }},
		task{domain, "MX", func(a resolver.Answer) {
			for _, data := range a.Data {
				if fields := strings.Fields(data); len(fields) == 2 {
					l.MX = append(l.MX, strings.ToLower(strings.TrimSuffix(fields[1], ".")))
				}
			}
		}},
		task{"_domainkey." + domain, "NS", func(a resolver.Answer) { l.Delegation = a.NS }})
	progress, done := progressBar(status, "asking", len(tasks)+1)
	defer done()
	probe := dns.ask(ctx, strayLabel()+"._domainkey."+domain, "TXT")
	l.Queries++
	progress()
	if probe.Status == resolver.StatusOK || len(probe.CNAME) > 0 {
		l.Wildcard, stray = true, standsAs(probe)
	}
	answered, unanswered := probe.Status != resolver.StatusError, 0
	if !answered {
		unanswered++
	}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(looksTogether)
	for _, x := range tasks {
		group.Go(func() error {
			defer progress()
			mu.Lock()
			silent := !answered && unanswered >= silentAfter
			mu.Unlock()
			if silent || ctx.Err() != nil {
				return nil
			}
			a := dns.ask(ctx, x.name, x.rrtype)
			mu.Lock()
			defer mu.Unlock()
			l.Queries++
			if a.Status == resolver.StatusError {
				unanswered++
			} else {
				answered = true
			}
			if a.Status == resolver.StatusError && len(a.CNAME) == 0 {
				l.NotChecked = append(l.NotChecked, x.name+" "+x.rrtype+": "+a.Detail)
			}
			x.take(a)
			return nil
		})
	}
	_ = group.Wait()
	for _, s := range found {
		if s != nil {
			l.Selectors = append(l.Selectors, *s)
		}
	}
	for _, r := range records {
		if r != nil {
			l.CNAMEs = append(l.CNAMEs, *r)
		}
	}
	hosts, asked := spfHosts(ctx, dns, l.TXT)
	l.SPF = hosts
	l.Queries += asked
	slices.Sort(l.NotChecked)
	return l
}

// standsAs is what an answer shows, to be compared with a wildcard's; "" = nothing.
func standsAs(a resolver.Answer) string {
	return strings.Join(slices.Concat(a.CNAME, a.TXT), "\n")
}

// strayLabel is a name that nobody made.
func strayLabel() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "postseal-" + hex.EncodeToString(b[:])
}

// spfHosts follows the includes and the redirect of a domain's SPF record (RFC 7208 §5.2, §6.1). Names with macros are told and not followed.
func spfHosts(ctx context.Context, dns asker, txt []string) (hosts []services.SightedSPF, asked int) {
	type stop struct {
		terms []string
		via   []string
	}
	queue := []stop{{terms: spfTerms(txt)}}
	seen := map[string]bool{}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, host := range at.terms {
			if seen[host] || len(hosts) >= maxSPFHosts {
				continue
			}
			seen[host] = true
			hosts = append(hosts, services.SightedSPF{Host: host, Via: at.via})
			if strings.Contains(host, "%") || len(at.via) >= maxSPFDepth {
				continue
			}
			asked++
			queue = append(queue, stop{spfTerms(dns.ask(ctx, host, "TXT").TXT), append(slices.Clone(at.via), host)})
		}
	}
	return hosts, asked
}

// spfTerms are the names that the one SPF record among values includes or redirects to. Several records are none (RFC 7208 §4.5).
func spfTerms(txt []string) []string {
	var record string
	for _, t := range txt {
		if low := strings.ToLower(t); low == "v=spf1" || strings.HasPrefix(low, "v=spf1 ") {
			if record != "" {
				return nil
			}
			record = low
		}
	}
	var names []string
	for _, term := range strings.Fields(record) {
		term = strings.TrimLeft(term, "+-~?")
		for _, head := range []string{"include:", "redirect="} {
			if name, ok := strings.CutPrefix(term, head); ok && name != "" {
				names = append(names, strings.TrimSuffix(name, "."))
			}
		}
	}
	return names
}
