package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// ServiceFindings judges one selector whose key an outside service holds. It is pure: the same look gives the same findings, the worst first.
//
// What the catalogue knows from memory only is an expectation: it makes an info of what would be a warning, and its text says so.
// A look that brought no evidence gives nothing that would need one.
func ServiceFindings(c *services.Catalogue, l ServiceLook) []Finding {
	j := serviceJudge{c: c, l: l}
	j.service, j.known = l.service(c)
	j.declared = j.known && l.Service != ""
	j.dangling()
	j.whose()
	if l.State == LookFound {
		j.changed()
		j.size()
		j.age()
		j.shared()
		j.revoked()
	}
	j.second()
	j.reminder()
	return sorted(j.found)
}

// serviceJudge goes through one look.
type serviceJudge struct {
	c        *services.Catalogue
	l        ServiceLook
	service  services.Service // the declared one, else the one that its target belongs to
	known    bool             // there is one, and it is in the catalogue
	declared bool             // somebody said that it is this one
	found    []Finding
}

func (j *serviceJudge) add(id string, severity Severity, fix, format string, args ...any) *Finding {
	j.found = append(j.found, Finding{ID: id, Severity: severity, Subject: j.l.name(), Message: fmt.Sprintf(format, args...), Fix: fix})
	return &j.found[len(j.found)-1]
}

// vendor names the service for people.
func (j *serviceJudge) vendor() string {
	if j.known {
		return j.service.Title
	}
	if found := j.c.Recognise(j.l.Selector, j.l.Chain); len(found) > 0 {
		return found[0].Title
	}
	if j.l.Service != "" {
		return j.l.Service
	}
	return "the service behind it"
}

// expected weakens what rests on a field that the catalogue has from memory.
func (j *serviceJudge) expected(f *Finding, field string) {
	if j.service.EvidenceOf(field) != services.Confirmed {
		f.Severity = Info
		f.Message += " (expected from memory; its own page tells for certain)"
	}
}

// dangling: the CNAME leads nowhere (DKIM-D02), or to where a stranger can go (DKIM-D03).
func (j *serviceJudge) dangling() {
	l := j.l
	remove := []Mend{{Remove: true, Name: l.name(), Type: "CNAME", Value: firstHop(l.Chain)}}
	switch {
	case len(l.Chain) == 0:
	case l.Unregistered != "":
		j.add(idUnregistered, Error, "remove the CNAME at once: whoever registers "+l.Unregistered+" can publish a key there and sign as "+l.Domain,
			"it leads to %s, and nobody has the domain %s any more: a stranger can register it", l.target(), l.Unregistered).Mend = remove
	case l.State == LookGone:
		j.add(idDangling, Error, fmt.Sprintf("ask %s for the present target, or remove the CNAME if it signs for %s no more", j.vendor(), l.Domain),
			"it leads to %s, which does not exist", l.target()).Mend = remove
	case l.State == LookMissing:
		j.add(idDangling, Error, fmt.Sprintf("ask %s for the present target, or remove the CNAME if it signs for %s no more", j.vendor(), l.Domain),
			"it leads to %s, where no TXT record is", l.target()).Mend = remove
	case l.State == LookFound:
		if _, ok := l.key(); !ok {
			j.add(idDangling, Error, fmt.Sprintf("ask %s for the present target", j.vendor()), "it leads to %s, where no DKIM key is", l.target()).Mend = remove
		}
	}
}

func firstHop(chain []string) string {
	if len(chain) == 0 {
		return ""
	}
	return chain[0]
}

// whose: the CNAME points to another service than the declared one, or to one that may not sign (DKIM-D05).
func (j *serviceJudge) whose() {
	l := j.l
	if len(l.Chain) == 0 {
		return
	}
	found := j.c.Recognise(l.Selector, l.Chain)
	var titles []string
	for _, s := range found {
		titles = append(titles, s.Title)
	}
	switch {
	case len(found) > 0 && j.declared:
		if !slices.ContainsFunc(found, j.related) {
			j.add(idOtherService, Warning, fmt.Sprintf("if %s signs for %s, add it to the inventory; else remove the CNAME and ask %s for its own", titles[0], l.Domain, j.service.Title),
				"it is declared for %s and points to %s (%s)", j.service.Title, titles[0], l.target())
		}
	case len(found) > 0 && l.Approved != nil:
		if !slices.ContainsFunc(found, func(s services.Service) bool {
			return slices.Contains(l.Approved, s.ID) || slices.Contains(l.Approved, s.Carrier) && s.Carrier != ""
		}) {
			j.add(idOtherService, Warning, fmt.Sprintf("add %s to the inventory if it may sign for %s, else remove the CNAME", found[0].ID, l.Domain),
				"it points to %s (%s), which is not among the services of %s", titles[0], l.target(), l.Domain)
		}
	case len(found) == 0 && j.declared && j.service.Signs != services.TXT: // a TXT value may stand behind a CNAME of one's own
		if ok, why := j.service.CheckTarget(l.Selector, l.target()); !ok {
			f := j.add(idOtherService, Warning, fmt.Sprintf("compare it with %s: %s", j.service.Where(), j.service.Title), "%s", why)
			j.expected(f, "records")
		}
	}
}

