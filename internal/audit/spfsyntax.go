package audit

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

const (
	// maxSPFOctets is the longest SPF record that is read, in octets: four times what RFC 7208 §3.4 calls sensible for the whole answer.
	maxSPFOctets = 4096
	// maxSPFTerms bounds the work on one record.
	maxSPFTerms = 200
)

// spfTerm is one mechanism or modifier of an SPF record (RFC 7208 §4.6.1).
type spfTerm struct {
	text      string
	qualifier byte   // + - ~ ?; 0 for modifiers
	name      string // lower case
	value     string // domain-spec or network, "" if none
	has       bool   // a value was written
	cidr4     int    // -1 = none
	cidr6     int
	modifier  bool
	problem   string // what is wrong with it; "" = nothing
}

// asks reports whether evaluating the term costs one of the ten look-ups (RFC 7208 §4.6.4).
func (t spfTerm) asks() bool {
	switch t.name {
	case "include", "a", "mx", "ptr", "exists":
		return !t.modifier
	case "redirect":
		return t.modifier
	}
	return false
}

// macro reports whether the value depends on the message.
func (t spfTerm) macro() bool { return strings.Contains(t.value, "%") }

// isSPF reports whether a TXT record is an SPF record (RFC 7208 §4.5).
func isSPF(txt string) bool {
	return len(txt) >= 6 && strings.EqualFold(txt[:6], "v=spf1") && (len(txt) == 6 || txt[6] == ' ')
}

// parseSPF splits a record into its terms and checks each (RFC 7208 §12). The text is one that isSPF accepts.
func parseSPF(txt string) []spfTerm {
	var terms []spfTerm
	for _, word := range strings.Split(txt[6:], " ") {
		if word == "" {
			continue
		}
		if len(terms) == maxSPFTerms {
			return append(terms, spfTerm{text: word, problem: "there are more terms than anybody evaluates"})
		}
		terms = append(terms, parseTerm(word))
	}
	for i, t := range terms {
		for _, u := range terms[:i] {
			if t.modifier && u.modifier && t.name == u.name && (t.name == "redirect" || t.name == "exp") && t.problem == "" {
				terms[i].problem = "it is there twice"
			}
		}
	}
	return terms
}

var (
	modifierHead = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*=`)
	dualCIDR     = regexp.MustCompile(`(?:/([0-9]{1,3}))?(?://([0-9]{1,3}))?$`)
	topLabel     = regexp.MustCompile(`^(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])$`)
	// The letters c, r and t are for the text of explanations only (RFC 7208 §7.2).
	macroExpand = regexp.MustCompile(`^%(?:\{[slodiphvSLODIPHV][0-9]*[rR]?[.+,/_=-]*\}|%|_|-)`)
)

func parseTerm(word string) spfTerm {
	t := spfTerm{text: word, cidr4: -1, cidr6: -1}
	if head := modifierHead.FindString(word); head != "" {
		t.modifier, t.has = true, true
		t.name, t.value = strings.ToLower(head[:len(head)-1]), word[len(head):]
		t.checkModifier()
		return t
	}
	t.qualifier = '+'
	if strings.ContainsRune("+-~?", rune(word[0])) {
		t.qualifier, word = word[0], word[1:]
	}
	end := strings.IndexAny(word, ":/")
	if end < 0 {
		end = len(word)
	}
	t.name = strings.ToLower(word[:end])
	rest := word[end:]
	if strings.HasPrefix(rest, ":") {
		t.has, rest = true, rest[1:]
	}
	t.value = rest
	t.checkMechanism()
	return t
}

func (t *spfTerm) checkModifier() {
	switch t.name {
	case "redirect", "exp":
		if !domainSpec(t.value) {
			t.problem = "what follows is no domain"
		}
	case "include", "a", "mx", "ptr", "ip4", "ip6", "exists", "all":
		t.problem = "a mechanism takes a colon, not an equals sign"
	default:
		if !macroString(t.value) {
			t.problem = "what follows holds a percent sign that begins no macro"
		}
	}
}

func (t *spfTerm) checkMechanism() {
	switch t.name {
	case "all":
		if t.value != "" || t.has {
			t.problem = "all takes no value"
		}
	case "include", "exists":
		if !t.has || !domainSpec(t.value) {
			t.problem = "a colon and a domain are wanted"
		}
	case "a", "mx":
		t.cutCIDR()
		if t.problem == "" && (t.has || t.value != "") && !domainSpec(t.value) {
			t.problem = "what follows is no domain"
		}
	case "ptr":
		if (t.has || t.value != "") && !domainSpec(t.value) {
			t.problem = "what follows is no domain"
		}
	case "ip4", "ip6":
		t.checkNetwork()
	case "ipv4", "ipv6", "ip":
		t.problem = "it is written ip4: or ip6:"
	default:
		t.problem = "there is no such mechanism"
	}
}

// cutCIDR takes the prefix lengths off the end of a value (RFC 7208 §5.3, dual-cidr-length).
func (t *spfTerm) cutCIDR() {
	at := dualCIDR.FindStringSubmatchIndex(t.value)
	if at == nil || at[0] == len(t.value) {
		return
	}
	lengths := dualCIDR.FindStringSubmatch(t.value)
	t.value = t.value[:at[0]]
	length := func(s string, most int) int {
		if s == "" {
			return -1
		}
		n, err := strconv.Atoi(s)
		if err != nil || n > most || len(s) > 1 && s[0] == '0' {
			t.problem = "/" + s + " is no length of a prefix"
		}
		return n
	}
	t.cidr4, t.cidr6 = length(lengths[1], 32), length(lengths[2], 128)
}

func (t *spfTerm) checkNetwork() {
	network, length, prefixed := strings.Cut(t.value, "/")
	addr, err := netip.ParseAddr(network)
	v4 := t.name == "ip4"
	most := 128
	if v4 {
		most = 32
	}
	n, bad := strconv.Atoi(length)
	switch {
	case !t.has || err != nil || addr.Zone() != "" || v4 != addr.Is4():
		t.problem = "a colon and an address of that family are wanted"
	case prefixed && (bad != nil || n < 0 || n > most || len(length) > 1 && length[0] == '0' || length[0] == '+'):
		t.problem = "/" + length + " is no length of a prefix"
	case prefixed && v4:
		t.cidr4 = n
	case prefixed:
		t.cidr6 = n
	}
}

// domainSpec checks macro-string domain-end (RFC 7208 §7.1).
func domainSpec(s string) bool {
	if s == "" || !macroString(s) {
		return false
	}
	if strings.HasSuffix(s, "}") && strings.Contains(s, "%{") {
		return true
	}
	trimmed := strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(trimmed, '.')
	return dot >= 0 && topLabel.MatchString(trimmed[dot+1:])
}

// macroString checks the characters and the macros.
func macroString(s string) bool {
	for s != "" {
		if s[0] != '%' {
			if s[0] < 0x21 || s[0] > 0x7e {
				return false
			}
			s = s[1:]
			continue
		}
		m := macroExpand.FindString(s)
		if m == "" {
			return false
		}
		if m[1] == '{' && !soundMacro(m) {
			return false
		}
		s = s[len(m):]
	}
	return true
}

// soundMacro refuses a number of parts that is zero (RFC 7208 §7.1).
func soundMacro(m string) bool {
	digits := strings.TrimLeft(m[3:], "0")
	return m[3] < '0' || m[3] > '9' || digits != "" && digits[0] >= '0' && digits[0] <= '9'
}
