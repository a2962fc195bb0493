package dmarc

import (
	"net/url"
	"strings"
)

// maxURIs is how many report addresses of one tag are kept; receivers may stop after two (RFC 7489 §6.2).
const maxURIs = 20

// URI is one address for reports (RFC 9989 §4.7, rua and ruf).
type URI struct {
	// Text is the URI as written, without the size limit of RFC 7489, which reporters must ignore.
	Text string
	// Address is the mailbox of a mailto URI, decoded; "" for other schemes, to which nothing is sent.
	Address string
	// Size is the limit of RFC 7489 behind a "!", which means nothing any more.
	Size string
}

// Mailto makes the URI of a mailbox.
func Mailto(address string) URI {
	// The grammar of the tag takes commas, semicolons and exclamation marks for its own (RFC 9989 §4.8); URIs have a use for the others (RFC 6068 §2).
	text := strings.NewReplacer("%", "%25", ",", "%2C", ";", "%3B", "!", "%21", "?", "%3F", " ", "%20", "#", "%23", "/", "%2F", "&", "%26", "=", "%3D",
		"[", "%5B", "]", "%5D", "^", "%5E", "`", "%60", "{", "%7B", "|", "%7C", "}", "%7D", `"`, "%22", `\`, "%5C").Replace(address)
	return URI{Text: "mailto:" + text, Address: address}
}

// String is the URI as it stands in a record.
func (u URI) String() string { return u.Text }

// Host returns the domain of a mailto address, "" when there is none.
func (u URI) Host() string {
	at := strings.LastIndexByte(u.Address, '@')
	host, _ := normal(u.Address[at+1:])
	if at < 0 {
		return ""
	}
	return host
}

// ParseURI reads one address for reports. One of another scheme than mailto is no error: its Address is "". The error is an *Error.
func ParseURI(text string) (URI, error) {
	u, problem := parseURI(strings.Trim(text, wsp))
	if problem != "" {
		return URI{}, &Error{Err: errSyntax, Detail: problem}
	}
	return u, nil
}

// uris reads the value of rua or ruf. A URI that is wrong is passed over; the others count.
func (r *Record) uris(tag, value string) []URI {
	var out []URI
	for text := range strings.SplitSeq(value, ",") {
		u, problem := parseURI(strings.Trim(text, wsp))
		switch {
		case problem != "":
			r.ignore(tag, problem)
		case len(out) < maxURIs:
			out = append(out, u)
		}
	}
	return out
}

// parseURI reads one URI and says what is wrong with it.
func parseURI(text string) (u URI, problem string) {
	u.Text = text
	if before, size, ok := strings.Cut(text, "!"); ok {
		if !isSize(size) {
			return u, "an exclamation mark that is not before a size"
		}
		u.Text, u.Size = before, size
	}
	parsed, err := url.Parse(u.Text)
	if err != nil || parsed.Scheme == "" || strings.ContainsAny(u.Text, wsp) {
		return u, "not a URI"
	}
	if parsed.Scheme != "mailto" {
		return u, ""
	}
	address, err := url.PathUnescape(parsed.Opaque)
	if err != nil {
		return u, "not an address"
	}
	u.Address = address
	at := strings.LastIndexByte(address, '@')
	if at < 1 || u.Host() == "" || !strings.Contains(u.Host(), ".") || strings.ContainsFunc(address, isControl) {
		return u, "not an address"
	}
	return u, ""
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isSize reports whether s is digits with an optional unit (RFC 7489 §6.4).
func isSize(s string) bool {
	digits := strings.TrimRight(strings.ToLower(s), "kmgt")
	return digits != "" && len(s)-len(digits) <= 1 && strings.Trim(digits, "0123456789") == ""
}
