package inventory

import (
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

// ReportHosts returns the hosts that a domain's policy has reports sent to and that have to say that they take them, in the order of the policy.
//
// RFC 9990 §4 asks for it where the organisational domains differ, which only DNS tells. We interpret from the names alone: a destination that is
// the domain, above it or below it needs none; any other one gets the record, which does no harm where it is not needed.
func ReportHosts(d Domain) []string {
	r, _ := dmarc.Parse(d.DMARC)
	if r == nil {
		return nil
	}
	var hosts []string
	for _, u := range slices.Concat(r.Aggregate, r.Failure) {
		host := u.Host()
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

// ReportRecords returns the records by which domains of ours take the reports about d. Hosts that are nobody's here, or whose zone is not written by
// us, have none. to says which host is whose.
func ReportRecords(d Domain, to map[string]Destination) []WantedRecord {
	var wanted []WantedRecord
	for _, host := range ReportHosts(d) {
		if dest, ok := to[host]; ok {
			wanted = append(wanted, WantedRecord{Name: ReportName(d.Name, host), Type: "TXT", Value: ReportValue, Purpose: PurposeReport, Publisher: dest.Publisher})
		}
	}
	return wanted
}
