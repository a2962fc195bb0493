package services

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

const (
	maxSuggestions = 3

	// maxTypo is the longest text that is compared with the names; what is longer is not a misspelt id.
	maxTypo = 64
)

// All returns every service in the order of the catalogue: by category, the better known first. The slice is the
// caller's.
func (c *Catalogue) All() []Service { return slices.Clone(c.services) }

// Lookup finds a service by its id or one of its aliases; case does not matter.
func (c *Catalogue) Lookup(id string) (Service, bool) {
	i, ok := c.byName[strings.ToLower(id)]
	if !ok {
		return Service{}, false
	}
	return c.services[i], true
}

// Find is Lookup with the error for people: fault.NotFound, whose hint names the nearest ids.
func (c *Catalogue) Find(id string) (Service, error) {
	if s, ok := c.Lookup(id); ok {
		return s, nil
	}
	err := fault.New(fault.NotFound, "unknown service %q", shorten(id))
	if near := c.Suggest(id); len(near) > 0 {
		return Service{}, err.WithHint("did you mean %s?", strings.Join(near, " or "))
	}
	return Service{}, err.WithHint("postseal service catalogue has the names; one that it does not have is added with --custom (in fleet.yaml custom: true)")
}

// shorten keeps a pasted text from filling the error.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxTypo {
		return string(r[:maxTypo]) + "…"
	}
	return s
}

// Suggest returns up to three ids whose id or alias is nearest to what was written, the nearest first; none when
// nothing is near.
func (c *Catalogue) Suggest(id string) []string {
	id = strings.ToLower(strings.TrimSpace(id))
	if id == "" || len(id) > maxTypo {
		return nil
	}
	type near struct {
		id       string
		distance int
	}
	var found []near
	for _, s := range c.services {
		best := -1
		for _, name := range append([]string{s.ID}, s.Aliases...) {
			if d, ok := distance(id, name); ok && (best < 0 || d < best) {
				best = d
			}
		}
		if best >= 0 {
			found = append(found, near{s.ID, best})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	var ids []string
	for _, n := range found[:min(len(found), maxSuggestions)] {
		ids = append(ids, n.id)
	}
	return ids
}

// distance says how far what was written is from a name: the number of slips of the keyboard, or a little more than
// those allowed when one is the beginning of the other ("microsoft-office", "salesforce-mc"). Not ok: too far.
func distance(written, name string) (int, bool) {
	allowed := max(1, len(name)/4)
	if d := slips(written, name); d <= allowed {
		return d, true
	}
	head, _, _ := strings.Cut(written, "-")
	if len(head) > 2 && strings.HasPrefix(name, head) {
		return len(name), true
	}
	return 0, false
}

// slips counts insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal string alignment).
func slips(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
