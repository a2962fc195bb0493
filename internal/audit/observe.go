package audit

import (
	"slices"
	"sync"

	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/resolver"
)

// observed is what recursive servers said.
type observed struct {
	views        map[string][]resolver.Answer // of the key records that stand, by name
	unregistered map[string]bool              // registrable domains of targets: true = nobody has it
	signed       resolver.Answer              // the DS records of the domain's zone
	belowDMARC   resolver.Answer              // _dmarc below a name that nobody has
	adsp         resolver.Answer
	sts          resolver.Answer
	tls          resolver.Answer
	bimi         resolver.Answer
	mx           resolver.Answer
	spfType      resolver.Answer // records of the type SPF (99)
	wrong        map[string]resolver.Answer
	address      map[string]resolver.Answer // at selectors without a key
}

// selector is one selector with what stands there.
type selector struct {
	Asked
	name string
	look *look
}

// observe asks everything. What it asks next depends on what it has seen, but no rule is applied here.
func (o *observation) observe() {
	apex := o.look(o.q.Domain, "TXT")
	switch {
	case fault.CodeOf(apex.err) == fault.NotFound:
		o.add(Finding{ID: "DKIM-D12", Severity: Error, Subject: o.q.Domain, Message: because(apex.err), Fix: "register the domain or delegate its zone; nothing of it can be found until then"})
		return
	case apex.err != nil:
		o.notChecked(everything(), o.q.Domain+" cannot be looked at: "+because(apex.err))
		return
	}
	o.delegated = true
	o.label = o.a.deps.Label()
	d := o.q.Domain
	keys := "_domainkey." + d
	var guessed []Asked
	o.together(
		func() { o.look(keys, "TXT") },
		func() { o.look("_dmarc."+d, "TXT") },
		func() { o.look(o.label+"."+keys, "TXT") },
		func() { o.extra.belowDMARC = o.first("_dmarc."+o.label+"."+d, "TXT") },
		func() { o.extra.adsp = o.first("_adsp."+keys, "TXT") },
		func() { o.extra.sts = o.first("_mta-sts."+d, "TXT") },
		func() { o.extra.tls = o.first("_smtp._tls."+d, "TXT") },
		func() { o.extra.bimi = o.first("default._bimi."+d, "TXT") },
		func() { o.extra.mx = o.first(d, "MX") },
		func() { o.extra.spfType = o.first(d, "SPF") },
		func() { o.extra.signed = o.first(apex.view.Zone, "DS") },
	)
	if o.q.Guess {
		guessed = o.guess()
	}
	o.selectors = o.chosen(guessed)
	o.each(func(s *selector) { s.look = o.look(s.name, "TXT") })
	o.behind()
}

// silence says which of the recursive servers' answers are missing: what they would show is neither there nor not there.
func (o *observation) silence() {
	d := o.q.Domain
	for _, asked := range []struct {
		name, rrtype string
		a            resolver.Answer
	}{
		{"_adsp._domainkey." + d, "TXT", o.extra.adsp}, {"_mta-sts." + d, "TXT", o.extra.sts}, {"_smtp._tls." + d, "TXT", o.extra.tls},
		{"default._bimi." + d, "TXT", o.extra.bimi}, // what a silent MX means, the policies say
	} {
		if asked.a.Status == resolver.StatusError {
			o.notChecked(gap{subject: asked.name}, asked.name+" "+asked.rrtype+": "+asked.a.Detail)
		}
	}
}

// chosen makes the list of selectors, each once, bounded.
func (o *observation) chosen(guessed []Asked) []*selector {
	var out []*selector
	for _, a := range slices.Concat(o.q.Selectors, guessed) {
		name := inventory.KeyName(a.Selector, o.q.Domain)
		if slices.ContainsFunc(out, func(s *selector) bool { return s.name == name }) {
			continue
		}
		if len(out) == maxSelectors {
			o.notChecked(gap{ids: "DKIM-"}, "more than 200 selectors were named; the rest was not looked at")
			break
		}
		out = append(out, &selector{Asked: a, name: name})
	}
	return out
}

// guess looks for the selectors that the catalogue knows, where there can be any: below a name that does not exist there is nothing (RFC 8020), and
// below a wildcard everything. A recursive server is asked, because most of them are not there.
func (o *observation) guess() []Asked {
	if o.look("_domainkey."+o.q.Domain, "TXT").ref.Status == resolver.StatusNXDomain || o.wildcard() {
		return nil
	}
	var names []string
	for _, s := range o.a.deps.Catalogue.All() {
		for _, name := range s.Selectors() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	found, unknown := make([]bool, len(names)), make([]bool, len(names))
	var steps []func()
	for i, name := range names {
		steps = append(steps, func() {
			answer := o.first(inventory.KeyName(name, o.q.Domain), "TXT")
			found[i] = answer.Status == resolver.StatusOK || len(answer.CNAME) > 0
			unknown[i] = answer.Status == resolver.StatusError
		})
	}
	o.together(steps...)
	o.unguessed = slices.Contains(unknown, true)
	var out []Asked
	for i, name := range names {
		if found[i] {
			out = append(out, Asked{Selector: name, Source: FromCatalogue})
		}
	}
	return out
}

// wildcard reports whether a selector that nobody uses is answered.
func (o *observation) wildcard() bool {
	l := o.look(o.label+"._domainkey."+o.q.Domain, "TXT")
	return l.ref.Status == resolver.StatusOK || l.ref.Own != ""
}

// behind asks what the first answers raise.
func (o *observation) behind() {
	o.extra.views, o.extra.unregistered = make(map[string][]resolver.Answer), make(map[string]bool)
	o.extra.wrong, o.extra.address = make(map[string]resolver.Answer), make(map[string]resolver.Answer)
	var mu sync.Mutex
	var steps []func()
	into := func(m map[string]resolver.Answer, name, rrtype string) {
		steps = append(steps, func() {
			answer := o.first(name, rrtype)
			mu.Lock()
			defer mu.Unlock()
			m[name] = answer
		})
	}
	registrable := make(map[string]bool)
	for _, s := range o.selectors {
		l := s.look
		switch {
		case l.ref.Status == resolver.StatusOK:
			steps = append(steps, func() {
				answers, err := o.a.deps.Views.Recursive(o.ctx, s.name, "TXT")
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					o.extra.views[s.name] = answers
				}
			})
		case len(l.ref.CNAME) > 0 && l.absent():
			if target, err := publicsuffix.EffectiveTLDPlusOne(l.ref.CNAME[len(l.ref.CNAME)-1]); err == nil {
				registrable[target] = true
			}
		case l.absent() && !s.Source.guess():
			into(o.extra.wrong, s.Selector+"."+o.q.Domain, "TXT")
			into(o.extra.wrong, s.name+"."+o.q.Domain, "TXT")
			into(o.extra.address, s.name, "A")
		}
	}
	for target := range registrable {
		steps = append(steps, func() {
			answer := o.first(target, "NS")
			mu.Lock()
			defer mu.Unlock()
			o.extra.unregistered[target] = answer.Status == resolver.StatusNXDomain
		})
	}
	o.together(steps...)
}

// together runs steps side by side; the looks in them are bounded by the observation's slots.
func (o *observation) together(steps ...func()) {
	var wg sync.WaitGroup
	for _, step := range steps {
		wg.Go(step)
	}
	wg.Wait()
}

// each runs a step for every selector.
func (o *observation) each(step func(*selector)) {
	var steps []func()
	for _, s := range o.selectors {
		steps = append(steps, func() { step(s) })
	}
	o.together(steps...)
}
