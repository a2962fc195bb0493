package inventory

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/services"
)

// domains checks each domain with its signers.
func (c *checker) domains() {
	seen := make(map[string]bool)
	publishers := make(map[string]Publisher)
	for _, p := range c.f.Publishers {
		publishers[p.Name] = p
	}
	for i := range c.f.Domains {
		d := &c.f.Domains[i]
		path := fmt.Sprintf("domains[%d]", i)
		if err := checkDomain(d.Name); err != nil {
			c.wrong(path, "", "the domain %q %v", shorten(d.Name), err)
			continue
		}
		if full, err := ASCII(d.Name); err != nil || full != d.Name {
			c.wrong(path, "", "the domain %q is not in its ASCII form", d.Name)
		}
		if seen[d.Name] {
			c.wrong(path, "", "the domain %s appears twice", d.Name)
		}
		seen[d.Name] = true
		c.domain(d, path, publishers)
	}
}

func (c *checker) domain(d *FleetDomain, path string, publishers map[string]Publisher) {
	if modes := []string{string(Observed), string(Managed)}; !slices.Contains(modes, string(d.Mode)) {
		c.wrong(path+".mode", suggestion(string(d.Mode), modes), "unknown mode %q", shorten(string(d.Mode)))
	}
	c.noKey(d.NoKey, path+".no_key")
	c.signing(d.Signing, Signing{}, path+".signing")
	if d.Subdomains {
		c.aligns(d, path+".subdomains")
	}
	for i, l := range d.Labels {
		if err := checkWord(l, false); err != nil {
			c.wrong(fmt.Sprintf("%s.labels[%d]", path, i), "", "the label %q %v", shorten(l), err)
		}
	}
	c.dmarc(d, path)
	c.bad = append(c.bad, checkPolicy(d.Policy, path+".policy")...)
	if d.Policy.TestMode {
		c.tests = append(c.tests, path+".policy.test_mode")
	}
	c.approvals(path+".policy.need_approval", d.Policy.NeedApproval)
	c.gate(d.Policy.Gate, path+".policy.gate")
	c.publisher(d, path, publishers)
	if d.Mode == Managed && len(d.Signers) == 0 {
		c.warn(path, "", "nobody signs for %s", d.Name)
	}
	taken := make(map[string]ServiceRecord) // by selector
	streams := make(map[[2]string]bool)     // by signer and stream
	for i := range d.Signers {
		s := &d.Signers[i]
		at := fmt.Sprintf("%s.signers[%d]", path, i)
		if who := [2]string{s.Name(), s.Stream}; streams[who] {
			c.wrong(at, "give one of them another stream: NAME", "%s signs for %s twice on the stream %s", s.Name(), d.Name, s.Stream)
		} else {
			streams[who] = true
		}
		c.signer(d, s, at)
		c.twice(d, s, at)
		for j, r := range s.Records {
			c.selector(taken, r, fmt.Sprintf("%s.records[%d].selector", at, j), d.Name)
		}
		for j, slot := range s.Slots {
			c.selector(taken, ServiceRecord{Selector: slot, Type: "TXT"}, fmt.Sprintf("%s.slots[%d]", at, j), d.Name)
		}
	}
}

// twice warns of a server that signs the same mail itself and through its pool: that works, and is seldom meant.
func (c *checker) twice(d *FleetDomain, s *FleetSigner, path string) {
	i := slices.IndexFunc(c.f.Pools, func(p FleetPool) bool { return s.Pool != "" && p.Name == s.Pool })
	if i < 0 {
		return
	}
	for _, other := range d.Signers {
		if other.Server != "" && other.Stream == s.Stream && slices.Contains(c.f.Pools[i].Members, other.Server) {
			c.warn(path, "name it once, or give one of them another stream: NAME", "%s signs for %s itself and as a member of the pool %s: one of both keys is used, the other stands by",
				other.Server, d.Name, s.Pool)
		}
	}
}

