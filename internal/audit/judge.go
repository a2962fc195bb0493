package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/resolver"
)

// judge applies the rules, in the order in which people would look.
func (o *observation) judge() {
	o.wildcards()
	for _, s := range o.selectors {
		o.selector(s)
	}
	o.misplacedKeys()
	o.algorithms()
	o.policies()
	o.delegations()
	o.servers()
	o.validation()
	o.mail()
	o.life()
	o.silence()
}

// selector judges what stands at one selector.
func (o *observation) selector(s *selector) {
	l := s.look
	state := Selector{Selector: s.Selector, Signer: s.Signer, Source: string(s.Source)}
	if state.Signer == "" {
		state.Signer = o.serviceName(s)
	}
	switch {
	case l.err != nil || l.ref.Status == resolver.StatusError && !chainTrouble(l.ref.Detail):
		state.State = "unknown"
		why := l.ref.Detail
		if l.err != nil {
			why = because(l.err)
		}
		o.notChecked(gap{"DKIM-", s.name}, s.name+" cannot be looked at: "+why)
	case o.fromWildcard(l):
		state.State = "missing"
		o.missing(s)
	case l.absent() && l.ref.Own == "":
		state.State = "missing"
		o.missing(s)
	default:
		state.State = o.standing(s)
	}
	if state.State != "missing" || !s.Source.guess() || l.ref.Own != "" {
		o.states = append(o.states, state)
	}
}

// serviceName recognises whose selector it is.
func (o *observation) serviceName(s *selector) string {
	if found := o.a.deps.Catalogue.Recognise(s.Selector, s.look.ref.CNAME); len(found) > 0 {
		return found[0].Title
	}
	return ""
}

// service is the catalogue id of the service that a selector belongs to, as declared or recognised.
func (o *observation) service(s *selector) string {
	if s.Service != "" {
		return s.Service
	}
	if found := o.a.deps.Catalogue.Recognise(s.Selector, s.look.ref.CNAME); len(found) == 1 {
		return found[0].ID
	}
	return ""
}

// fromWildcard reports whether the answer is what any name gets.
func (o *observation) fromWildcard(l *look) bool {
	if !o.wildcard() {
		return false
	}
	any := o.look(o.label+"._domainkey."+o.q.Domain, "TXT").ref
	return l.ref.Own == any.Own && slices.Equal(l.ref.TXT, any.TXT)
}

// missing judges a selector without a record.
func (o *observation) missing(s *selector) {
	if s.Source.guess() {
		return
	}
	f := Finding{
		ID: "DKIM-S01", Severity: Error, Subject: s.name, Seen: s.look.seen(),
		Message: "there is no key record at this selector",
		Fix:     "publish the record of the key that signs with it, or stop signing with it",
	}
	switch {
	case s.Want != "":
		f.Mend = []Mend{{Name: s.name, Type: "TXT", Value: s.Want}}
		f.Fix = "publish " + s.name + " TXT " + quoted(s.Want)
	case s.Target != "":
		f.Mend = []Mend{{Name: s.name, Type: "CNAME", Value: s.Target}}
		f.Fix = "publish " + s.name + " CNAME " + s.Target + "."
	case s.Source == FromAsked:
		f.Message += "; if it was used for signing, mail signed with it fails"
	}
	if a := o.extra.address[s.name]; a.Status == resolver.StatusOK {
		o.add(Finding{ID: "DKIM-D22", Severity: Warning, Subject: s.name, Seen: []Seen{seenOf(a)},
			Message: "there are addresses instead of the key: the DNS host answers for the CNAME's target, as a proxy does",
			Fix:     "switch the proxy (or CNAME flattening) off for this name: DNS only"})
	}
	if place, value := o.elsewhere(s); place != "" {
		if s.Want == "" {
			f.Mend = []Mend{{Name: s.name, Type: "TXT", Value: value}}
		}
		o.add(Finding{ID: "DKIM-S24", Severity: Error, Subject: place, Seen: []Seen{seenOf(o.extra.wrong[place])},
			Message: fmt.Sprintf("a key record stands here, where no receiver asks; it belongs at %s%s", s.name, doubled(place, o.q.Domain)),
			Fix:     fmt.Sprintf("move it to %s", s.name),
			Mend:    []Mend{{Name: s.name, Type: "TXT", Value: value}, {Remove: true, Name: place, Type: "TXT", Value: value}}})
	}
	o.add(f)
}

