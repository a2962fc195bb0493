package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxName  = 253 // octets of a domain name written with dots (RFC 1035 §2.3.4)
	maxLabel = 63  // octets between two dots (RFC 1035 §2.3.4)
	// selectorTail is what follows the label in a selector of ours: a hyphen, yymm and four letters.
	selectorTail = len("-2611abcd")
	// maxWord bounds names that people give; they become parts of tables and log lines.
	maxWord = 63
)

// ASCII turns a name into lower-case A-labels without a trailing dot (RFC 5891 §4). Underscores pass.
func ASCII(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 4*maxName {
		return "", fmt.Errorf("is longer than %d characters", maxName)
	}
	// A profile is a small value; it is made here because the package keeps no state.
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))
	out, err := profile.ToASCII(name)
	if err != nil {
		return "", errors.New("cannot be written in ASCII (RFC 5891)")
	}
	return strings.ToLower(out), nil
}

// labels checks a name in A-label form and returns how many labels it has.
func labels(name string, underscore bool) (int, error) {
	if name == "" {
		return 0, errors.New("is empty")
	}
	if len(name) > maxName {
		return 0, fmt.Errorf("is longer than %d characters", maxName)
	}
	n := 0
	for label := range strings.SplitSeq(name, ".") {
		n++
		switch {
		case label == "":
			return 0, errors.New("has two dots in a row, or one at an end")
		case len(label) > maxLabel:
			return 0, fmt.Errorf("has a part of more than %d characters", maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return 0, errors.New("has a part that begins or ends with a hyphen")
		}
		for _, c := range []byte(label) {
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && !(underscore && c == '_') {
				return 0, errors.New("may hold letters, digits, hyphens and dots only, in lower case")
			}
		}
	}
	return n, nil
}

// DomainName reads a domain as people write it, and returns its A-labels in lower case without a trailing dot. It refuses what no mail can be signed
// for: a name of one part, a wildcard, an address, the name of a record. The error completes a sentence that begins with the name.
func DomainName(text string) (string, error) {
	name, err := ASCII(strings.TrimSpace(text))
	if err != nil {
		return "", err
	}
	if name == "" && strings.Contains(text, ".") {
		return "", errors.New("is the root of DNS; a domain such as example.com is wanted")
	}
	return name, checkDomain(name)
}

// checkDomain checks a signing domain: RFC 6376 §3.5, tag d=.
func checkDomain(name string) error {
	if at := strings.LastIndex("."+name, "._"); at >= 0 {
		_, below, _ := strings.Cut(name[at:], ".")
		return fmt.Errorf("is the name of a record; the domain is what follows the parts with an underscore: %s", cmp.Or(below, "nothing here"))
	}
	if strings.HasPrefix(name, "*.") {
		return fmt.Errorf("is a wildcard; a domain such as %s is wanted", name[2:])
	}
	n, err := labels(name, false)
	if err != nil {
		return err
	}
	if n < 2 {
		return errors.New("has only one part; a domain such as example.com is wanted")
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(last, "0123456789") == "" { // RFC 3696 §2
		return errors.New("ends with a number, as an address does; a domain such as example.com is wanted")
	}
	return nil
}

// IsSelector reports whether a key of a domain can stand at a selector.
func IsSelector(selector, domain string) bool { return checkSelector(selector, domain) == nil }

// checkSelector checks a selector: RFC 6376 §3.1. Services are known to use underscores, which resolvers take.
func checkSelector(selector, domain string) error {
	if _, err := labels(selector, true); err != nil {
		return err
	}
	if len(KeyName(selector, domain)) > maxName {
		return fmt.Errorf("makes a name of more than %d characters", maxName)
	}
	return nil
}

// checkHost checks a name that a CNAME may point to.
func checkHost(name string) error {
	n, err := labels(name, true)
	if err == nil && n < 2 {
		return errors.New("has only one part; a full host name is wanted")
	}
	return err
}

// checkWord checks a name that people give to a server, a pool, a stream or a publisher.
func checkWord(name string, dots bool) error {
	if len(name) > maxWord {
		return fmt.Errorf("is longer than %d characters", maxWord)
	}
	n, err := labels(name, false)
	if err == nil && n > 1 && !dots {
		return errors.New("may not hold a dot")
	}
	return err
}

// endpoint completes an address with the port of DNS. Host names are taken where host is true.
func endpoint(s string, host bool) (string, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(a.String(), "53"), nil
	}
	if !host {
		return "", errors.New("is not an address such as 192.0.2.53:53")
	}
	name, port, err := net.SplitHostPort(s)
	if err != nil {
		name, port = s, "53"
	}
	name, err = ASCII(name)
	if err == nil {
		err = checkHost(name)
	}
	if p, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || p == 0 {
		return "", errors.New("is not an address such as 192.0.2.53:53 or ns1.example.com:53")
	}
	return net.JoinHostPort(name, port), nil
}
