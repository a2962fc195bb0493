package fault

import (
	"slices"
	"strings"
)

// maxTypo is the longest text that is taken for a misspelt word, in octets.
const maxTypo = 64

// Nearest returns the word that at most a third of its letters, changed, left out, added or swapped, turn into what was
// written; "" when there is none.
func Nearest(written string, vocabulary []string) string {
	if len(written) > maxTypo {
		return ""
	}
	written = strings.ToLower(written)
	best, found := 0, ""
	for _, word := range slices.Sorted(slices.Values(vocabulary)) {
		d := slips(written, strings.ToLower(word))
		if d <= max(1, len(word)/3) && (found == "" || d < best) {
			best, found = d, word
		}
	}
	return found
}

// slips counts the slips of the keyboard between two words (optimal string alignment distance).
func slips(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			swap := last[j]
			if a[i] != b[j] {
				swap++
			}
			row[j+1] = min(swap, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
