package access

import (
	"strings"
	"testing"
)

func FuzzParseToken(f *testing.F) {
	_, good, _ := newToken()
	for _, seed := range []string{"", good, good + ".", "psa1.x.y", strings.Repeat("psa1.", 100), good[:20]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, hash, ok := parseToken(text)
		if ok != (id != "") || ok != (len(hash) == 32) || ok && strings.Contains(id, ".") {
			t.Fatalf("%q gives %q, %x, %t", text, id, hash, ok)
		}
	})
}
