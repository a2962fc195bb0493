package inventory

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The least and the most that a policy may say. What is below a least of these is for test_mode only.
const (
	// minRotateEvery: a rotation takes MinWait, a canary and a look at the reports of a day.
	minRotateEvery = 24 * time.Hour
	// minTombstone lets receivers that retry for a day see that the key was revoked.
	minTombstone = 24 * time.Hour
	// minTTL keeps resolvers from asking for every message.
	minTTL = time.Minute
	// maxTTL: a TTL is waited for before a key is used and before it is gone.
	maxTTL = LongWait
	// minCheckEvery bounds the queries that one domain costs.
	minCheckEvery = time.Minute
	// minAuditEvery bounds the same for audits, which ask much more.
	minAuditEvery = time.Hour
	// maxJitterPercent still rotates before twice the time.
	maxJitterPercent = 50
)

const (
	// maxTXT is far above any key (RSA-4096 takes 740 characters) and fits a DNS answer over TCP with room.
	maxTXT = 4096
	// minSlots: one slot carries the key in use, the other its successor.
	minSlots = 2
	// minStandbySlots: a third one carries the key that stands by.
	minStandbySlots = 3
)

// approvable are the steps of a key that can wait for a person, by the words of the planner.
func approvable() []string { return []string{"publish", "activate", "retire", "revoke", "remove"} }

// checker gathers what is wrong with a Fleet.
type checker struct {
	f        *Fleet
	services Services
	bad      []Problem
	warnings []Problem
	tests    []string // where test_mode is on
}

// Check says what is wrong with a Fleet, and what a person should look at. It is the same check for a file and for a
// Fleet that came over the API; Path says where. catalogue may be nil: then names of services are not checked.
func (f Fleet) Check(catalogue Services) (bad, warnings []Problem) {
	c := &checker{f: &f, services: catalogue}
	c.dns()
	c.probes()
	for i, w := range f.Windows {
		if _, err := w.read(); err != nil {
			key, message, found := strings.Cut(err.Error(), ": ")
			path := fmt.Sprintf("windows[%d]", i)
			if found && !strings.Contains(key, " ") {
				c.wrong(path+"."+key, "", "%s", message)
			} else {
				c.wrong(path, "", "%v", err)
			}
		}
	}
	c.approvals("need_approval", f.NeedApproval)
	c.publishers()
	c.signers()
	c.domains()
	switch n := len(c.tests); { // one line, however many domains inherit it
	case n == 1:
		c.warn(c.tests[0], "", "test_mode is on: waits too short for production are taken")
	case n > 1:
		c.warn(c.tests[0], "", "test_mode is on for %d domains: waits too short for production are taken", n)
	}
	return c.bad, c.warnings
}