// related reports whether a service is the declared one, carries it, or is carried by it.
func (j *serviceJudge) related(s services.Service) bool {
	d := j.service
	return s.ID == d.ID || s.ID == d.Carrier || s.Carrier == d.ID || s.Carrier != "" && s.Carrier == d.Carrier || s.ID == d.VariantOf || s.VariantOf == d.ID
}

// changed: another key stands behind the CNAME than before (DKIM-D06). Where the service is known to change its keys itself and nothing speaks
// against it, that is only told. Of several changes the newest that is odd counts, so that a later one does not cover it up.
func (j *serviceJudge) changed() {
	l := j.l
	if len(l.Chain) == 0 {
		return
	}
	newest := ""
	for i := len(l.Keys) - 1; i > 0; i-- {
		was, is := l.Keys[i-1], l.Keys[i]
		if l.Now.Sub(is.First) > keyChangeShown {
			break
		}
		day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
		what := fmt.Sprintf("the key behind %s changed: %s until %s, %s since %s", l.target(), keyText(was), day(was.Last), keyText(is), day(is.First))
		if newest == "" {
			newest = what
		}
		if odd := j.odd(i); len(odd) > 0 {
			j.add(idKeyChanged, Warning, "ask "+j.vendor()+" whether it changed the key; until it says so, take the new one for a stranger's", "%s; %s", what, strings.Join(odd, "; "))
			return
		}
	}
	if newest != "" {
		j.add(idKeyChanged, Info, "nothing is to be done: "+j.service.Title+" changes its keys behind the CNAME", "%s", newest)
	}
}

// odd says what speaks against a change of key, that from the key before i to i, being the service's own.
func (j *serviceJudge) odd(i int) (odd []string) {
	l, was, is := j.l, j.l.Keys[i-1], j.l.Keys[i]
	switch {
	case !j.known:
		odd = append(odd, "nothing is known of how the service changes its keys")
	case j.service.Rotation != services.ByProvider:
		odd = append(odd, j.service.Title+" is not known to change keys by itself")
	}
	if is.Bits < was.Bits && is.Type == was.Type {
		odd = append(odd, "the new key is smaller")
	}
	if slices.ContainsFunc(l.Keys[:i-1], func(k SeenKey) bool { return k.Fingerprint == is.Fingerprint }) {
		odd = append(odd, "it is a key that was given up before")
	}
	if days := j.service.MinDays; j.known && days > 0 && i > 1 && j.service.EvidenceOf("min_days") == services.Confirmed {
		if stood := is.First.Sub(was.First); stood.Hours() < float64(24*days) {
			odd = append(odd, fmt.Sprintf("the last one stood %.0f hours, and %s leaves them for %d days at least", stood.Hours(), j.service.Title, days))
		}
	}
	if j.known && j.hasTargets() && j.service.EvidenceOf("records") == services.Confirmed && !slices.ContainsFunc(j.c.Recognise(l.Selector, l.Chain), j.related) {
		odd = append(odd, "the target is none of "+j.service.Title+"'s")
	}
	return odd
}

// hasTargets reports whether the catalogue knows where the declared service's CNAMEs lead.
func (j *serviceJudge) hasTargets() bool {
	return slices.ContainsFunc(j.service.Records, func(r services.Record) bool { return len(r.Targets) > 0 })
}

func keyText(k SeenKey) string {
	short := k.Fingerprint
	if len(short) > 12 {
		short = short[:12]
	}
	name := "RSA"
	if k.Type == "ed25519" {
		name = "Ed25519"
	}
	return fmt.Sprintf("%s of %d bits (%s)", name, k.Bits, short)
}

// size: a small key is the vendor's to replace (DKIM-K02).
func (j *serviceJudge) size() {
	key, ok := j.l.key()
	if !ok || key.Revoked || key.Type != "rsa" || key.Bits >= serviceBits {
		return
	}
	fix := "ask " + j.vendor() + " for a key of 2048 bits"
	if j.known && slices.Contains(j.service.Bits, serviceBits) {
		fix = "choose 2048 bits at " + j.service.Title + ": " + j.service.Where()
	}
	j.add(idSmallKey, Warning, fix, "%s signs with RSA of %d bits; receivers accept it, and who has money enough can break it", j.vendor(), key.Bits)
}

// age: a key that stands for years (DKIM-K15). What is seen is never older than our own memory.
func (j *serviceJudge) age() {
	l := j.l
	if len(l.Chain) == 0 || len(l.Keys) == 0 {
		return
	}
	key := l.Keys[len(l.Keys)-1]
	if age := l.Now.Sub(key.First); age >= vendorKeyAge {
		j.add(idOldKey, Warning, "ask "+j.vendor()+" when it changes its keys", "the key behind %s has stood unchanged since %s at the latest (%d days)",
			l.target(), key.First.UTC().Format(time.DateOnly), int(age.Hours()/24))
	}
}

