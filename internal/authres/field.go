package authres

import "strings"

// Name is the name of the header field.
const Name = "Authentication-Results"

// Field is one Authentication-Results field. Without results it says "none": nothing was checked.
type Field struct {
	ID      string // authserv-id, a domain name of the receiver's choice
	Results []Result
}

// Result is what one method found (RFC 8601 §2.3).
type Result struct {
	Method     string // dkim, spf, dmarc, …
	Value      string // pass, fail, …
	Comment    string // for people; "" = none
	Reason     string // reason=, for people; "" = none
	Properties []Property
}

// Property is ptype.property=value, for instance header.d=example.org.
type Property struct {
	Type, Name, Value string
}

// Get returns the value of a property, "" when it is absent.
func (r Result) Get(ptype, name string) string {
	for _, p := range r.Properties {
		if p.Type == ptype && p.Name == name {
			return p.Value
		}
	}
	return ""
}

// SameID reports whether two authserv-ids are the same: without regard to case, and to a final dot, which some write.
func SameID(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// shortest is the least of b= that header.b repeats (RFC 6008 §4).
const shortest = 8

// SignaturePrefixes gives for each b= value, without white space, the first octets that tell it from the others of its message: at least
// eight (RFC 6008 §4). Equal values get equal prefixes.
func SignaturePrefixes(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		n := shortest
		for j, w := range values {
			if i != j && v != w {
				n = max(n, common(v, w)+1)
			}
		}
		out[i] = v[:min(n, len(v))]
	}
	return out
}

// common counts the octets that two texts begin with alike.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
