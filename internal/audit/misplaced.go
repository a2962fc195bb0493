package audit

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/internal/resolver"
)

// misplacedKeys judges records at names where they mean nothing.
func (o *observation) misplacedKeys() {
	d := o.q.Domain
	for _, l := range []*look{o.look("_domainkey."+d, "TXT"), o.look(d, "TXT")} {
		if l.ref.Status != resolver.StatusOK || l.ref.Own != "" {
			continue
		}
		for _, txt := range l.values() {
			switch {
			case isKey(txt):
				o.add(o.misplacedKey(l, txt))
			case l.name != d && (strings.Contains(txt, "o=") || strings.Contains(txt, "t=y")) && policyKind(txt) == "":
				o.add(Finding{ID: "DKIM-S28", Severity: Info, Subject: l.name, Seen: l.seen(),
					Message: fmt.Sprintf("%s is a policy of DomainKeys, which nobody reads any more (RFC 4870 is historic)", shown(txt)), Fix: "delete it",
					Mend: []Mend{{Remove: true, Name: l.name, Type: "TXT", Value: txt}}})
			}
		}
	}
	if a := o.extra.adsp; a.Status == resolver.StatusOK && !o.wildcard() {
		for _, txt := range a.TXT {
			if strings.HasPrefix(strings.ToLower(strings.TrimSpace(txt)), "dkim=") {
				o.add(Finding{ID: "DKIM-S29", Severity: Info, Subject: "_adsp._domainkey." + d, Seen: []Seen{seenOf(a)},
					Message: "an ADSP record stands here, which nobody reads any more (RFC 5617 is historic)", Fix: "delete it; DMARC took its place",
					Mend: []Mend{{Remove: true, Name: "_adsp._domainkey." + d, Type: "TXT", Value: txt}}})
			}
		}
	}
}

// misplacedKey is a key above all selectors. Where exactly one selector lacks its key, it is that one's.
func (o *observation) misplacedKey(l *look, txt string) Finding {
	f := Finding{ID: "DKIM-S24", Severity: Error, Subject: l.name, Seen: l.seen(),
		Message: "a key record stands here, where no receiver asks: keys belong at SELECTOR._domainkey." + o.q.Domain,
		Fix:     "move it to the name of its selector"}
	var lacking []*selector
	for _, s := range o.selectors {
		if s.look.absent() && !s.Source.guess() {
			lacking = append(lacking, s)
		}
	}
	if len(lacking) == 1 {
		f.Fix = "move it to " + lacking[0].name
		f.Mend = []Mend{{Name: lacking[0].name, Type: "TXT", Value: txt}}
	}
	f.Mend = append(f.Mend, Mend{Remove: true, Name: l.name, Type: "TXT", Value: txt})
	return f
}