// shared: all customers sign with one key (DKIM-K17).
func (j *serviceJudge) shared() {
	if !j.known || !j.service.Shared {
		return
	}
	if key, ok := j.l.key(); !ok || key.Revoked {
		return
	}
	text := "%s signs for all its customers with one key"
	if j.service.EvidenceOf("shared") != services.Confirmed {
		text += " (expected from memory)"
	}
	j.add(idSharedKey, Info, "nothing is wrong with the record; ask "+j.service.Title+" for a key of your own where that matters", text, j.service.Title)
}

// revoked: an empty p= (SVC-03). Services that turn between selectors leave the idle ones so, and that is no fault while another one has a key.
func (j *serviceJudge) revoked() {
	l := j.l
	key, ok := l.key()
	if !ok || !key.Revoked {
		return
	}
	if j.known && j.service.IdleRevoked {
		good := func(s ServiceSibling) bool { return s.State == LookSilent || s.State == LookFound && !s.Revoked }
		if len(l.Siblings) == 0 || slices.ContainsFunc(l.Siblings, good) {
			return
		}
		j.add(idRevoked, Warning, "look at "+j.service.Title+" whether DKIM is switched on: "+j.service.Where(),
			"every selector of %s answers an empty p=: nothing that it signs can be verified", j.service.Title)
		return
	}
	j.add(idRevoked, Warning, "ask "+j.vendor()+" whether it still signs with this selector; remove the record if it does not",
		"it answers an empty p=: nothing that is signed with this selector can be verified")
}

// second: the service turns between several selectors, and one of them is not there: its next change of keys will fail (SVC-01).
func (j *serviceJudge) second() {
	l := j.l
	if !j.known || len(l.Chain) == 0 || j.service.Rotation != services.ByProvider || j.service.Count < 2 {
		return
	}
	s := j.service
	usual := s.SetupSelectors()
	if len(usual) < s.Count || !slices.Contains(usual, l.Selector) {
		j.tooFew()
		return
	}
	for _, selector := range usual {
		if selector == l.Selector {
			continue
		}
		i := slices.IndexFunc(l.Siblings, func(x ServiceSibling) bool { return x.Selector == selector })
		what := "does not exist"
		switch {
		case i < 0 && !l.Complete, i >= 0 && l.Siblings[i].State == LookSilent, i >= 0 && l.Siblings[i].State == LookFound:
			continue
		case i < 0:
			what = "is not in the inventory"
		case l.Siblings[i].State == LookMissing:
			what = "has no key"
		}
		f := j.add(idSecondMissing, Warning, fmt.Sprintf("postseal service add %s --domain %s; where to find it: %s", s.ID, l.Domain, s.Where()),
			"%s turns between %s, and %s %s: mail fails DKIM when it changes its key", s.Title, strings.Join(usual, ", "), selector, what)
		f.Subject = inventory.KeyName(selector, l.Domain)
		if target, fixed := s.FixedTarget(selector); fixed {
			f.Mend = []Mend{{Name: f.Subject, Type: "CNAME", Value: target}}
		}
		j.expected(f, "count")
	}
}

// tooFew counts where the selectors differ from account to account. Of several selectors the first one says it.
func (j *serviceJudge) tooFew() {
	l, s := j.l, j.service
	if !l.Complete || !j.declared || len(l.Siblings)+1 >= s.Count || slices.ContainsFunc(l.Siblings, func(x ServiceSibling) bool { return x.Selector < l.Selector }) {
		return
	}
	f := j.add(idSecondMissing, Warning, fmt.Sprintf("postseal service add %s --domain %s; where to find them: %s", s.ID, l.Domain, s.Where()),
		"%s has %d records for a domain, and %d are in the inventory: mail fails DKIM when it changes to a key behind a missing one", s.Title, s.Count, len(l.Siblings)+1)
	j.expected(f, "count")
}

// reminder: a TXT value stays until somebody fetches a new one (SVC-02).
func (j *serviceJudge) reminder() {
	l := j.l
	limit := l.Reminder
	if limit <= 0 {
		limit = foreignReminder
	}
	if len(l.Chain) > 0 || len(l.Keys) == 0 || l.State == LookGone || l.State == LookMissing {
		return
	}
	key := l.Keys[len(l.Keys)-1]
	age := l.Now.Sub(key.First)
	if age < limit {
		return
	}
	f := j.add(idReminder, Warning, "make a new key at "+j.vendor()+" and publish it: postseal service add", "the key of %s has stood unchanged for %d days", j.vendor(), int(age.Hours()/24))
	if j.known {
		f.Fix = fmt.Sprintf("make a new key at %s (%s) and publish it: postseal service add %s --domain %s", j.service.Title, j.service.Where(), j.service.ID, l.Domain)
	}
	if j.known && j.service.Rotation != services.ByCustomer && j.service.Rotation != services.RotationUnknown {
		f.Severity, f.Fix = Info, j.service.Title+" gives no new one on demand; ask it when the key is replaced"
	}
}
