package dmarc

import "strings"

const (
	maxName  = 253 // octets, RFC 1035 §2.3.4, as written
	maxLabel = 63
)

// normal gives a name in lower case without a final dot, and whether it is one.
func normal(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return "", false
		}
		for _, c := range []byte(label) {
			if c <= ' ' || c >= 0x7f || c == '@' || c == '/' {
				return "", false
			}
		}
	}
	return strings.ToLower(name), true
}

// countLabels counts the labels of a normal name.
func countLabels(name string) int { return strings.Count(name, ".") + 1 }

// lastLabels gives the last n labels of a normal name that has at least so many.
func lastLabels(name string, n int) string {
	for range countLabels(name) - n {
		_, name, _ = strings.Cut(name, ".")
	}
	return name
}

// within reports whether name is domain or below it.
func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}
