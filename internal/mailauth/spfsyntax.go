package mailauth

import (
	"net/netip"
	"strconv"
	"strings"
)

// isSPFRecord reports whether a TXT record is a policy (RFC 7208 §4.5).
func isSPFRecord(txt string) bool {
	const version = "v=spf1"
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) && (len(txt) == len(version) || txt[len(version)] == ' ')
}

// validSPF checks the grammar of a whole policy (RFC 7208 §12): one error anywhere makes it permanently wrong, before anything of it is
// evaluated (§4.6). The library reads on until something matches.
func validSPF(record string) bool {
	once := map[string]bool{} // redirect and exp
	for _, term := range strings.Split(record, " ")[1:] {
		if term == "" {
			continue
		}
		if name, value, ok := cutModifier(term); ok {
			switch {
			case name != "redirect" && name != "exp":
				if value != "" && !macroString(value) {
					return false
				}
			case once[name] || !domainSpec(value):
				return false
			default:
				once[name] = true
			}
			continue
		}
		if strings.IndexByte("+-~?", term[0]) >= 0 {
			term = term[1:]
		}
		if !validMechanism(term) {
			return false
		}
	}
	return true
}

// cutModifier takes name "=" value apart; the name is in lower case.
func cutModifier(term string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(term, "=")
	if !ok || name == "" || !letter(name[0]) {
		return "", "", false
	}
	for i := range len(name) {
		if c := name[i]; !letter(c) && !digit(c) && c != '-' && c != '_' && c != '.' {
			return "", "", false
		}
	}
	return strings.ToLower(name), value, true
}

func validMechanism(term string) bool {
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	name, rest := strings.ToLower(term[:end]), term[end:]
	spec, named := strings.CutPrefix(rest, ":")
	switch name {
	case "all":
		return rest == ""
	case "include", "exists":
		return named && domainSpec(spec)
	case "ptr":
		return rest == "" || named && domainSpec(spec)
	case "a", "mx":
		spec, ok := cutLengths(rest)
		if !ok || spec == "" {
			return ok
		}
		spec, named = strings.CutPrefix(spec, ":")
		return named && domainSpec(spec)
	case "ip4", "ip6":
		return named && validNetwork(spec, name == "ip4")
	}
	return false
}

// validNetwork checks an address and the length of its prefix.
func validNetwork(text string, four bool) bool {
	address, length, ok := strings.Cut(text, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || a.Is4() != four {
		return false
	}
	return !ok || prefixLength(length, a.BitLen())
}

// cutLengths takes the lengths of prefixes, "/24", "//64" or "/24//64", off the end. ok is false for one that is too long.
func cutLengths(text string) (rest string, ok bool) {
	if i := strings.LastIndex(text, "//"); i >= 0 && digits(text[i+2:]) {
		if !prefixLength(text[i+2:], 128) {
			return "", false
		}
		text = text[:i]
	}
	if i := strings.LastIndexByte(text, '/'); i >= 0 && digits(text[i+1:]) {
		if !prefixLength(text[i+1:], 32) {
			return "", false
		}
		text = text[:i]
	}
	return text, true
}

func prefixLength(text string, most int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && digits(text) && n <= most && (text == "0" || text[0] != '0')
}

// domainSpec is macro-string with a macro or a top label at its end.
func domainSpec(s string) bool {
	if !macroString(s) {
		return false
	}
	if s[len(s)-1] == '}' && strings.Contains(s, "%{") {
		return true
	}
	if strings.HasSuffix(s, "%%") || strings.HasSuffix(s, "%_") || strings.HasSuffix(s, "%-") {
		return true
	}
	s = strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(s, '.')
	return dot >= 0 && topLabel(s[dot+1:])
}

// topLabel is letters, digits and inner hyphens, not digits alone.
func topLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) && s[i] != '-' {
			return false
		}
	}
	return !digits(s)
}

// macroString is visible characters and macros (RFC 7208 §7.1); c, r and t belong to explanations only.
func macroString(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] <= ' ' || s[i] >= 0x7f:
			return false
		case s[i] != '%':
			continue
		case i+1 == len(s):
			return false
		case s[i+1] != '{':
			if strings.IndexByte("%_-", s[i+1]) < 0 {
				return false
			}
			i++
		default:
			end := strings.IndexByte(s[i:], '}')
			if end < 0 || !macro(s[i+2:i+end]) {
				return false
			}
			i += end
		}
	}
	return s != ""
}

// macro is what stands in the braces: a letter, a number of labels, r, delimiters.
func macro(s string) bool {
	if s == "" || strings.IndexByte("slodiphvSLODIPHV", s[0]) < 0 {
		return false
	}
	s = s[1:]
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	if n > 0 && strings.Trim(s[:n], "0") == "" {
		return false
	}
	if s = s[n:]; s != "" && (s[0] == 'r' || s[0] == 'R') {
		s = s[1:]
	}
	return strings.Trim(s, ".-+,/_=") == ""
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
