package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

func (a *applier) domains() {
	named := make(map[string]bool, len(a.f.Domains))
	rows := make(map[string]int, len(a.next.Domains))
	for i, d := range a.next.Domains {
		rows[d.Name] = i
	}
	assignments := make(map[string][]int) // of a domain, by index in next.Assignments
	for i, as := range a.next.Assignments {
		assignments[as.Domain] = append(assignments[as.Domain], i)
	}
	for i := range a.f.Domains {
		d := &a.f.Domains[i]
		named[d.Name] = true
		if row, ok := rows[d.Name]; ok {
			a.domain(&a.next.Domains[row], d.Domain)
		} else {
			a.next.Domains = append(a.next.Domains, d.Domain)
			a.change(Add, "domain", d.Name, "%s is a new domain, %s", d.Name, modeText(d.Mode))
			a.last().Domain = d.Name
		}
		a.assignments(d.Name, d.Signers, assignments[d.Name])
	}
	for i := range a.next.Domains {
		if d := &a.next.Domains[i]; !named[d.Name] {
			a.assignments(d.Name, nil, assignments[d.Name])
			a.dmarc(d, "")
		}
	}
}

func modeText(m Mode) string {
	if m == Managed {
		return "managed: keys are made, published and rotated"
	}
	return "observed: nothing is changed"
}

// domain takes over the settings of a domain that is there already.
func (a *applier) domain(have *Domain, want Domain) {
	alter := func(why string, args ...any) {
		a.change(Alter, "domain", have.Name, why, args...)
		a.last().Domain = have.Name
	}
	switch {
	case have.Mode == want.Mode:
	case want.Mode == Managed:
		alter("%s becomes managed: keys are made, published and rotated", have.Name)
	default:
		alter("%s becomes observed: nothing is changed any more, keys in use stay as they are", have.Name)
	}
	if have.Publisher != want.Publisher {
		alter("records of %s are written through %s instead of %s", have.Name, orNobody(want.Publisher), orNobody(have.Publisher))
	}
	if !sameSet(have.Labels, want.Labels) {
		alter("the labels of %s become: %s", have.Name, orNone(want.Labels))
	}
	if have.NoKey != want.NoKey {
		if want.NoKey == NoKeyTempfail {
			alter("mail of %s that cannot be signed is deferred", have.Name)
		} else {
			alter("mail of %s that cannot be signed passes unsigned", have.Name)
		}
	}
	if have.Subdomains != want.Subdomains {
		alter("%s: subdomains %v instead of %v", subdomainsText(have.Name, want.Subdomains), want.Subdomains, have.Subdomains)
	}
	if text := signingText(have.Signing.Over(defaultSigning()), want.Signing.Over(defaultSigning()), "the default"); text != "" {
		alter("signatures of %s are made in another way: %s", have.Name, text)
	}
	if text := policyText(have.Policy, want.Policy); text != "" {
		alter("the policy of %s changes: %s", have.Name, text)
	}
	if !sameSet(have.Policy.NeedApproval, want.Policy.NeedApproval) {
		alter("%s", approvalText("in "+have.Name, want.Policy.NeedApproval))
	}
	a.dmarc(have, want.DMARC)
	*have = want
}

func (a *applier) dmarc(have *Domain, want string) {
	if have.DMARC == want {
		return
	}
	if want == "" {
		a.change(End, "domain", have.Name, "the DMARC policy at _dmarc.%s is no longer wanted", have.Name)
		a.last().Destructive = true
	} else {
		a.change(Alter, "domain", have.Name, "the DMARC policy of %s becomes %s", have.Name, want)
	}
	a.last().Domain = have.Name
	have.DMARC = want
}

