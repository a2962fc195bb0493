package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// rule is one entry of the policy.
type rule struct {
	name   string   // path below the module's root, perhaps with a star at its end
	floor  int      // counted from the bottom; two headings with one number are two floors here
	text   string   // what it may import, as written
	may    []string // what it may import, spelt out: names of entries
	std    bool     // the standard library only
	cgo    bool
	reason string
}

// rules are all entries in the order of the policy.
type rules []rule

// find returns the entry of a package. A plain entry goes before one with a star.
func (rs rules) find(pkg string) (rule, bool) {
	for _, star := range []bool{false, true} {
		for _, r := range rs {
			matched, _ := path.Match(r.name, pkg)
			if matched && strings.HasSuffix(r.name, "*") == star {
				return r, true
			}
		}
	}
	return rule{}, false
}

// fullName turns a name of the policy into a path below the module's root.
func fullName(name string) string {
	if name == "dkim" || name == "dmarc" || strings.HasPrefix(name, "cmd/") {
		return name
	}
	return "internal/" + name
}

// entries reads "name: list" lines with indented reasons under them, and headings.
func entries(text string) (rules, map[string][]string, error) {
	var rs rules
	floors := make(map[string][]string) // first word after the number of a heading → names
	floor, word := -1, ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "\t"):
			if len(rs) == 0 {
				return nil, nil, fmt.Errorf("line %d: a reason before the first entry", i+1)
			}
			last := &rs[len(rs)-1]
			last.reason = strings.TrimSpace(last.reason + " " + strings.TrimSpace(line))
		case strings.HasPrefix(line, "floor "):
			floor++
			fields := strings.Fields(line)
			if len(fields) < 3 {
				return nil, nil, fmt.Errorf("line %d: a floor without a name", i+1)
			}
			word = strings.TrimSuffix(fields[2], ":")
		default:
			name, list, found := strings.Cut(line, ":")
			if !found || strings.ContainsAny(name, " \t") {
				return nil, nil, fmt.Errorf("line %d: %q is no entry", i+1, line)
			}
			full := fullName(name)
			if slices.ContainsFunc(rs, func(r rule) bool { return r.name == full }) {
				return nil, nil, fmt.Errorf("line %d: %s has two entries", i+1, name)
			}
			rs = append(rs, rule{name: full, floor: floor, text: strings.TrimSpace(list)})
			floors[word] = append(floors[word], full)
		}
	}
	for _, r := range rs {
		if r.reason == "" {
			return nil, nil, fmt.Errorf("%s has no reason", r.name)
		}
	}
	return rs, floors, nil
}

// parsePolicy reads the policy and checks it against itself.
func parsePolicy(text string) (rules, error) {
	rs, floors, err := entries(text)
	if err != nil {
		return nil, err
	}
	for i := range rs {
		r := &rs[i]
		if err := r.spellOut(rs, floors); err != nil {
			return nil, err
		}
		for _, name := range r.may {
			other := rs[slices.IndexFunc(rs, func(o rule) bool { return o.name == name })]
			hangs := strings.HasPrefix(r.name, other.name+"/")
			if other.floor >= r.floor && !hangs {
				return nil, fmt.Errorf("%s may not import %s: it is not on a lower floor", r.name, name)
			}
		}
	}
	return rs, nil
}

// spellOut replaces the words of the list by names.
func (r *rule) spellOut(all rules, floors map[string][]string) error {
	may := make(map[string]bool)
	for _, w := range strings.Fields(r.text) {
		switch w {
		case "STD":
			r.std = true
		case "CGO":
			r.cgo = true
		case "NOUNS", "CAPABILITIES":
			for _, name := range floors[strings.ToLower(w)] {
				may[name] = true
			}
		case "BELOW":
			for _, o := range all {
				if o.floor < r.floor {
					may[o.name] = true
				}
			}
		default:
			without := strings.HasPrefix(w, "-")
			name := fullName(strings.TrimPrefix(w, "-"))
			if !slices.ContainsFunc(all, func(o rule) bool { return o.name == name }) {
				return fmt.Errorf("%s may import %s, which has no entry", r.name, name)
			}
			may[name] = !without
		}
	}
	maps.DeleteFunc(may, func(_ string, allowed bool) bool { return !allowed })
	r.may = slices.Sorted(maps.Keys(may))
	if r.std && len(r.may) > 0 {
		return fmt.Errorf("%s is STD and may import %v", r.name, r.may)
	}
	return nil
}

// allows reports whether a package under this rule may import another package of the module.
func (r rule) allows(pkg, imported string) bool {
	if r.std || pkg == imported {
		return false
	}
	if imported == "internal/fault" {
		return true
	}
	return slices.ContainsFunc(r.may, func(name string) bool {
		matched, _ := path.Match(name, imported)
		return matched
	})
}
