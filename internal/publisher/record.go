package publisher

import (
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"
)

// The record types that Postseal publishes.
const (
	TXT   = "TXT"
	CNAME = "CNAME"
)

// NewRecord makes the record that a provider gets. name is relative to the zone; the value is complete, a CNAME's target
// is absolute with or without trailing dot.
func NewRecord(name, rrtype, value string, ttl time.Duration) libdns.Record {
	if rrtype == CNAME {
		return libdns.CNAME{Name: name, TTL: ttl, Target: canonical(value) + "."}
	}
	return libdns.TXT{Name: name, TTL: ttl, Text: value}
}

// TypeOf returns the record's type.
func TypeOf(r libdns.Record) string { return r.RR().Type }

// ValueOf returns the value in the form in which values are compared: a TXT record's joined strings, octets as they are; a CNAME's
// target in lower case without trailing dot.
func ValueOf(r libdns.Record) string {
	rr := r.RR()
	if rr.Type == CNAME {
		return canonical(rr.Data)
	}
	return rr.Data
}

// OfType returns the records of one type.
func OfType(records []libdns.Record, rrtype string) []libdns.Record {
	var out []libdns.Record
	for _, r := range records {
		if TypeOf(r) == rrtype {
			out = append(out, r)
		}
	}
	return out
}

// Values returns the values of the records, sorted.
func Values(records []libdns.Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, ValueOf(r))
	}
	slices.Sort(out)
	return out
}

// Same reports whether two record sets of one type hold the same values. TTLs and the bounds between strings do not count.
func Same(a, b []libdns.Record) bool { return slices.Equal(Values(a), Values(b)) }

// canonical is the form of names in which they are compared.
func canonical(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// Absolute returns the owner name of a record, lower case without trailing dot; name is relative to the zone, "@" its apex.
func Absolute(name, zone string) string {
	return canonical(libdns.AbsoluteName(name, canonical(zone)))
}
