package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/access"
)

// What huma itself says of requests never reaches anybody.
func TestOwnWordsForBounds(t *testing.T) {
	b := newBench(t, nil)
	h := b.http(nil)
	for body, want := range map[string]string{
		`{"note":"` + strings.Repeat("x", 501) + `"}`: "note has more than 500 characters",
		// Larger than what is read, and small enough that the connection is not closed before the client has read the answer.
		`{"note":"` + strings.Repeat("x", 100<<10) + `"}`: "octets or more",
		`{"note":5}`:   "note is no text",
		`{"nonsense":`: "cannot be read as JSON",
	} {
		status, e := b.raw(t, h, http.MethodPut, "/v1/tickets/1/note", b.tokens[access.Admin], body)
		if status < 400 || status >= 500 || !strings.Contains(e.Message, want) || strings.Contains(e.Message, " expected ") || strings.Contains(e.Message, "validation failed") {
			t.Errorf("%.40s: %d %q, want %q", body, status, e.Message, want)
		}
	}
}
