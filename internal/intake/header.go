package intake

import (
	"bytes"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/mailauth"
	"github.com/postseal/postseal/internal/resolver"
)

// header is what intake needs to know of a mail's header.
type header struct {
	from      []string // values of From fields, at most two
	tlsReport bool     // it has the fields of a mail that carries a TLS report (RFC 8460 §5.3)
	messageID string
	subject   string
	received  []string // Received fields from the top, in one line each and cut; at most maxReceived
	hops      int      // how many there are, up to maxReceived
	to        []string // the addresses that it may have been sent to, lower-case, domains as A-labels; at most maxAddresses
}

// readHeader reads the header of a mail with CRLF or LF line ends.
func readHeader(mail []byte) header {
	var h header
	var domain, submitter bool
	var given, named []string // by whoever delivered it; by whoever wrote it
	eachField(mail, func(name string, value []byte) {
		switch strings.ToLower(name) {
		case "from":
			if len(h.from) < 2 {
				h.from = append(h.from, string(value[:min(len(value), mailauth.MaxFrom+1)]))
			}
		case "tls-report-domain":
			domain = true
		case "tls-report-submitter":
			submitter = true
		case "message-id":
			if h.messageID == "" {
				h.messageID = strings.Trim(oneLine(value), "<>")
			}
		case "subject":
			if h.subject == "" {
				h.subject = oneLine(value)
			}
		case "received":
			if h.hops < maxReceived {
				h.hops++
				h.received = append(h.received, oneLine(value))
			}
		case "delivered-to", "x-original-to", "envelope-to", "x-envelope-to":
			given = append(given, addresses(value)...)
		case "to", "cc":
			named = append(named, addresses(value)...)
		}
	})
	h.tlsReport = domain && submitter
	for _, a := range append(given, named...) {
		if len(h.to) < maxAddresses && !slices.Contains(h.to, a) {
			h.to = append(h.to, a)
		}
	}
	return h
}

// eachField calls f with each field of a header, from the top, the value as it is behind the colon. What is no field is passed over, as package dkim does.
func eachField(mail []byte, f func(name string, value []byte)) {
	rest := mail[:min(len(mail), dkim.MaxHeaderBytes)]
	for len(rest) > 0 {
		end := 0
		for { // the line, and those that go on with it
			i := bytes.IndexByte(rest[end:], '\n')
			if i < 0 {
				end = len(rest)
				break
			}
			if end += i + 1; end == len(rest) || rest[end] != ' ' && rest[end] != '\t' {
				break
			}
		}
		field := bytes.TrimRight(rest[:end], "\r\n")
		if rest = rest[end:]; len(field) == 0 {
			return
		}
		if name, value, ok := bytes.Cut(field, []byte(":")); ok {
			if name = bytes.TrimRight(name, " \t"); fieldName.Match(name) {
				f(string(name), value)
			}
		}
	}
}

var fieldName = regexp.MustCompile(`^[!-9;-~]+$`)

// maxList is the longest list of addresses that is read, in octets.
const maxList = 16 << 10

// addresses are those of a field, in their normal form. What cannot be read has none.
func addresses(value []byte) (out []string) {
	if len(value) > maxList {
		return nil
	}
	list, err := netmail.ParseAddressList(strings.NewReplacer("\r", " ", "\n", " ").Replace(string(value)))
	if err != nil {
		return nil
	}
	for _, a := range list[:min(len(list), maxAddresses)] {
		if n, ok := normalAddress(a.Address); ok {
			out = append(out, n)
		}
	}
	return out
}

// normalAddress is an address in lower case, its domain as A-labels.
func normalAddress(text string) (string, bool) {
	at := strings.LastIndexByte(text, '@')
	if at < 1 || len(text) > 320 { // 64 and 255 octets, RFC 5321 §4.5.3.1
		return "", false
	}
	domain, err := resolver.ToASCII(text[at+1:])
	if err != nil || domain == "." {
		return "", false
	}
	return strings.ToLower(text[:at]) + "@" + domain, true
}

// oneLine is a text of a stranger without what would confuse a terminal or a table, bounded.
func oneLine[T string | []byte](text T) string {
	s := string(text[:min(len(text), 4*maxText)])
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if s = strings.Join(strings.Fields(s), " "); len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

var (
	beginsAsMail = regexp.MustCompile(`^(From [^\n]*\n)?[!-9;-~]{1,76}:`)
	fromLine     = []byte("From ")
)

// isMail reports whether octets begin as a mail does. Package report decides for itself what they hold; here it is only asked whether there is somebody to verify.
func isMail(octets []byte) bool {
	return beginsAsMail.Match(bytes.TrimLeft(octets[:min(len(octets), 4096)], " \t\r\n"))
}

// withoutFromLine leaves out what stands before a mail in files.
func withoutFromLine(octets []byte) []byte {
	octets = bytes.TrimLeft(octets, " \t\r\n")
	if bytes.HasPrefix(octets, fromLine) {
		_, octets, _ = bytes.Cut(octets, []byte("\n"))
	}
	return octets
}