func (c *checker) wrong(path, hint, format string, args ...any) {
	c.bad = append(c.bad, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) warn(path, hint, format string, args ...any) {
	c.warnings = append(c.warnings, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) dns() {
	address := func(path, s string) {
		if full, err := endpoint(s, false); err != nil || full != s {
			c.wrong(path, "", "%q is not an address such as 192.0.2.53:53", shorten(s))
		}
	}
	d := c.f.DNS
	for i, s := range d.Resolvers {
		address(fmt.Sprintf("dns.resolvers[%d]", i), s)
	}
	for i, s := range d.Views {
		address(fmt.Sprintf("dns.views[%d]", i), s)
	}
	for i, zone := range d.BlockLists {
		if _, err := labels(zone, true); err != nil {
			c.wrong(fmt.Sprintf("dns.block_lists[%d]", i), "", "the block list %q %v", shorten(zone), err)
		}
	}
	for _, zone := range slices.Sorted(maps.Keys(d.Authorities)) {
		servers := d.Authorities[zone]
		path := "dns.authorities." + zone
		if _, err := labels(zone, true); err != nil {
			c.wrong(path, "", "the zone %q %v", shorten(zone), err)
		}
		if len(servers) == 0 {
			c.wrong(path, "leave the zone out to find them in DNS", "no servers are named for %s", zone)
		}
		for i, s := range servers {
			address(fmt.Sprintf("%s[%d]", path, i), s)
		}
	}
	if port := d.AuthorityPort; port != "" {
		if _, err := endpoint("192.0.2.1:"+port, false); err != nil {
			c.wrong("dns.authority_port", "", "%q is not a port", shorten(port))
		}
	}
}

func (c *checker) probes() {
	p := c.f.Probes
	if p == (Probes{}) {
		return
	}
	switch full, err := probeAddress(p.Address); {
	case p.Address == "":
		c.wrong("probes", "write address: probe@reports.example.com, a name whose MX is the intake", "probes has no address")
	case err != nil || full != p.Address:
		c.wrong("probes.address", "", "%q is not an address such as probe@reports.example.com", shorten(p.Address))
	}
	if p.Every != 0 && p.Every < minProbeEvery || p.Every > maxDuration {
		c.wrong("probes.every", "0 leaves probes to those who ask for them", "every is %s; %s at least is wanted", FormatDuration(p.Every), FormatDuration(minProbeEvery))
	}
}

// gate checks what the retirement of replaced keys waits for.
func (c *checker) gate(gate, path string) {
	switch {
	case gate != "" && gate != GateProbe:
		c.wrong(path, "write gate: probe, or leave it out", "unknown gate %q", shorten(gate))
	case gate == GateProbe && c.f.Probes.Address == "":
		c.wrong(path, "add probes: {address: probe@reports.example.com} to the file", "the gate is a probe, and there is no address for probes")
	}
}

func (c *checker) approvals(path string, steps []string) {
	for i, step := range steps {
		if !slices.Contains(approvable(), step) {
			c.wrong(fmt.Sprintf("%s[%d]", path, i), suggestion(step, approvable()), "unknown step %q", shorten(step))
		}
	}
}

func (c *checker) publishers() {
	seen := make(map[string]bool)
	for i, p := range c.f.Publishers {
		path := fmt.Sprintf("publishers[%d]", i)
		if err := checkWord(p.Name, false); err != nil {
			c.wrong(path, "", "the publisher's name %q %v", shorten(p.Name), err)
		}
		if seen[p.Name] {
			c.wrong(path, "", "the publisher %q appears twice", shorten(p.Name))
		}
		seen[p.Name] = true
		settings, known := publisherSettings[p.Kind]
		if !known {
			c.wrong(path, "write rfc2136:, builtin:, manual: or another kind of docs/dns-providers.md below it", "the publisher %q does not say how it publishes", shorten(p.Name))
			continue
		}
		for _, s := range settings {
			c.setting(path, p, s)
		}
		if p.Kind == PublisherManual && p.Reminding() >= p.Expiring() {
			c.warn(path+".remind_every", "write a shorter remind_every or a longer expires_after", "tickets of the publisher %q expire before anybody is reminded", p.Name)
		}
		if p.Kind == PublisherRFC2136 && p.KeyFile == "" {
			c.warn(path, "write key_file: /etc/postseal/tsig.key", "the updates of the publisher %q are not signed", p.Name)
		}
	}
}

// printable reports whether a text is one line without control characters.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// signers checks servers and pools; services are checked where a domain names them.
func (c *checker) signers() {
	names, byLabel, byAddress := make(map[string]string), make(map[string]string), make(map[string]string)
	entry := func(path, kind, name, label string) {
		if err := checkWord(name, true); err != nil {
			c.wrong(path, "", "the %s's name %q %v", kind, shorten(name), err)
		}
		if other, taken := names[name]; taken {
			c.wrong(path, "", "%q is already the name of a %s", shorten(name), other)
		}
		names[name] = kind
		if err := checkWord(label, false); err != nil {
			c.wrong(path+".label", "", "the label %q %v", shorten(label), err)
		} else if len(label)+selectorTail > maxLabel {
			c.wrong(path+".label", "write label: with a shorter one", "the label %q has more than %d characters", label, maxLabel-selectorTail)
		}
		if other, taken := byLabel[label]; taken {
			c.warn(path+".label", "", "%s and %s have the label %q in common: selectors will not tell them apart", other, name, label)
		}
		byLabel[label] = name
	}
	for i, s := range c.f.Servers {
		path := fmt.Sprintf("servers[%d]", i)
		entry(path, "server", s.Name, s.Label)
		c.sendsFrom(path, s, byAddress)
	}
	for i, p := range c.f.Pools {
		path := fmt.Sprintf("pools[%d]", i)
		entry(path, "pool", p.Name, p.Label)
		if len(p.Members) == 0 {
			c.wrong(path, "write members: [mx1, mx2]", "the pool %q has no members", p.Name)
		}
		for j, m := range p.Members {
			if slices.Contains(p.Members[:j], m) {
				c.wrong(fmt.Sprintf("%s.members[%d]", path, j), "", "%s is named twice", m)
			} else if !c.isServer(m) {
				c.wrong(fmt.Sprintf("%s.members[%d]", path, j), c.likely(m, c.serverNames()), "unknown server %q", shorten(m))
			}
		}
	}
}

// maxAddresses is how many addresses one server sends from: each is looked at by audits.
const maxAddresses = 64

func (c *checker) sendsFrom(path string, s FleetServer, byAddress map[string]string) {
	if s.HELO != "" {
		if _, err := labels(s.HELO, false); err != nil {
			c.wrong(path+".helo", "", "the name %q %v", shorten(s.HELO), err)
		}
	}
	if len(s.Addresses) > maxAddresses {
		c.wrong(path+".addresses", "", "%d addresses are named for %s; %d at most", len(s.Addresses), s.Name, maxAddresses)
	}
	for i, text := range s.Addresses {
		at := fmt.Sprintf("%s.addresses[%d]", path, i)
		if a, err := netip.ParseAddr(text); err != nil || a.Zone() != "" || a.Unmap().String() != text || !a.IsGlobalUnicast() && !a.IsLoopback() {
			c.wrong(at, "", "%q is no address of a server", shorten(text))
		} else if other := byAddress[text]; other != "" && other != s.Name {
			c.warn(at, "", "%s and %s send from %s: reports will not tell them apart by address", other, s.Name, text)
		}
		byAddress[text] = s.Name
	}
}

func (c *checker) isServer(name string) bool {
	return slices.ContainsFunc(c.f.Servers, func(s FleetServer) bool { return s.Name == name })
}

func (c *checker) serverNames() []string {
	var names []string
	for _, s := range c.f.Servers {
		names = append(names, s.Name)
	}
	return names
}

func (c *checker) likely(word string, names []string) string {
	if len(names) == 0 {
		return "none is declared in this file"
	}
	return suggestion(word, names)
}

// checkPolicy checks one complete policy.
func checkPolicy(p Policy, path string) []Problem {
	c := &checker{}
	least := func(key string, got, want time.Duration, why string) {
		if got < want && !p.TestMode {
			c.wrong(path+"."+key, "", "%s is %s, less than %s: %s; shorter only with test_mode: true", key, FormatDuration(got), FormatDuration(want), why)
		}
	}
	least("rotate_every", p.RotateEvery, minRotateEvery, "a rotation takes most of a day")
	least("retention", p.Retention, MinRetention, "mail may wait that long in queues and is verified afterwards")
	least("tombstone", p.Tombstone, minTombstone, "receivers that try again should see that the key was revoked")
	least("ttl", p.TTL, minTTL, "every message would ask for the record")
	least("min_wait", p.MinWait, DefaultMinWait, "resolvers may remember that the record was not there")
	least("check_every", p.CheckEvery, minCheckEvery, "name servers would be asked too often")
	least("audit_every", p.AuditEvery, minAuditEvery, "an audit asks some hundred questions")
	for _, d := range []struct {
		key string
		got time.Duration
	}{{"rotate_every", p.RotateEvery}, {"retention", p.Retention}, {"ttl", p.TTL}, {"check_every", p.CheckEvery}, {"audit_every", p.AuditEvery}} {
		if d.got <= 0 {
			c.wrong(path+"."+d.key, "", "%s must be longer than nothing", d.key)
		}
	}
	if p.TTL%time.Second != 0 || p.TTL > maxTTL {
		c.wrong(path+".ttl", "", "ttl is %s; whole seconds up to %s are wanted", FormatDuration(p.TTL), FormatDuration(maxTTL))
	}
	if max(p.RotateEvery, p.Retention, p.Tombstone, p.MinWait, p.CheckEvery, p.AuditEvery) > maxDuration || min(p.Tombstone, p.MinWait) < 0 {
		c.wrong(path, "", "a duration is negative or longer than 100 years")
	}
	if p.JitterPercent < 0 || p.JitterPercent > maxJitterPercent {
		c.wrong(path+".jitter_percent", "", "jitter_percent is %d; 0 to %d is wanted", p.JitterPercent, maxJitterPercent)
	}
	return c.bad
}
