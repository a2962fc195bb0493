package resolver

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrName is the cause of every refusal of a name.
var ErrName = errors.New("not a usable domain name")

// ToASCII turns a name as people write it into the form that is asked and compared: A-labels (RFC 5890 through the look-up
// mapping of UTS #46), lower case, no trailing dot. Labels may hold letters, digits, '-', '_' and, as reverse zones do (RFC 2317),
// '/'; a whole label may be '*'. Labels are mapped one by one, so that "_domainkey" may stand beside a right-to-left label.
// The error wraps ErrName.
func ToASCII(name string) (string, error) {
	if len(name) > 4*maxName || !utf8.ValidString(name) {
		return "", ErrName
	}
	if isASCII(name) {
		// Names such as "r3---x" or a broken "xn--" label exist in zones; they are asked as they are.
		if name == "." {
			return name, nil
		}
		ascii := strings.ToLower(strings.TrimSuffix(name, "."))
		if ascii == "." || !usable(ascii) {
			return "", ErrName
		}
		return ascii, nil
	}
	// UTS #46 §2.3 treats these as label separators.
	name = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".").Replace(name)
	if name == "." {
		return name, nil
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for i, label := range labels {
		if label == "" {
			return "", ErrName
		}
		if isASCII(label) {
			labels[i] = strings.ToLower(label)
			continue
		}
		mapped, err := profile.ToASCII(label)
		if err != nil {
			return "", errors.Join(ErrName, err)
		}
		labels[i] = mapped
	}
	ascii := strings.Join(labels, ".")
	if !usable(ascii) {
		return "", ErrName
	}
	return ascii, nil
}

// ToUnicode is the form for people's eyes; a name that has no valid one comes back unchanged.
func ToUnicode(name string) string {
	labels := strings.Split(name, ".")
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))
	for i, label := range labels {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		u, err := profile.ToUnicode(label)
		if err != nil || u == "" {
			return name
		}
		labels[i] = u
	}
	return strings.Join(labels, ".")
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// canonical brings a name out of a message into our form. It does not check it.
func canonical(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// usable reports whether a canonical name is one that we ask, follow and show.
func usable(name string) bool {
	if name == "." {
		return true
	}
	if name == "" || len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !usableLabel(label) {
			return false
		}
	}
	return true
}

func usableLabel(label string) bool {
	if label == "" || len(label) > maxLabel {
		return false
	}
	if label == "*" {
		return true
	}
	for i := range len(label) {
		c := label[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '/':
		default:
			return false
		}
	}
	return true
}

// parent returns the name one label up; the parent of a top-level name is the root.
func parent(name string) string {
	_, rest, ok := strings.Cut(name, ".")
	if !ok || rest == "" {
		return "."
	}
	return rest
}

// within reports whether name is zone or lies below it.
func within(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// registered returns the last two labels: the deepest name that a recursive server is asked about, because it exists
// wherever mail is sent.
func registered(name string) string {
	labels := strings.Split(name, ".")
	if len(labels) <= 2 {
		return name
	}
	return strings.Join(labels[len(labels)-2:], ".")
}