func (c *checker) selector(taken map[string]ServiceRecord, r ServiceRecord, path, domain string) {
	other, twice := taken[r.Selector]
	switch {
	case twice && other.Type != r.Type:
		c.wrong(path, "a name with a CNAME cannot have other records (RFC 1034 §3.6.2)", "%s has both a TXT and a CNAME record", KeyName(r.Selector, domain))
	case twice:
		c.wrong(path, "each signer needs a selector of its own", "the selector %s of %s is used twice", r.Selector, domain)
	}
	taken[r.Selector] = r
	if err := checkSelector(r.Selector, domain); err != nil {
		c.wrong(path, "", "the selector %q %v", shorten(r.Selector), err)
	} else if full, err := ASCII(r.Selector); err != nil || full != r.Selector {
		c.wrong(path, "", "the selector %q is not in its ASCII form", shorten(r.Selector))
	}
}

func (c *checker) publisher(d *FleetDomain, path string, publishers map[string]Publisher) {
	if d.Publisher == "" {
		if d.Mode == Managed {
			c.wrong(path, "write publisher: NAME, or mode: observed", "%s is managed and has no publisher", d.Name)
		}
		return
	}
	p, ok := publishers[d.Publisher]
	if !ok {
		var names []string
		for name := range publishers {
			names = append(names, name)
		}
		c.wrong(path+".publisher", c.likely(d.Publisher, names), "unknown publisher %q", shorten(d.Publisher))
		return
	}
	if p.Zone == "" || d.Mode != Managed {
		return
	}
	needed := []string{"_domainkey." + d.Name}
	if d.DMARC != "" {
		needed = append(needed, "_dmarc."+d.Name)
	}
	for _, name := range needed {
		if !p.Writes(name) {
			c.wrong(path+".publisher", "", "the publisher %s writes to %s; %s is not in that zone", p.Name, p.Zone, name)
		}
	}
}

func (c *checker) signer(d *FleetDomain, s *FleetSigner, path string) {
	if err := checkWord(s.Stream, false); err != nil {
		c.wrong(path+".stream", "", "the stream %q %v", shorten(s.Stream), err)
	}
	set := 0
	for _, name := range []string{s.Server, s.Pool, s.Service} {
		if name != "" {
			set++
		}
	}
	if set != 1 {
		c.wrong(path, "", "exactly one of server, pool and service is wanted")
		return
	}
	switch {
	case s.Server != "" && !c.isServer(s.Server):
		c.wrong(path+".server", c.likely(s.Server, c.serverNames()), "unknown server %q", shorten(s.Server))
	case s.Pool != "" && !slices.ContainsFunc(c.f.Pools, func(p FleetPool) bool { return p.Name == s.Pool }):
		var names []string
		for _, p := range c.f.Pools {
			names = append(names, p.Name)
		}
		c.wrong(path+".pool", c.likely(s.Pool, names), "unknown pool %q", shorten(s.Pool))
	}
	if s.Service != "" {
		c.service(d, s, path)
		return
	}
	if s.Class != ClassManaged || len(s.Records) > 0 || s.Custom {
		c.wrong(path, "", "the keys of %s are made by its servers: it has no records of its own", s.Name())
	}
	if len(s.Algorithms) == 0 {
		c.wrong(path, "", "%s has no algorithm", s.Name())
	}
	c.algorithms(s, path)
	if s.NoKey != "" {
		c.noKey(s.NoKey, path+".no_key")
	}
	if s.Subdomains != nil && *s.Subdomains && !d.Subdomains {
		c.aligns(d, path+".subdomains")
	}
	c.signing(s.Signing, d.Signing, path+".signing")
	if len(s.Algorithms) == 1 && s.Algorithms[0] == ed25519 {
		c.warn(path+".algorithms[0]", "write algorithms: [rsa2048, ed25519]", "many receivers cannot verify ed25519 (RFC 8463 §5 asks for both)")
	}
	c.through(d, s, path)
	switch n := len(s.Slots); {
	case n > 0 && n < minSlots*len(s.Algorithms):
		c.wrong(path+".slots[0]", "", "%d slots are not enough: each algorithm needs one in use and one for its successor", n)
	case n > 0 && s.Standby && n < minStandbySlots*len(s.Algorithms):
		c.wrong(path+".standby", "name a third slot for each algorithm, or leave standby out",
			"%d slots are not enough for a standby key: each algorithm needs one in use, one that stands by, and one for its next key while the last one is kept", n)
	}
}

