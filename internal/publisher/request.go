package publisher

import (
	"strings"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
)

const (
	maxName  = 253 // RFC 1035 §2.3.4, as text without the trailing dot
	maxLabel = 63  // RFC 1035 §2.3.4

	// maxTTL is the largest TTL there is (RFC 2181 §8).
	maxTTL = (1<<31 - 1) * time.Second

	// maxTXT is the largest value of a provider that names no limit: the 65,535 octets of a message, less the length octets of
	// the strings (one per 255), the record's own name and the message around it.
	maxTXT = 64_000
)

// Request asks for one record set to go from Expect to Want.
type Request struct {
	Publisher string        // name of the publisher in the inventory
	Name      string        // absolute, no trailing dot
	Type      string        // TXT or CNAME
	Expect    string        // the complete value that must stand there now; "" = nothing
	Want      string        // the complete value that shall stand there; "" = nothing
	TTL       time.Duration // of Want; brought within the provider's bounds
}

// checked returns the request in canonical form. The error is fault.Invalid.
func (r Request) checked() (Request, error) {
	r.Name = canonical(r.Name)
	if problem := nameProblem(r.Name); problem != "" {
		return r, fault.New(fault.Invalid, "%q cannot be published: %s", r.Name, problem)
	}
	switch r.Type {
	case TXT:
	case CNAME:
		r.Expect, r.Want = canonical(r.Expect), canonical(r.Want)
		if problem := nameProblem(r.Want); r.Want != "" && problem != "" {
			return r, fault.New(fault.Invalid, "a CNAME to %q cannot be published: %s", r.Want, problem)
		}
		if r.Want == r.Name {
			return r, fault.New(fault.Invalid, "the CNAME %s would point to itself", r.Name)
		}
	default:
		return r, fault.New(fault.Invalid, "records of type %q are not published", r.Type).WithHint("only TXT and CNAME records are")
	}
	if r.TTL < 0 || r.TTL > maxTTL {
		return r, fault.New(fault.Invalid, "the TTL %s of %s is out of bounds", r.TTL, r.Name)
	}
	return r, nil
}

// nameProblem says what is wrong with a canonical name; "" = nothing. A wildcard would answer for names that nobody asked us to publish.
func nameProblem(name string) string {
	if len(name) > maxName {
		return "the name is longer than 253 octets"
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "it has an empty label"
		case len(label) > maxLabel:
			return "a label is longer than 63 octets"
		case label == "*":
			return "it is a wildcard"
		case strings.ContainsFunc(label, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '/')
		}):
			return "it holds a character that is no letter, digit, hyphen or underscore"
		}
	}
	return ""
}

// within reports whether name is zone or lies below it.
func within(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// change turns the request into what the provider gets.
func (r Request) change(zone string, caps Capabilities) (Change, error) {
	limit := caps.MaxTXT
	if limit == 0 {
		limit = maxTXT
	}
	if len(r.Want) > limit {
		return Change{}, fault.New(fault.Invalid, "the value for %s has %d octets, %s takes %d", r.Name, len(r.Want), r.Publisher, limit)
	}
	name := libdns.RelativeName(r.Name, zone)
	c := Change{Name: name, Type: r.Type}
	if r.Expect != "" {
		c.Expect = []libdns.Record{NewRecord(name, r.Type, r.Expect, 0)}
	}
	if r.Want != "" {
		ttl := max(r.TTL, caps.MinTTL)
		if caps.MaxTTL > 0 {
			ttl = min(ttl, caps.MaxTTL)
		}
		c.Want = []libdns.Record{NewRecord(name, r.Type, r.Want, ttl)}
	}
	return c, nil
}
