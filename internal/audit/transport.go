package audit

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/resolver"
)

// PolicyFetcher gets the MTA-STS policy of a domain from https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 §3.3), with a valid certificate and
// without following redirects. The text is bounded by the fetcher.
type PolicyFetcher interface {
	Policy(ctx context.Context, domain string) (string, error)
}

var (
	stsRecord = regexp.MustCompile(`^v=STSv1[ \t]*;[ \t]*id=[A-Za-z0-9]{1,32}[ \t]*(;.*)?$`)
	tlsRecord = regexp.MustCompile(`^v=TLSRPTv1[ \t]*;[ \t]*rua=[ \t]*(mailto:[^ ,;]+@[^ ,;]+|https://[^ ,;]+)([ \t]*,[ \t]*(mailto:[^ ,;]+@[^ ,;]+|https://[^ ,;]+))*[ \t]*;?[ \t]*$`)
)

// mail judges the records beside DKIM: MTA-STS, TLS reporting, BIMI, and what is known of the servers that send.
func (o *observation) mail() {
	o.sts()
	o.tlsReporting()
	if a := o.extra.bimi; a.Status == resolver.StatusOK && !o.enforced() && slices.ContainsFunc(a.TXT, func(s string) bool { return strings.HasPrefix(s, "v=BIMI1") }) {
		o.add(Finding{ID: "MX-04", Severity: Info, Subject: "default._bimi." + o.q.Domain, Seen: []Seen{seenOf(a)},
			Message: "a BIMI record stands, but logos are shown only for domains whose DMARC policy is quarantine or reject", Fix: "move the DMARC policy on, or delete the record"})
	}
	for _, s := range o.q.Servers {
		o.server(s)
	}
}

// receives reports whether the domain takes mail: it has MX records that are not the null MX (RFC 7505).
func (o *observation) receives() bool {
	a := o.extra.mx
	return a.Status == resolver.StatusOK && !nullMX(a.Data)
}

// nullMX reports the one MX record of a domain that takes no mail (RFC 7505 §3).
func nullMX(data []string) bool {
	return len(data) == 1 && strings.HasSuffix(strings.TrimSpace(data[0]), " .")
}

func (o *observation) sts() {
	a := o.extra.sts
	if a.Status != resolver.StatusOK {
		return
	}
	subject := "_mta-sts." + o.q.Domain
	records := slices.DeleteFunc(slices.Clone(a.TXT), func(s string) bool { return !strings.HasPrefix(s, "v=STSv1") })
	bad := func(message, fix string) {
		o.add(Finding{ID: "MX-02", Severity: Warning, Subject: subject, Seen: []Seen{seenOf(a)}, Message: message, Fix: fix})
	}
	switch {
	case len(records) == 0 && o.extra.belowDMARC.Status == resolver.StatusOK:
		return // a wildcard answers
	case len(records) != 1:
		bad(fmt.Sprintf("%d MTA-STS records stand here; senders then take none (RFC 8461 §3.1)", len(records)), "keep exactly one: v=STSv1; id=20261127;")
		return
	case !stsRecord.MatchString(records[0]):
		bad(fmt.Sprintf("%s is no MTA-STS record: senders take none", shown(records[0])), "publish v=STSv1; id=20261127; (letters and digits, changed with each change of the policy)")
		return
	}
	if o.a.deps.Policies == nil {
		o.notChecked(gap{ids: "MX-02", subject: "policy"}, "the MTA-STS policy of "+o.q.Domain+": it is fetched over HTTPS only when that is asked for (--fetch)")
		return
	}
	policy, err := o.a.deps.Policies.Policy(o.ctx, o.q.Domain)
	if err != nil {
		bad("the policy cannot be fetched: "+because(err), "serve it at https://mta-sts."+o.q.Domain+"/.well-known/mta-sts.txt with a valid certificate")
		return
	}
	if what := o.policyProblem(policy); what != "" {
		bad("the policy says: "+what, "correct the policy, then change id= in the record")
	}
}

// policyProblem reads an MTA-STS policy (RFC 8461 §3.2) and compares its hosts with the domain's.
func (o *observation) policyProblem(text string) string {
	fields := make(map[string][]string)
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			name = strings.TrimSpace(name)
			fields[name] = append(fields[name], strings.TrimSpace(value))
		}
	}
	mode := strings.Join(fields["mode"], " ")
	switch {
	case !slices.Equal(fields["version"], []string{"STSv1"}):
		return "no version: STSv1"
	case mode != "enforce" && mode != "testing" && mode != "none":
		return fmt.Sprintf("mode %q is none of enforce, testing, none", mode)
	case len(fields["max_age"]) != 1:
		return "no max_age"
	case mode == "none":
		return ""
	}
	for _, data := range o.extra.mx.Data {
		_, host, _ := strings.Cut(data, " ")
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if !slices.ContainsFunc(fields["mx"], func(pattern string) bool { return matchesMX(strings.ToLower(pattern), host) }) {
			return fmt.Sprintf("the mail server %s is not among its mx lines", host)
		}
	}
	return ""
}

