package inventory

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
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

// nearest is fault.Nearest for what may be a pasted text.
func nearest(written string, vocabulary []string) string { return fault.Nearest(written, vocabulary) }
