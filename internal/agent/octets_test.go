package agent

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
)

// slowScan is bodyScan octet by octet, for comparison.
type slowScan struct {
	line     int
	cr       bool
	allowAny bool
	eightBit bool
}

func (s *slowScan) scan(chunk []byte) Reason {
	nul, reason := false, signed
	for _, c := range chunk {
		s.eightBit = s.eightBit || c >= 0x80
		nul = nul || c == 0
		if reason != signed {
			continue
		}
		switch {
		case s.cr && c != '\n':
			reason = ReasonBareCR
		case s.cr:
			s.cr, s.line = false, 0
		case c == '\n':
			reason = ReasonBareLF
		case c == '\r':
			s.cr = true
			if s.line > maxLine && !s.allowAny {
				reason = ReasonLongLine
			}
		default:
			s.line++
		}
	}
	if nul {
		return ReasonNUL
	}
	if reason == signed && s.line > maxLine && !s.allowAny {
		reason = ReasonLongLine
	}
	return reason
}

// compareScans scans the same chunks both ways. Each size cuts one chunk off; the rest follows in one.
func compareScans(t *testing.T, body []byte, sizes []byte, allowAny bool) {
	t.Helper()
	fast, slow := bodyScan{allowAny: allowAny}, slowScan{allowAny: allowAny}
	for rest := body; ; {
		n := len(rest)
		if len(sizes) > 0 {
			n, sizes = min(n, int(sizes[0])), sizes[1:]
		}
		got, want := fast.scan(rest[:n:n]), slow.scan(rest[:n])
		if got != want {
			t.Fatalf("%q, chunk of %d: %q, want %q", body, n, got, want)
		}
		if got != signed {
			return
		}
		if rest = rest[n:]; len(rest) == 0 && len(sizes) == 0 {
			break
		}
	}
	if (fast.end() == signed) == slow.cr || fast.eightBit != slow.eightBit {
		t.Fatalf("%q: CR at the end %t, want %t; 8-bit %t, want %t", body, fast.end() != signed, slow.cr, fast.eightBit, slow.eightBit)
	}
}

func FuzzBodyScan(f *testing.F) {
	f.Add([]byte("one\r\ntwo\r\n"), []byte{1, 4, 0, 1}, false)
	f.Add([]byte(strings.Repeat("x", maxLine)+"\r\n"), []byte{255, 255, 255, 233, 1}, false)
	f.Add([]byte(strings.Repeat("x", maxLine+1)+"\r\n\x00"), []byte{}, false)
	f.Add([]byte("\r\r\n\xff\n\x00"), []byte{2}, true)
	f.Fuzz(compareScans)
}

// What real bodies are made of, a wrong octet here and there.
func TestBodyScanIsTheSlowOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := []string{"\r\n", "\r\n", "\r\n", "words ", "\t", "Gr\xc3\xbc\xc3\x9fe", strings.Repeat("a", 76), strings.Repeat("b", 990), "\x0e", "\x0b", "\x7f"}
	wrong := []string{"\r", "\n", "\x00", "\r\r\n", "\n\r"}
	for range 20_000 {
		var body []byte
		for range r.IntN(30) {
			if r.IntN(100) == 0 {
				body = append(body, wrong[r.IntN(len(wrong))]...)
			}
			body = append(body, parts[r.IntN(len(parts))]...)
		}
		sizes := make([]byte, r.IntN(10))
		for i := range sizes {
			sizes[i] = byte(r.IntN(256))
		}
		compareScans(t, body, sizes, r.IntN(4) == 0)
	}
}

// BenchmarkBodyScan looks at pieces as they come from the socket.
func BenchmarkBodyScan(b *testing.B) {
	raw := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, again and again. "), 1000)
	base := base64.StdEncoding.EncodeToString(raw)
	for name, line := range map[string]func(i int) string{
		"base64": func(i int) string { return base[i : i+76] },
		"prose":  func(i int) string { return string(raw[i : i+20+i*7%60]) },
	} {
		var piece []byte
		for i := 0; len(piece) < 64<<10; i = (i + 76) % 50_000 {
			piece = append(append(piece, line(i)...), "\r\n"...)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(piece)))
			var s bodyScan
			for b.Loop() {
				if r := s.scan(piece); r != signed {
					b.Fatal(r)
				}
			}
		})
	}
}

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