// through checks slots whose keys lie in a zone of ours.
func (c *checker) through(d *FleetDomain, s *FleetSigner, path string) {
	if s.Through == "" {
		return
	}
	at := path + ".through"
	i := slices.IndexFunc(c.f.Publishers, func(p Publisher) bool { return p.Name == s.Through })
	switch {
	case len(s.Slots) == 0:
		c.wrong(at, "write slots: {names: [ps1, ps2, ps3], through: NAME}", "it is not said which slots lead to %s", shorten(s.Through))
		return
	case i < 0:
		var names []string
		for _, p := range c.f.Publishers {
			names = append(names, p.Name)
		}
		c.wrong(at, c.likely(s.Through, names), "unknown publisher %q", shorten(s.Through))
		return
	case c.f.Publishers[i].Kind != PublisherBuiltin:
		c.wrong(at, "name a publisher of kind builtin", "slots can lead into a zone of the built-in name server only, and %s writes elsewhere", s.Through)
		return
	}
	for j, slot := range s.Slots {
		switch target := SlotTarget(slot, d.Name, c.f.Publishers[i].Zone); {
		case strings.Contains(slot, "."):
			c.wrong(fmt.Sprintf("%s.slots[%d]", path, j), "", "a slot that leads to another zone is one label: %s has a dot", slot)
		case len(target) > maxName:
			c.wrong(fmt.Sprintf("%s.slots[%d]", path, j), "give the publisher a zone with a shorter name", "the slot's target %s is longer than %d characters", target, maxName)
		}
	}
	if len(s.Slots) == minSlots*len(s.Algorithms) {
		c.warn(at, "write a third one", "with two slots for each algorithm no new key can be made while an old one is kept: for %s after each rotation, also when the new key is stolen",
			FormatDuration(d.Policy.Retention+d.Policy.Tombstone))
	}
}

// algorithms checks the kinds of keys of a signer. Its mail gets one signature of each signature algorithm, and RSA keys
// of all sizes have the same.
func (c *checker) algorithms(s *FleetSigner, path string) {
	rsa := ""
	for i, a := range s.Algorithms {
		at := fmt.Sprintf("%s.algorithms[%d]", path, i)
		switch {
		case !slices.Contains(algorithms(), a):
			c.wrong(at, suggestion(a, algorithms()), "unknown algorithm %q", shorten(a))
		case slices.Contains(s.Algorithms[:i], a):
			c.wrong(at, "", "%s is named twice", a)
		case a != ed25519 && rsa != "":
			c.wrong(at, "keep one of them; beside it only ed25519 makes sense", "%s and %s are both RSA, and a signer uses one RSA key", rsa, a)
		case a != ed25519:
			rsa = a
		}
	}
}