// matchesMX compares as RFC 8461 §4.1 says: a leading *. stands for one label.
func matchesMX(pattern, host string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, parent, _ := strings.Cut(host, ".")
		return parent == rest
	}
	return pattern == host
}

func (o *observation) tlsReporting() {
	a := o.extra.tls
	if !o.receives() || a.Status == resolver.StatusError {
		return
	}
	subject := "_smtp._tls." + o.q.Domain
	records := slices.DeleteFunc(slices.Clone(a.TXT), func(s string) bool { return !strings.HasPrefix(s, "v=TLSRPTv1") })
	f := Finding{ID: "MX-03", Severity: Info, Subject: subject, Fix: "publish " + subject + ` TXT "v=TLSRPTv1; rua=mailto:tls-reports@` + o.q.Domain + `"`}
	switch {
	case len(records) == 0:
		f.Message = "nobody is told when senders cannot reach the mail servers with TLS: there is no TLS reporting record"
	case len(records) > 1:
		f.Message = fmt.Sprintf("%d TLS reporting records stand here; senders then take none (RFC 8460 §3)", len(records))
	case !tlsRecord.MatchString(records[0]):
		f.Message = fmt.Sprintf("%s is no TLS reporting record (RFC 8460 §3)", shown(records[0]))
	default:
		return
	}
	o.add(f)
}

// server judges the names and addresses of one mail server.
func (o *observation) server(s Server) {
	for _, text := range s.Addresses {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		o.reverse(s, addr)
		for _, list := range o.q.BlockLists {
			o.blocked(addr, list)
		}
	}
	if s.HELO == "" {
		return
	}
	a := o.first(s.HELO, "TXT")
	hasSPF := slices.ContainsFunc(a.TXT, func(t string) bool { return policyKind(t) == "an SPF record" })
	if a.Status != resolver.StatusError && !hasSPF {
		o.add(Finding{ID: "SPF-15", Severity: Warning, Subject: s.HELO, Seen: []Seen{seenOf(a)},
			Message: "mail with an empty sender (bounces) is checked by the name that the server says in HELO, and that has no SPF record",
			Fix:     "publish " + s.HELO + ` TXT "v=spf1 a -all"`, Mend: []Mend{{Name: s.HELO, Type: "TXT", Value: "v=spf1 a -all"}}})
	}
}

// reverse checks that address and name point to each other.
func (o *observation) reverse(s Server, addr netip.Addr) {
	name, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return
	}
	ptr := o.first(strings.TrimSuffix(name, "."), "PTR")
	if ptr.Status == resolver.StatusError {
		o.notChecked(gap{subject: addr.String()}, fmt.Sprintf("the name of %s: %s", addr, ptr.Detail))
		return
	}
	rrtype := "A"
	if addr.Is6() {
		rrtype = "AAAA"
	}
	for _, host := range ptr.Data {
		if back := o.first(strings.TrimSuffix(host, "."), rrtype); slices.Contains(back.Data, addr.String()) {
			return
		}
	}
	f := Finding{ID: "MX-01", Severity: Warning, Subject: addr.String(), Seen: []Seen{seenOf(ptr)}, Message: "the address has no name (PTR); large receivers refuse mail from it",
		Fix: "have whoever gave you the address set its PTR to the name of the server, " + s.Name}
	if len(ptr.Data) > 0 {
		f.Message = fmt.Sprintf("the address's name %s does not point back to it", strings.TrimSuffix(ptr.Data[0], "."))
		f.Fix = fmt.Sprintf("publish %s %s %s, or correct the PTR", strings.TrimSuffix(ptr.Data[0], "."), rrtype, addr)
	}
	o.add(f)
}

// blocked asks one DNS block list about one address (RFC 5782 §2.1). Answers in 127.255.255.0/24 refuse the question.
func (o *observation) blocked(addr netip.Addr, list string) {
	name, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return
	}
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "."), ".in-addr.arpa"), ".ip6.arpa") + "." + list
	a := o.first(name, "A")
	for _, data := range a.Data {
		code, err := netip.ParseAddr(data)
		switch {
		case err != nil || !code.IsLoopback():
			o.notChecked(gap{subject: addr.String() + " on " + list}, fmt.Sprintf("%s on %s: the answer %q is no code of a block list", addr, list, data))
		case strings.HasPrefix(data, "127.255.255."):
			o.notChecked(gap{subject: addr.String() + " on " + list}, fmt.Sprintf("%s on %s: the list refuses the question (%s), as it does for public resolvers", addr, list, data))
		default:
			o.add(Finding{ID: "MX-05", Severity: Warning, Subject: addr.String() + " on " + list, Seen: []Seen{seenOf(a)},
				Message: fmt.Sprintf("the block list %s lists this address (%s)", list, data), Fix: "look it up on the list's own page, end the reason, then ask for removal there"})
		}
	}
	if a.Status == resolver.StatusError {
		o.notChecked(gap{subject: addr.String() + " on " + list}, fmt.Sprintf("%s on %s: %s", addr, list, a.Detail))
	}
}
