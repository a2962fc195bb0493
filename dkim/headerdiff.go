package dkim

import "fmt"

// HeaderDifference is a header field name that does not occur as often as the signature's h= leads to expect: a field of that
// name was added after signing, or taken away.
type HeaderDifference struct {
	Name    string // as h= writes it, shortened and without control characters
	Signed  int    // how often h= names it
	Present int    // how many fields of that name the message has, this signature not counted

	// Removed: more were signed than there are. Else fields were added. With oversigning (RFC 6376 §8.15) h= names a field once
	// more than it was present, which is no difference; so Signed 2, Present 2 is an added field where only one may be.
	Removed bool
}

func (d HeaderDifference) String() string {
	what := "added"
	if d.Removed {
		what = "removed"
	}
	return fmt.Sprintf("%s: h= names it %d×, present %d×: %s", d.Name, d.Signed, d.Present, what)
}

// Names of which a message has at most one field (RFC 5322 §3.6, RFC 2045 §3), so that naming one twice is oversigning.
var singletonNames = []string{"from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "in-reply-to", "references",
	"mime-version", "content-type", "content-transfer-encoding", "content-id", "content-description", "list-id",
	"list-unsubscribe", "list-unsubscribe-post"}

// headerDifferences compares how often h= names each field with how often it is there. It is called for failed signatures
// only: one pass over h=.
func (b *fieldBlock) headerDifferences(s *signature) []HeaderDifference {
	type counted struct {
		HeaderDifference
		raw    []byte
		single bool
	}
	var names []counted
	for rest := s.names; len(rest) > 0; {
		var name []byte
		name, rest = nextItem(rest)
		if len(name) == 0 {
			continue
		}
		known := false
		for i := range names {
			if equalFold(names[i].raw, name) {
				names[i].Signed++
				known = true
			}
		}
		if !known {
			c := counted{raw: name, single: isSingleton(name)}
			c.Name, c.Signed, c.Present = printable(name), 1, b.count(name)
			if equalFold(name, signatureFieldName) {
				c.Present-- // h= cannot mean the signature itself
			}
			names = append(names, c)
		}
	}
	// A name that is absent may be oversigned or gone. It counts as oversigned where most fields that are there are.
	plain, twice := 0, 0
	for _, c := range names {
		switch {
		case !c.single || c.Present == 0:
		case c.Signed >= 2:
			twice++
		default:
			plain++
		}
	}
	oversigns := twice > 0 && twice >= plain
	var out []HeaderDifference
	for _, c := range names {
		switch {
		case c.single && (c.Present > c.Signed || c.Signed >= 2 && c.Present >= c.Signed):
		case c.Signed > c.Present+1, c.Signed > c.Present && !oversigns && (c.Present == 0 || !c.single):
			c.Removed = true
		default:
			continue
		}
		out = append(out, c.HeaderDifference)
	}
	return out
}

func isSingleton(name []byte) bool {
	for _, s := range singletonNames {
		if equalFold(name, []byte(s)) {
			return true
		}
	}
	return false
}