// elsewhere finds the key of a selector at a name where it does not belong.
func (o *observation) elsewhere(s *selector) (place, value string) {
	for _, name := range []string{s.name + "." + o.q.Domain, s.Selector + "." + o.q.Domain} {
		for _, txt := range o.extra.wrong[name].TXT {
			if isKey(txt) {
				return name, txt
			}
		}
	}
	return "", ""
}

// doubled explains a name that ends with the domain twice.
func doubled(name, domain string) string {
	if strings.HasSuffix(name, "."+domain+"."+domain) {
		return ". The form of the DNS host adds the domain by itself: write the name without it there"
	}
	return ""
}

// standing judges what stands, and returns the selector's state.
func (o *observation) standing(s *selector) string {
	l := s.look
	if l.ref.Own != "" && len(l.ref.CNAME) == 0 && len(l.ref.TXT) > 0 {
		o.add(Finding{ID: "DKIM-D01", Severity: Error, Subject: s.name, Seen: l.seen(),
			Message: "a CNAME and a TXT record stand at one name; what receivers get depends on their resolver",
			Fix:     "keep one of them: the CNAME where a service has the key"})
	}
	o.chain(s)
	keys := slices.DeleteFunc(slices.Clone(l.ref.TXT), func(txt string) bool { return !isKey(txt) })
	others := len(l.ref.TXT) - len(keys)
	switch {
	case len(l.ref.TXT) == 0:
		return "missing" // the chain leads nowhere; chain said so
	case len(keys) > 1:
		o.add(Finding{ID: "DKIM-S02", Severity: Error, Subject: s.name, Seen: l.seen(),
			Message: fmt.Sprintf("%d key records stand here; receivers take any of them, or none (RFC 6376 §3.6.2.2)", len(keys)),
			Fix:     "keep the one that signs, delete the others", Mend: o.keepOne(s, keys)})
	case len(keys) == 1 && others > 0:
		f := Finding{ID: "DKIM-S03", Severity: Warning, Subject: s.name, Seen: l.seen(),
			Message: fmt.Sprintf("%d other TXT record(s) stand beside the key: some receivers take those", others),
			Fix:     "move them to another name"}
		for _, txt := range l.ref.TXT {
			if !isKey(txt) {
				f.Mend = append(f.Mend, Mend{Remove: true, Name: s.name, Type: "TXT", Value: txt})
			}
		}
		o.add(f)
	case len(keys) == 0:
		keys = l.ref.TXT[:1]
	}
	return o.record(s, keys[0])
}

// keepOne removes all keys but the one that is expected; nothing where nobody knows which that is.
func (o *observation) keepOne(s *selector, keys []string) []Mend {
	if !slices.Contains(keys, s.Want) {
		return nil
	}
	var out []Mend
	for _, k := range keys {
		if k != s.Want {
			out = append(out, Mend{Remove: true, Name: s.name, Type: "TXT", Value: k})
		}
	}
	return out
}

// record judges one key record.
func (o *observation) record(s *selector, txt string) string {
	l := s.look
	lint := LintDKIM(Value{Text: txt, Strings: l.stringsOf(txt)})
	service := o.service(s)
	theirs := (len(l.ref.CNAME) > 0 || service != "") && !s.Slot
	for _, f := range lint.Findings {
		if theirs && slices.Contains([]string{"DKIM-K02", "DKIM-K20", "DKIM-S12", "DKIM-S16"}, f.ID) {
			continue // what the service must mend is said by the rules about services
		}
		f.Subject, f.Seen = s.name, l.seen()
		if lint.Corrected != "" && lint.Corrected != txt && f.Severity != Info && len(l.ref.CNAME) == 0 && mendable(f.ID) {
			f.Mend = []Mend{{Remove: true, Name: s.name, Type: "TXT", Value: txt}, {Name: s.name, Type: "TXT", Value: lint.Corrected}}
		}
		o.add(f)
	}
	if theirs {
		o.theirs(s)
	}
	o.expected(s, txt)
	if flags, _ := scanTags(txt).get("t"); s.Below && slices.Contains(items(flags), "s") {
		o.add(Finding{ID: "DKIM-S20", Severity: Warning, Subject: s.name, Seen: l.seen(),
			Message: "t=s forbids signatures for names below the domain, and there are some (i=): receivers do not accept them", Fix: "leave s out of t=, or sign with i= in the domain itself"})
	}
	switch {
	case lint.Revoked:
		if s.Source == FromMessage {
			o.add(Finding{ID: "DKIM-L01", Severity: Error, Subject: s.name, Seen: l.seen(), Message: "the key is revoked (p= is empty), and mail is signed with it all the same", Fix: "have the signer use a key that is published"})
		}
		return "revoked"
	case !lint.Valid:
		return "invalid"
	}
	o.remember(s, txt)
	return "published"
}

