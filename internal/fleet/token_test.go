package fleet

import (
	"encoding/base64"
	"strings"
	"testing"
)

func FuzzParseToken(f *testing.F) {
	secret := base64.RawURLEncoding.EncodeToString(make([]byte, secretSize))
	pin := strings.Repeat("a", 64)
	for _, seed := range []string{"", "psj1", "psj1.jt_x." + secret + "." + pin, " psj1.jt_x." + secret + "." + pin + "\n", "psj1..." + pin, "psj1.a.b.c.d",
		"psj1.jt_x." + secret + "=." + pin, strings.Repeat(".", 600)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, hash, err := parseToken(text)
		if err != nil {
			if id != "" || hash != nil {
				t.Fatalf("%q: an error and a result", text)
			}
			return
		}
		if id == "" || strings.Contains(id, ".") || len(hash) != 32 || len(text) > maxToken {
			t.Fatalf("%q gives id %q and %d octets", text, id, len(hash))
		}
	})
}
