package agent

import (
	"regexp"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Limits of patterns in agent.yaml.
const (
	maxPattern  = 512 // octets of one: addresses have at most 254, and a regular expression that nobody can read is a mistake
	maxPatterns = 100 // in one condition; more belong into rules of their own, or into logins
)

// pattern is a glob or a regular expression. Both take time that grows with the text times the pattern, whatever either says.
type pattern struct {
	re   *regexp.Regexp // RE2; nil for a glob
	glob glob
}

func (p *pattern) match(text string) bool {
	if p.re != nil {
		return p.re.MatchString(text)
	}
	return p.glob.match(text)
}

func anyMatch(patterns []pattern, text string) bool {
	for i := range patterns {
		if patterns[i].match(text) {
			return true
		}
	}
	return false
}

// compilePatterns checks the patterns of one condition. Those for addresses have their domain turned into A-labels, as the addresses
// have that they are compared with.
func compilePatterns(key string, texts []string, addresses bool) ([]pattern, error) {
	if len(texts) > maxPatterns {
		return nil, fault.New(fault.Invalid, "%s: more than %d patterns", key, maxPatterns)
	}
	var out []pattern
	for _, text := range texts {
		p, err := compilePattern(text, addresses)
		if err != nil {
			message, hint := fault.Show(err)
			return nil, fault.New(fault.Invalid, "%s: %s", key, message).WithHint("%s", hint)
		}
		out = append(out, p)
	}
	return out, nil
}

func compilePattern(text string, address bool) (pattern, error) {
	switch {
	case text == "":
		return pattern{}, fault.New(fault.Invalid, "an empty pattern").WithHint("* stands for any text; leave the condition out if it does not matter")
	case len(text) > maxPattern:
		return pattern{}, fault.New(fault.Invalid, "a pattern of more than %d octets", maxPattern)
	case len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/':
		re, err := regexp.Compile(text[1 : len(text)-1])
		if err != nil {
			return pattern{}, fault.New(fault.Invalid, "%q is not a regular expression: %s", text, strings.TrimPrefix(err.Error(), "error parsing regexp: ")).
				WithHint("the syntax is RE2 (no look-around, no back-references); a glob such as *@example.org stands without slashes")
		}
		return pattern{re: re}, nil
	}
	if address {
		var err error
		if text, err = asciiGlob(text); err != nil {
			return pattern{}, err
		}
	}
	return pattern{glob: compileGlob(text)}, nil
}

// asciiGlob turns the labels behind the last @ of a glob into A-labels.
func asciiGlob(text string) (string, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text, nil
	}
	labels := strings.Split(text[at+1:], ".")
	for i, label := range labels {
		if isASCII(label) {
			continue
		}
		if strings.ContainsAny(label, "*?") {
			return "", fault.New(fault.Invalid, "%q: a wildcard inside an internationalised label", text).WithHint("write the label in its A-form (xn--…)")
		}
		ascii, err := resolver.ToASCII(label)
		if err != nil {
			return "", fault.New(fault.Invalid, "%q: %q is not a label of a domain", text, label)
		}
		labels[i] = ascii
	}
	return text[:at+1] + strings.Join(labels, "."), nil
}

// glob is a pattern cut at its stars: * stands for any text, also none, ? for one octet; letters of US-ASCII match in either case.
type glob []string

func compileGlob(text string) glob {
	for strings.Contains(text, "**") {
		text = strings.ReplaceAll(text, "**", "*")
	}
	return strings.Split(strings.ToLower(text), "*")
}

func (g glob) match(text string) bool {
	first, last := g[0], g[len(g)-1]
	if len(g) == 1 {
		return len(text) == len(first) && globAt(text, first)
	}
	if len(text) < len(first)+len(last) || !globAt(text, first) || !globAt(text[len(text)-len(last):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	// The leftmost place is good enough for each piece between two stars.
	for _, piece := range g[1 : len(g)-1] {
		i := 0
		for ; i+len(piece) <= len(text) && !globAt(text[i:], piece); i++ {
		}
		if i+len(piece) > len(text) {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

// globAt reports whether a text begins with a piece of a glob.
func globAt(text, piece string) bool {
	for i := range len(piece) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != piece[i] && piece[i] != '?' {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