// mendable reports whether the corrected record mends a finding: a bad key stays a bad key however it is written.
func mendable(id string) bool {
	return strings.HasPrefix(id, "DKIM-S") && id != "DKIM-S22" && id != "DKIM-S19" || id == "DKIM-K07"
}

// theirs applies the rules about keys of outside services.
func (o *observation) theirs(s *selector) {
	l := ServiceLook{Domain: o.q.Domain, Selector: s.Selector, Now: o.a.deps.Now(), Service: s.Service, Approved: o.q.Approved, State: LookFound, Chain: s.look.ref.CNAME, TXT: s.look.ref.TXT}
	for _, f := range ServiceFindings(o.a.deps.Catalogue, l) {
		if f.Seen == nil {
			f.Seen = s.look.seen()
		}
		o.add(f)
	}
}

// expected compares with what should stand.
func (o *observation) expected(s *selector, txt string) {
	switch {
	case s.Want == "" || sameRecord(txt, s.Want):
	default:
		o.add(Finding{ID: "DKIM-K16", Severity: Error, Subject: s.name, Seen: s.look.seen(),
			Message: "the key here is not the one that signs",
			Fix:     "publish " + quoted(s.Want) + ", or have the signer use the key that stands here",
			Mend:    []Mend{{Remove: true, Name: s.name, Type: "TXT", Value: txt}, {Name: s.name, Type: "TXT", Value: s.Want}}})
	}
	if s.Target != "" && len(s.look.ref.CNAME) == 0 {
		o.add(Finding{ID: "DKIM-D22", Severity: Warning, Subject: s.name, Seen: s.look.seen(),
			Message: "the record behind " + s.Target + " stands here in place of the CNAME: it was flattened, and will be out of date when the service changes its key",
			Fix:     "publish the CNAME itself (DNS only, no flattening)",
			Mend:    []Mend{{Remove: true, Name: s.name, Type: "TXT", Value: txt}, {Name: s.name, Type: "CNAME", Value: s.Target}}})
	}
}

// algorithms looks at the keys of the domain's own signers together.
func (o *observation) algorithms() {
	var rsa, edwards int
	for _, k := range o.keys {
		switch {
		case k.Service:
		case k.Modulus != nil:
			rsa++
		default:
			edwards++
		}
	}
	switch {
	case edwards > 0 && rsa == 0:
		o.add(Finding{ID: "DKIM-K18", Severity: Warning, Subject: o.q.Domain, Message: "all keys that were found are Ed25519, which many receivers cannot check", Fix: "sign with an RSA key of 2048 bits as well, under a selector of its own"})
	case rsa > 0 && edwards == 0:
		o.add(Finding{ID: "DKIM-K19", Severity: Info, Subject: o.q.Domain, Message: "all keys that were found are RSA", Fix: "a second signature with Ed25519 is possible and optional"})
	}
}

// sameRecord compares two key records by what they say.
func sameRecord(a, b string) bool {
	if a == b {
		return true
	}
	one, err := dkim.ParseKeyRecord(a)
	if err != nil {
		return false
	}
	two, err := dkim.ParseKeyRecord(b)
	return err == nil && one.Revoked == two.Revoked && one.Fingerprint() == two.Fingerprint()
}

// isKey reports whether a TXT record is meant to be a key record.
func isKey(txt string) bool {
	if strings.HasPrefix(strings.ToUpper(strings.TrimLeft(txt, " \t\"'")), "V=DKIM1") {
		return true
	}
	p, ok := scanTags(txt).get("p")
	if !ok {
		return false
	}
	v, versioned := scanTags(txt).get("v")
	return (!versioned || strings.EqualFold(v, "DKIM1")) && (unspaced(p) == "" || len(unspaced(p)) > 30)
}

// stringsOf returns the strings of a TXT record as they came.
func (l *look) stringsOf(txt string) []string {
	for i, joined := range l.ref.TXT {
		if joined == txt && i < len(l.ref.Strings) {
			return l.ref.Strings[i]
		}
	}
	return nil
}
