package inventory

import (
	"slices"
	"strings"
)

const (
	// maxShown is how much of a pasted text an error repeats.
	maxShown = 64
	// maxVocabulary is how many words are listed when nothing is near.
	maxVocabulary = 16
)

func shorten(s string) string {
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return s
}

// suggestion is a hint for a word that is not in the vocabulary: the nearest one, or all when they are few.
func suggestion(word string, vocabulary []string) string {
	if near := nearest(word, vocabulary); near != "" {
		return `did you mean "` + near + `"?`
	}
	if len(vocabulary) == 0 || len(vocabulary) > maxVocabulary {
		return ""
	}
	return "one of " + strings.Join(slices.Sorted(slices.Values(vocabulary)), ", ") + " is wanted"
}

// nearest returns the word that at most a third of its letters, changed, left out, added or swapped, turn into what was
// written; "" when there is none.
func nearest(written string, vocabulary []string) string {
	if len(written) > maxShown {
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