func orNobody(publisher string) string {
	if publisher == "" {
		return "nobody"
	}
	return publisher
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// policyText says which numbers of a policy differ.
func policyText(have, want Policy) string {
	var parts []string
	duration := func(name string, x, y time.Duration) {
		if x != y {
			parts = append(parts, fmt.Sprintf("%s %s instead of %s", name, FormatDuration(y), FormatDuration(x)))
		}
	}
	flag := func(name string, x, y bool) {
		if x != y {
			parts = append(parts, fmt.Sprintf("%s %v", name, y))
		}
	}
	duration("rotate_every", have.RotateEvery, want.RotateEvery)
	duration("retention", have.Retention, want.Retention)
	duration("tombstone", have.Tombstone, want.Tombstone)
	duration("ttl", have.TTL, want.TTL)
	duration("min_wait", have.MinWait, want.MinWait)
	duration("check_every", have.CheckEvery, want.CheckEvery)
	duration("audit_every", have.AuditEvery, want.AuditEvery)
	if have.JitterPercent != want.JitterPercent {
		parts = append(parts, fmt.Sprintf("jitter_percent %d instead of %d", want.JitterPercent, have.JitterPercent))
	}
	flag("test_mode", have.TestMode, want.TestMode)
	flag("opaque_selectors", have.OpaqueSelectors, want.OpaqueSelectors)
	if have.Gate != want.Gate {
		parts = append(parts, "gate "+cmp.Or(want.Gate, "none"))
	}
	return strings.Join(parts, ", ")
}

// assignments takes over who signs for a domain; rows are the indexes of its assignments.
func (a *applier) assignments(domain string, want []FleetSigner, rows []int) {
	kept := make(map[int]bool)
	for _, s := range want {
		signer := a.signerOf(s)
		if signer == nil {
			return // a conflict was noted
		}
		row := -1
		revived := false
		for _, i := range rows {
			as := &a.next.Assignments[i]
			if as.SignerID != signer.ID || as.Stream != s.Stream || kept[i] {
				continue
			}
			if as.Ended.IsZero() {
				if as.Class != s.Class {
					a.otherClass(as, s, signer)
					kept[i] = true
					continue
				}
				row, revived = i, false
				break
			}
			newest := row < 0 || as.Ended.After(a.next.Assignments[row].Ended)
			if as.Class == s.Class && s.Class != ClassManaged && newest {
				row, revived = i, true
			}
		}
		if row < 0 {
			a.assign(domain, s, signer, rows)
			continue
		}
		kept[row] = true
		as := &a.next.Assignments[row]
		if revived {
			as.Ended, as.EndedBy = time.Time{}, ""
			a.onAssignment(Add, as, signer, "%s is wanted for %s again", who(signer, as), domain)
		}
		a.assignment(as, s, signer)
	}
	for _, i := range rows {
		if as := &a.next.Assignments[i]; !kept[i] && as.Ended.IsZero() {
			a.end(as)
		}
	}
}

// signerOf finds the signer of an entry; a service is added where it is named for the first time.
func (a *applier) signerOf(s FleetSigner) *Signer {
	i, ok := a.ids[s.Name()]
	if !ok && s.Kind() == KindService {
		a.change(Add, "service", s.Service, "%s is a new service", s.Service)
		return a.add(Signer{Kind: KindService, Name: s.Service, Label: s.Service, Service: s.Service})
	}
	if !ok || a.next.Signers[i].Kind != s.Kind() {
		a.conflict("give one of them another name", "%s is not a %s", s.Name(), s.Kind())
		return nil
	}
	return &a.next.Signers[i]
}

func (a *applier) assign(domain string, s FleetSigner, signer *Signer, rows []int) {
	as := Assignment{
		ID: a.opts.NewID("asg"), Domain: domain, SignerID: signer.ID, Stream: s.Stream, Class: s.Class,
		Algorithms: s.Algorithms, Bulk: s.Bulk, NoKey: s.NoKey, Subdomains: s.Subdomains, Signing: s.Signing, Records: s.Records, Slots: s.Slots, Through: s.Through, Standby: s.Standby,
	}
	again := slices.ContainsFunc(rows, func(i int) bool {
		old := a.next.Assignments[i]
		return old.SignerID == signer.ID && old.Stream == s.Stream
	})
	a.next.Assignments = append(a.next.Assignments, as)
	switch {
	case s.Class != ClassManaged:
		a.onAssignment(Add, &as, signer, "%s signs for %s: %s", who(signer, &as), domain, recordText(s.Records))
	case again:
		a.onAssignment(Add, &as, signer, "%s signs for %s again, with new keys", who(signer, &as), domain)
	default:
		a.onAssignment(Add, &as, signer, "%s signs for %s with keys of its own (%s)", who(signer, &as), domain, strings.Join(s.Algorithms, ", "))
	}
	if s.Standby {
		a.onAssignment(Add, &as, signer, "%s keeps a standby key for %s", who(signer, &as), domain)
	}
	if s.Through != "" {
		a.onAssignment(Add, &as, signer, "%s uses slots: %s", who(signer, &as), a.slotText(&as))
	}
}

// assignment takes over the settings of an assignment that goes on.
func (a *applier) assignment(as *Assignment, s FleetSigner, signer *Signer) {
	alter := func(why string, args ...any) { a.onAssignment(Alter, as, signer, why, args...) }
	if !sameSet(as.Algorithms, s.Algorithms) {
		alter("%s signs for %s with keys of %s instead of %s", who(signer, as), as.Domain, orNone(s.Algorithms), orNone(as.Algorithms))
		as.Algorithms = s.Algorithms
	}
	if as.Bulk != s.Bulk {
		if s.Bulk {
			alter("mail of %s for %s counts as bulk: List-Unsubscribe is signed too", who(signer, as), as.Domain)
		} else {
			alter("mail of %s for %s no longer counts as bulk", who(signer, as), as.Domain)
		}
		as.Bulk = s.Bulk
	}
	if as.Standby != s.Standby {
		if s.Standby {
			alter("%s keeps a standby key for %s: a further one is made, published and proven ahead of time", who(signer, as), as.Domain)
		} else {
			alter("%s keeps no standby key for %s any more: the one there is comes into use", who(signer, as), as.Domain)
		}
		as.Standby = s.Standby
	}
	a.overrides(as, s, signer)
	if as.Through != s.Through {
		if as.Through != "" {
			a.conflict("leave it as it is, or end the signer and give the new one another stream", "the slots of %s for %s lead to %s, where their keys lie", who(signer, as), as.Domain, as.Through)
			return
		}
		as.Slots, as.Through = s.Slots, s.Through
		alter("%s uses slots that lead to %s: %s", who(signer, as), s.Through, a.slotText(as))
	}
	if !slices.Equal(as.Slots, s.Slots) {
		alter("%s uses these selectors in turn for %s: %s", who(signer, as), as.Domain, orNone(s.Slots))
		as.Slots = s.Slots
	}
	a.records(as, s, signer)
}

// slotText says which CNAMEs the slots of an assignment are.
func (a *applier) slotText(as *Assignment) string {
	i := slices.IndexFunc(a.next.Publishers, func(p Publisher) bool { return p.Name == as.Through })
	if i < 0 {
		return strings.Join(as.Slots, ", ")
	}
	var texts []string
	for _, slot := range as.Slots {
		texts = append(texts, fmt.Sprintf("%s CNAME %s", KeyName(slot, as.Domain), SlotTarget(slot, as.Domain, a.next.Publishers[i].Zone)))
	}
	return strings.Join(texts, ", ") + "; they stand once, and every rotation is written to " + a.next.Publishers[i].Zone
}

// otherClass ends the assignment of a service that goes over from TXT to CNAME or back: a class belongs to a row for
// good, and another row takes its place.
func (a *applier) otherClass(as *Assignment, s FleetSigner, signer *Signer) {
	as.Ended, as.EndedBy = a.opts.Now, a.opts.By
	a.onAssignment(End, as, signer, "%s goes over from %s to %s records for %s", who(signer, as), recordType(as.Class), recordType(s.Class), as.Domain)
	for _, old := range as.Records {
		if !slices.ContainsFunc(s.Records, func(r ServiceRecord) bool { return r.Selector == old.Selector }) {
			a.dropped(as, signer, old)
		}
	}
}

func recordType(c Class) string {
	if c == ClassDelegated {
		return "CNAME"
	}
	return "TXT"
}

// dropped notes a record that the service uses and the file no longer has.
func (a *applier) dropped(as *Assignment, signer *Signer, r ServiceRecord) {
	a.onAssignment(End, as, signer, "%s uses the record %s today, and it is no longer wanted", signer.Name, KeyName(r.Selector, as.Domain))
	a.last().Destructive = true
}

// records compares the records of a service. A selector that disappears breaks what the service signs with it.
func (a *applier) records(as *Assignment, s FleetSigner, signer *Signer) {
	find := func(rs []ServiceRecord, selector string) (ServiceRecord, bool) {
		i := slices.IndexFunc(rs, func(r ServiceRecord) bool { return r.Selector == selector })
		if i < 0 {
			return ServiceRecord{}, false
		}
		return rs[i], true
	}
	differ := false
	for _, r := range s.Records {
		old, ok := find(as.Records, r.Selector)
		switch {
		case !ok:
			a.onAssignment(Alter, as, signer, "%s gets the %s record %s", signer.Name, r.Type, KeyName(r.Selector, as.Domain))
		case old != r:
			a.onAssignment(Alter, as, signer, "the record %s of %s gets another value (%s)", KeyName(r.Selector, as.Domain), signer.Name, r.Type)
		}
		differ = differ || !ok || old != r
	}
	for _, old := range as.Records {
		if _, ok := find(s.Records, old.Selector); !ok {
			a.dropped(as, signer, old)
			differ = true
		}
	}
	if differ {
		as.Records = s.Records
	}
}

// end marks an assignment as ended. Where the signer was declared gone, a person has said so already.
func (a *applier) end(as *Assignment) {
	i := slices.IndexFunc(a.next.Signers, func(s Signer) bool { return s.ID == as.SignerID })
	signer := &Signer{Name: as.SignerID}
	if i >= 0 {
		signer = &a.next.Signers[i]
	}
	as.Ended, as.EndedBy = a.opts.Now, a.opts.By
	if !signer.Decommissioned.IsZero() {
		a.onAssignment(End, as, signer, "%s was declared gone and signs for %s no more", who(signer, as), as.Domain)
		return
	}
	then := "its keys go through retirement"
	if as.Class != ClassManaged {
		then = "its records are taken away"
	}
	a.onAssignment(End, as, signer, "%s signs for %s today and will no longer: %s", who(signer, as), as.Domain, then)
	a.last().Destructive = true
}

func (a *applier) onAssignment(action Action, as *Assignment, signer *Signer, why string, args ...any) {
	a.change(action, "assignment", who(signer, as)+" for "+as.Domain, why, args...)
	a.last().Domain = as.Domain
}

// who names a signer with its stream, when it is not the usual one.
func who(signer *Signer, as *Assignment) string {
	if as.Stream == DefaultStream {
		return signer.Name
	}
	return fmt.Sprintf("%s (%s)", signer.Name, as.Stream)
}

func recordText(rs []ServiceRecord) string {
	if len(rs) == 0 {
		return "no records are known"
	}
	var names []string
	for _, r := range rs {
		names = append(names, r.Selector)
	}
	return fmt.Sprintf("%s records at %s", rs[0].Type, strings.Join(names, ", "))
}