func (c *checker) service(d *FleetDomain, s *FleetSigner, path string) {
	if err := checkWord(s.Service, false); err != nil {
		c.wrong(path+".service", "", "the service's name %q %v", shorten(s.Service), err)
		return
	}
	if c.isServer(s.Service) || slices.ContainsFunc(c.f.Pools, func(p FleetPool) bool { return p.Name == s.Service }) {
		c.wrong(path+".service", "give the server or pool another name", "%q is also the name of a server or pool", s.Service)
	}
	if len(s.Algorithms) > 0 || len(s.Slots) > 0 || s.Through != "" {
		c.wrong(path, "", "algorithms and slots are for servers and pools: %s makes its own keys", s.Service)
	}
	if s.Standby {
		c.wrong(path+".standby", "", "standby keys are for servers and pools: %s makes its own keys", s.Service)
	}
	if s.NoKey != "" || s.Subdomains != nil || !reflect.ValueOf(s.Signing).IsZero() {
		c.wrong(path, "", "no_key, subdomains and signing are for servers and pools: %s signs as it likes", s.Service)
	}
	want := map[Class]string{ClassForeign: "TXT", ClassDelegated: "CNAME"}[s.Class]
	if want == "" || slices.ContainsFunc(s.Records, func(r ServiceRecord) bool { return r.Type != want }) {
		c.wrong(path, "", "the records of %s do not fit together", s.Service)
		return
	}
	var known services.Service
	listed := false
	if c.services != nil && !s.Custom {
		if known, listed = c.services.Lookup(s.Service); !listed {
			hint := "postseal service list shows the names; write custom: true for one that is not among them"
			if near := c.services.Suggest(s.Service); len(near) > 0 {
				hint = "did you mean " + strings.Join(near, " or ") + "? Write custom: true for one that is not listed"
			}
			c.wrong(path+".service", hint, "unknown service %q", shorten(s.Service))
		}
	}
	if len(s.Records) == 0 {
		switch {
		case listed && known.Signs == services.None:
			c.warn(path, "", "%s sends from its own domain: there is nothing to publish for it", known.Title)
		case d.Mode == Observed:
			c.warn(path, "", "it is not said which records %s has", s.Service)
		default:
			c.wrong(path, `write selector: and txt: "v=DKIM1; …", or cname: {selector: target}`, "it is not said which records %s wants", s.Service)
		}
	}
	for i, r := range s.Records {
		at := fmt.Sprintf("%s.records[%d]", path, i)
		switch {
		case r.Type == "TXT":
			c.foreign(r, at)
			if listed && (known.Signs == services.CNAME || known.Signs == services.NS) {
				c.warn(at, "", "%s is usually set up with %s records", known.Title, strings.ToUpper(string(known.Signs)))
			}
		case checkHost(r.Value) != nil:
			c.wrong(at, "", "the target %q %v", shorten(r.Value), checkHost(r.Value))
		case r.Value == KeyName(r.Selector, d.Name):
			c.wrong(at, "", "%s points to itself", r.Value)
		case listed:
			if _, why := known.CheckTarget(r.Selector, r.Value); why != "" {
				c.warn(at, "", "%s", why)
			}
		}
	}
}

// foreign checks a TXT value that a service gave. It is published as it is: what does not look right is a warning.
func (c *checker) foreign(r ServiceRecord, path string) {
	switch {
	case strings.TrimSpace(r.Value) == "":
		c.wrong(path, "", "the record of the selector %s is empty", r.Selector)
		return
	case len(r.Value) > maxTXT:
		c.wrong(path, "", "the record of the selector %s is longer than %d characters", r.Selector, maxTXT)
		return
	case !printable(r.Value):
		c.wrong(path, "paste it as one line", "the record of the selector %s holds line breaks or control characters", r.Selector)
		return
	case strings.Contains(r.Value, `"`):
		c.warn(path, "leave out the quotation marks of zone files", "the record of the selector %s holds quotation marks", r.Selector)
		return
	}
	key, found := "", false
	for tag := range strings.SplitSeq(r.Value, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) == "p" {
			key, found = strings.NewReplacer(" ", "", "\t", "").Replace(value), true
		}
	}
	_, err := base64.StdEncoding.DecodeString(key)
	switch {
	case !found:
		c.warn(path, "", "the record of the selector %s has no p= tag: receivers will find no key in it", r.Selector)
	case key == "":
		c.warn(path, "", "the record of the selector %s has an empty p= tag: it revokes the key (RFC 6376 §3.6.1)", r.Selector)
	case err != nil:
		c.warn(path, "paste the value that the service shows", "p=%s of the selector %s is not a public key", shorten(key), r.Selector)
	}
}
