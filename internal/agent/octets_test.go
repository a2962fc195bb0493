package agent

import (
	"strings"
	"testing"
)

func TestBodyScanInAnyChunks(t *testing.T) {
	line := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		name, body string
		want       Reason
	}{
		{"empty", "", signed},
		{"lines", "one\r\ntwo\r\n", signed},
		{"no final line end", "one\r\ntwo", signed},
		{"blank lines", "\r\n\r\n", signed},
		{"8-bit", "Gr\xfc\xdfe\r\n", signed},
		{"longest line", line + "\r\n" + line, signed},
		{"bare CR", "one\rtwo\r\n", ReasonBareCR},
		{"CR CR LF", "one\r\r\n", ReasonBareCR},
		{"final CR", "one\r", ReasonBareCR},
		{"bare LF", "one\ntwo\r\n", ReasonBareLF},
		{"first LF", "\none", ReasonBareLF},
		{"smuggled end", "one\r\n.\n", ReasonBareLF},
		{"NUL", "one\x00two", ReasonNUL},
		{"long line", line + "x\r\n", ReasonLongLine},
		{"long last line", "one\r\nx" + line, ReasonLongLine},
	} {
		for size := 1; size <= len(c.body)+1; size++ {
			if size > 5 && size < len(c.body)-2 && size != maxLine && size != maxLine+1 {
				continue
			}
			var s bodyScan
			got := signed
			for rest := c.body; rest != "" && got == signed; rest = rest[min(size, len(rest)):] {
				got = s.scan([]byte(rest[:min(size, len(rest))]))
			}
			if got == signed {
				got = s.end()
			}
			if got != c.want {
				t.Errorf("%s in chunks of %d: %q, want %q", c.name, size, got, c.want)
			}
			if c.name == "8-bit" && !s.eightBit {
				t.Errorf("%s in chunks of %d: not noticed", c.name, size)
			}
		}
	}
	s := bodyScan{allowAny: true}
	if got := s.scan([]byte(strings.Repeat("x", 5000) + "\r\n")); got != signed {
		t.Errorf("long lines allowed: %q", got)
	}
}

func TestFieldsAreMadeAsTheyWillBeSent(t *testing.T) {
	for _, c := range []struct {
		name, field, value string
		unspaced           bool
		want               string
		reason             Reason
	}{
		{name: "plain", field: "Subject", value: " hello", want: "Subject: hello\r\n"},
		{name: "blank kept by the MTA", field: "Subject", value: "hello", unspaced: true, want: "Subject: hello\r\n"},
		{name: "no blank", field: "Subject", value: "hello", want: "Subject:hello\r\n"},
		{name: "empty", field: "Cc", value: "", want: "Cc:\r\n"},
		{name: "folds with LF", field: "To", value: " a,\n\tb,\n c", want: "To: a,\r\n\tb,\r\n c\r\n"},
		{name: "folds with CRLF", field: "To", value: " a,\r\n\tb", want: "To: a,\r\n\tb\r\n"},
		{name: "long but folded", field: "To", value: strings.Repeat("\n "+strings.Repeat("x", 900), 5), want: "To:" + strings.Repeat("\r\n "+strings.Repeat("x", 900), 5) + "\r\n"},
		{name: "longest line", field: "X", value: strings.Repeat("x", maxLine-2), want: "X:" + strings.Repeat("x", maxLine-2) + "\r\n"},
		{name: "too long a line", field: "X", value: strings.Repeat("x", maxLine-1), reason: ReasonLongLine},
		{name: "fold without white space", field: "To", value: " a\nBcc: b", reason: ReasonHeaderSyntax},
		{name: "fold at the end", field: "To", value: " a\n", reason: ReasonHeaderSyntax},
		{name: "bare CR", field: "To", value: " a\rb", reason: ReasonBareCR},
		{name: "bare CR at the end", field: "To", value: " a\r", reason: ReasonBareCR},
		{name: "NUL", field: "To", value: " a\x00b", reason: ReasonNUL},
		{name: "no name", field: "", value: " a", reason: ReasonHeaderSyntax},
		{name: "blank in the name", field: "To ", value: " a", reason: ReasonHeaderSyntax},
		{name: "colon in the name", field: "T:o", value: " a", reason: ReasonHeaderSyntax},
		{name: "8-bit name", field: "Tö", value: " a", reason: ReasonHeaderSyntax},
		{name: "line end in the name", field: "To\r\nBcc", value: " a", reason: ReasonHeaderSyntax},
	} {
		got, reason := appendField(nil, []byte(c.field), []byte(c.value), !c.unspaced, false)
		if reason != c.reason || reason == signed && string(got) != c.want {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, got, reason, c.want, c.reason)
		}
	}
	if _, reason := appendField(nil, []byte("X"), []byte(strings.Repeat("x", 5000)), true, true); reason != signed {
		t.Errorf("long lines allowed: %q", reason)
	}
}
