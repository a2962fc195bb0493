package inventory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postseal/postseal/dmarc"
)

// ReportValue is the record by which a destination takes reports about another domain (RFC 9990 §4).
const ReportValue = dmarc.Version + ";"

// ReportName is where it stands: below the destination, the host behind the @.
func ReportName(domain, host string) string { return domain + "._report._dmarc." + host }

// TakesReports reports whether the value of a TXT record at a ReportName says that reports are taken: it is a DMARC record, with or without a
// policy (RFC 9990 §4).
func TakesReports(value string) bool {
	r, _ := dmarc.Parse(value)
	return r != nil
}

// ReportTo is an address that a policy has reports sent to.
type ReportTo struct {
	Tag     string // rua or ruf
	Address string // a mailbox, or a URI that reports do not go to
	Host    string // behind the @; "" = none
}

// ReportAddresses returns the addresses of a policy in its order, aggregate reports first.
func ReportAddresses(policy string) []ReportTo {
	r, _ := dmarc.Parse(policy)
	if r == nil {
		return nil
	}
	var all []ReportTo
	add := func(tag string, uris []dmarc.URI) {
		for _, u := range uris {
			all = append(all, ReportTo{tag, cmp.Or(u.Address, u.Text), u.Host()})
		}
	}
	add("rua", r.Aggregate)
	add("ruf", r.Failure)
	return all
}

// ReportHosts returns the hosts that a domain's policy has reports sent to and that have to say that they take them, in the order of the policy.
//
// RFC 9990 §4 asks for it where the organisational domains differ, which only DNS tells. We interpret from the names alone: a destination that is
// the domain, above it or below it needs none; any other one gets the record, which does no harm where it is not needed.
func ReportHosts(d Domain) []string {
	var hosts []string
	for _, a := range ReportAddresses(d.DMARC) {
		host := a.Host
		if host == "" || slices.Contains(hosts, host) || inside(host, d.Name) || inside(d.Name, host) || len(ReportName(d.Name, host)) > maxName {
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// Above returns a name and the names above it that can be domains, nearest first.
func Above(name string) []string {
	var all []string
	for strings.Contains(name, ".") {
		all = append(all, name)
		_, name, _ = strings.Cut(name, ".")
	}
	return all
}

// inside reports whether a name is another one or below it.
func inside(name, domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// Destination is a domain of ours that takes reports about another one.
type Destination struct {
	Domain    string // the one whose zone the record lies in
	Publisher string // who writes that zone
	Repair    bool   // the zone's policy for records that others changed
}

// Destinations finds the domains of ours that take the reports about d, by host: the nearest domain at or above the host, if it is managed and its publisher
// can write the record. find looks a domain up, with its publisher.
func Destinations(d Domain, find func(name string) (Domain, Publisher, bool)) map[string]Destination {
	to := make(map[string]Destination)
	for _, host := range ReportHosts(d) {
		for _, name := range Above(host) {
			owner, p, ok := find(name)
			if !ok {
				continue
			}
			if owner.Mode == Managed && p.Name != "" && p.Writes(ReportName(d.Name, host)) {
				to[host] = Destination{Domain: name, Publisher: p.Name, Repair: p.Repair}
			}
			break
		}
	}
	return to
}

// ReportRecords returns the records by which others take the reports about d. to says which hosts are domains of ours whose zone is written by us; the
// records of others have no publisher: they are looked at, and somebody else has to publish them.
func ReportRecords(d Domain, to map[string]Destination) []WantedRecord {
	var wanted []WantedRecord
	for _, host := range ReportHosts(d) {
		wanted = append(wanted, WantedRecord{Name: ReportName(d.Name, host), Type: "TXT", Value: ReportValue, Purpose: PurposeReport, Publisher: to[host].Publisher})
	}
	return wanted
}
