package authres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWritten(t *testing.T) {
	for _, c := range []struct {
		name  string
		field Field
		want  string
	}{
		{"nothing checked", Field{ID: "mx.example.org"}, " mx.example.org; none"},
		{"DKIM", Field{ID: "mx.example.org", Results: []Result{{Method: "dkim", Value: "pass", Properties: []Property{
			{"header", "d", "example.net"}, {"header", "i", "@news.example.net"}, {"header", "s", "s1"}, {"header", "a", "rsa-sha256"}, {"header", "b", "abc+/=fg"},
		}}}}, " mx.example.org;\n\tdkim=pass header.d=example.net header.i=@news.example.net header.s=s1\n\theader.a=rsa-sha256 header.b=\"abc+/=fg\""},
		{"reason and comment", Field{ID: "a", Results: []Result{{Method: "dkim", Value: "fail", Comment: "2048-bit (key)", Reason: "body_hash_mismatch"}, {Method: "dmarc", Value: "none"}}},
			" a;\n\tdkim=fail (2048-bit ?key?) reason=\"body_hash_mismatch\";\n\tdmarc=none"},
		{"nothing gets out of its place", Field{ID: "a", Results: []Result{{Method: "spf", Value: "pass", Comment: "x) spf=fail\r\nBcc: y", Reason: "a\"; dkim=pass\r\n\r\nBody",
			Properties: []Property{{"smtp", "mailfrom", "x;dkim=pass@example.org"}, {"smtp", "helo", "a b\r\nX: y"}, {"header", "from", ""}}}}},
			" a;\n\tspf=pass (x? spf=fail??Bcc: y) reason=\"a\\\"; dkim=pass????Body\"\n\tsmtp.mailfrom=\"x;dkim=pass@example.org\" smtp.helo=\"a b??X: y\""},
		{"an address", Field{ID: "a", Results: []Result{{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "ann+x@example.org"}}}}}, " a;\n\tspf=pass smtp.mailfrom=ann+x@example.org"},
	} {
		if got := c.field.String(); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
	long := Field{ID: "a", Results: []Result{{Method: "dkim", Value: "pass", Reason: strings.Repeat("é", 300)}}}.String()
	if len(long) > 2*maxText || strings.Contains(long, "\xc3\"") {
		t.Errorf("%q", long)
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Field
		bad  bool
	}{
		// The examples of RFC 8601 appendix B.
		{in: " example.org 1; none", want: Field{ID: "example.org"}},
		{in: " example.com;\r\n spf=pass smtp.mailfrom=example.net", want: Field{ID: "example.com", Results: []Result{{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.net"}}}}}},
		{in: " example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net", want: Field{ID: "example.com", Results: []Result{
			{Method: "auth", Value: "pass", Properties: []Property{{"smtp", "auth", "sender@example.net"}}}, {Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.net"}}}}}},
		{in: " example.com;\r\n dkim=pass reason=\"good signature\"\r\n header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n header.i=@newyork.example.com",
			want: Field{ID: "example.com", Results: []Result{{Method: "dkim", Value: "pass", Reason: "good signature", Properties: []Property{{"header", "i", "@mail-router.example.net"}}},
				{Method: "dkim", Value: "fail", Reason: "bad signature", Properties: []Property{{"header", "i", "@newyork.example.com"}}}}}},
		// Its example of comments.
		{in: " foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) .expired\r\n (this surprised me) = 1362471462", bad: true},
		{in: " foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy.expired (this surprised me) = 1362471462",
			want: Field{ID: "foo.example.net", Results: []Result{{Method: "dkim", Value: "fail", Properties: []Property{{"policy", "expired", "1362471462"}}}}}},
		{in: "a; spf=pass smtp.mailfrom=\"odd one\"@example.org;", want: Field{ID: "a", Results: []Result{{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "odd one@example.org"}}}}}},
		{in: "", bad: true}, {in: "; none", bad: true}, {in: "a; dkim", bad: true}, {in: "a; dkim=", bad: true}, {in: "a b; none", bad: true}, {in: "a; none; dkim=pass", bad: true},
		{in: "a; (" + strings.Repeat("(", 100), bad: true}, {in: "a; dkim=pass header.d=\"open", bad: true}, {in: "a" + strings.Repeat("; x=y", maxResults+1), bad: true},
	} {
		got, err := Parse(c.in)
		if (err != nil) != c.bad {
			t.Errorf("%q: %v", c.in, err)
		}
		if !c.bad {
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%q: (-want +got)\n%s", c.in, d)
			}
		}
	}
}

// Whoever forges our id may dress it up as RFC 8601 allows.
func TestForgedIDs(t *testing.T) {
	for _, in := range []string{
		" mx.example.org; dkim=pass", "mx.example.org;", "mx.example.org", " MX.Example.ORG; none", " (c) mx.example.org; none", " (a (nested \\) one)) \r\n\tmx.example.org 1; none",
		" \"mx.example.org\"; none", " \"mx\\.example.org\"; none", "\r\n\tmx.example.org\r\n ; none", " mx.example.org.; none", " mx.example.org(x);none", " mx.example.org 1; garbage ;;; (",
	} {
		if got := ID(in); !SameID(got, "mx.example.org") {
			t.Errorf("%q: %q", in, got)
		}
	}
	for _, in := range []string{"", ";", " other.example.org; mx.example.org", " xmx.example.org; none", "(mx.example.org)", "(mx.example.org"} {
		if got := ID(in); SameID(got, "mx.example.org") {
			t.Errorf("%q is taken for ours", in)
		}
	}
}

func TestSignaturePrefixes(t *testing.T) {
	got := SignaturePrefixes([]string{"abcdefghijkl", "abcdefghijKL", "zzzzzzzzzz", "ab", "abcdefghijkl"})
	want := []string{"abcdefghijk", "abcdefghijK", "zzzzzzzz", "ab", "abcdefghijk"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// No value gets out of its place, and what is written is read back.
func FuzzField(f *testing.F) {
	f.Add(" example.com; dkim=pass (c) reason=\"x\" header.d=example.org; spf=fail smtp.mailfrom=a@b", "a\"b", "c;d")
	f.Add("(c) a 1; none", "\r\n", ")(")
	f.Fuzz(func(t *testing.T, in, value, reason string) {
		_ = ID(in)
		if parsed, err := Parse(in); err == nil && ID(in) != parsed.ID {
			t.Errorf("%q: ID says %q, Parse %q", in, ID(in), parsed.ID)
		}
		text := Field{ID: "mx.example.org", Results: []Result{
			{Method: "dkim", Value: "pass", Comment: reason, Reason: reason, Properties: []Property{{"header", "d", value}}}, {Method: "spf", Value: "none"},
		}}.String()
		for rest := text; ; {
			i := strings.IndexAny(rest, "\r\n\x00")
			if i < 0 {
				break
			}
			if rest[i] != '\n' || i+1 == len(rest) || rest[i+1] != '\t' {
				t.Fatalf("a line break that is no folding: %q", text)
			}
			rest = rest[i+1:]
		}
		got, err := Parse(text)
		if err != nil || got.ID != "mx.example.org" || len(got.Results) != 2 || got.Results[0].Method != "dkim" || got.Results[0].Value != "pass" || got.Results[1].Method != "spf" || got.Results[1].Value != "none" {
			t.Fatalf("%q is read as %+v, %v", text, got, err)
		}
		plain := func(s string) bool {
			return s != "" && len(s) < maxText && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-@_+") == ""
		}
		if plain(value) && got.Results[0].Get("header", "d") != value {
			t.Errorf("%q comes back as %q", value, got.Results[0].Get("header", "d"))
		}
	})
}
