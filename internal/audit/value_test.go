package audit

import (
	"slices"
	"testing"
)

func TestReadValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, text string
		strings     []string
	}{
		{"v=DKIM1; p=", "v=DKIM1; p=", nil},
		{"v=DKIM1; p=\r\n", "v=DKIM1; p=", nil},
		{"", "", nil},
		{`"v=DKIM1; " "p="`, "v=DKIM1; p=", []string{"v=DKIM1; ", "p="}},
		{`"v=DKIM1; ""p="`, "v=DKIM1; p=", []string{"v=DKIM1; ", "p="}},
		{"\"a\"\n\t\"b\"\n", "ab", []string{"a", "b"}},
		{`("a" "b")`, "ab", []string{"a", "b"}},
		{"( \"a\" ; first ) \"part\n\t\"b;\" ) ; end", "ab;", []string{"a", "b;"}},
		{`"\059\\\"\;\x"`, `;\";x`, []string{`;\";x`}},
		{`mx1._domainkey 3600 IN TXT "a" "b"`, "ab", []string{"a", "b"}},
		{`mx1._domainkey.example.org. TXT ( "a" )`, "a", []string{"a"}},
		{`@ 1h TXT "a"`, "a", []string{"a"}},
		{`""`, "", []string{""}},
		// Not in that form: the quotes are part of the record.
		{`"a`, `"a`, nil},
		{`"a" b`, `"a" b`, nil},
		{`("a"`, `("a"`, nil},
		{`("a")"b"`, `("a")"b"`, nil},
		{`"a\`, `"a\`, nil},
		{`"a")`, `"a")`, nil},
		{`()`, `()`, nil},
		{`v=DKIM1; p="a"`, `v=DKIM1; p="a"`, nil},
		{`v=DKIM1; n=see TXT "a"`, `v=DKIM1; n=see TXT "a"`, nil},
	} {
		v := ReadValue(c.value)
		if v.Text != c.text || !slices.Equal(v.Strings, c.strings) || (v.Strings == nil) != (c.strings == nil) {
			t.Errorf("%q: %q", c.value, v)
		}
	}
}
