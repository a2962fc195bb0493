package services

import (
	"errors"
	"fmt"
	"strings"
)

// Pattern is a DNS name, or a selector, whose account-specific parts are left open: "*" stands for any text within one
// label (the empty one too), a label "**" for one or more whole labels, "{selector}" in a target for the selector asked about.
// It always matches a whole name, never a part: sendgrid.net.attacker.example is not one of SendGrid's names.
type Pattern string

const (
	anyLabels   = "**"
	ownSelector = "{selector}"

	// maxName is the longest domain name in its usual writing (RFC 1035 §2.3.4: 255 octets with the length octets).
	maxName = 253

	// fixedLabels is how many labels at the end of a target must be plain: with an open part there, a pattern would trust
	// names that anybody can register.
	fixedLabels = 2
)

// Match reports whether the pattern stands for the name. Case and a trailing dot do not matter.
func (p Pattern) Match(selector, name string) bool {
	name, ok := normal(name)
	if !ok {
		return false
	}
	selector, ok = normal(selector)
	if !ok && strings.Contains(string(p), ownSelector) {
		return false
	}
	want := strings.Split(strings.ReplaceAll(string(p), ownSelector, selector), ".")
	return matchLabels(want, strings.Split(name, "."))
}

// normal writes a name in lower case without the trailing dot. Names with escapes are none of a service's: \. would
// look like the border of a label.
func normal(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name, name != "" && len(name) <= maxName && !strings.ContainsAny(name, `\*{`)
}

// matchLabels compares label by label. At most one of want is "**" (checkTarget), so that one pass is enough.
func matchLabels(want, have []string) bool {
	for i, w := range want {
		if w == anyLabels {
			rest := want[i+1:]
			return len(have) >= i+1+len(rest) && !hasEmpty(have) && matchLabels(rest, have[len(have)-len(rest):])
		}
		if i >= len(have) || !matchLabel(w, have[i]) {
			return false
		}
	}
	return len(want) == len(have)
}

func hasEmpty(labels []string) bool {
	for _, l := range labels {
		if l == "" {
			return true
		}
	}
	return false
}

// matchLabel compares one label with one that may have "*" in it.
func matchLabel(want, have string) bool {
	if have == "" {
		return false
	}
	parts := strings.Split(want, "*")
	if len(parts) == 1 {
		return want == have
	}
	have, ok := strings.CutPrefix(have, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	if have, ok = strings.CutSuffix(have, last); !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(have, part)
		if !found {
			return false
		}
		have = after
	}
	return true
}

// literal reports whether the pattern stands for exactly one name.
func (p Pattern) literal() bool { return !strings.ContainsAny(string(p), "*{") }

// anySelector leaves the selector open.
func (p Pattern) anySelector() Pattern {
	return Pattern(strings.ReplaceAll(string(p), ownSelector, "*"))
}

// example writes the pattern for people: an ellipsis for every open part.
func (p Pattern) example(selector string) string {
	s := strings.ReplaceAll(string(p), ownSelector, selector)
	return strings.ReplaceAll(strings.ReplaceAll(s, anyLabels, "…"), "*", "…")
}

func (p Pattern) checkSelector() error {
	if strings.Contains(string(p), ownSelector) || strings.Contains(string(p), anyLabels) {
		return fmt.Errorf("selector %q: only * may stand for an open part", p)
	}
	return p.checkText()
}

func (p Pattern) checkTarget() error {
	labels := strings.Split(string(p), ".")
	if strings.Count(string(p), anyLabels) > 1 {
		return fmt.Errorf("target %q: ** may stand in it once", p)
	}
	if len(labels) < fixedLabels {
		return fmt.Errorf("target %q has fewer than %d labels", p, fixedLabels)
	}
	for i, label := range labels {
		if strings.Contains(label, anyLabels) && label != anyLabels {
			return fmt.Errorf("target %q: ** must be a whole label", p)
		}
		if i >= len(labels)-fixedLabels && !Pattern(label).literal() {
			return fmt.Errorf("target %q: the last %d labels must be plain", p, fixedLabels)
		}
	}
	return p.checkText()
}

func (p Pattern) checkText() error {
	text := strings.ReplaceAll(string(p), ownSelector, "s")
	if text == "" {
		return errors.New("an empty pattern")
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_*") != "" {
			return fmt.Errorf("pattern %q: labels are made of lower-case letters, digits, hyphens and underscores", p)
		}
	}
	return nil
}
