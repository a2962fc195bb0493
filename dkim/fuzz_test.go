package dkim

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// FuzzTagList: the spans lie in the text, names are unique, and what is read is what stands there.
func FuzzTagList(f *testing.F) {
	f.Add("v=1; a = rsa-sha256 ;\r\n\tb=abc\r\n def; c=;")
	f.Add("v=DKIM1; p=AAAA; n=a b; x_1=;")
	f.Add(";")
	f.Add("a=1;;b=2")
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := ParseTagList(text)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		rest := text
		for _, tag := range tags {
			if seen[tag.Name] || tag.Name == "" || strings.Trim(tag.Value, " \t\r\n") != tag.Value || strings.Contains(tag.Value, ";") {
				t.Fatalf("%q: %+v", text, tags)
			}
			seen[tag.Name] = true
			// The tags stand in the text in this order.
			_, after, ok := strings.Cut(rest, tag.Name)
			if !ok {
				t.Fatalf("%q: no %q in %q", text, tag.Name, rest)
			}
			_, after, ok = strings.Cut(after, "=")
			if !ok || !strings.HasPrefix(strings.TrimLeft(after, " \t\r\n"), tag.Value) {
				t.Fatalf("%q: no %q", text, tag.Value)
			}
			rest = strings.TrimLeft(after, " \t\r\n")[len(tag.Value):]
		}
		if strings.Trim(rest, "; \t\r\n") != "" {
			t.Fatalf("%q: %q is left", text, rest)
		}
	})
}

// FuzzSignature reads any DKIM-Signature value: a signature that parses has all that the later steps rely on.
func FuzzSignature(f *testing.F) {
	for _, data := range seedMessages(f) {
		fields, _ := referenceSplit(string(data))
		for _, field := range fields {
			if name, value, _ := strings.Cut(field, ":"); strings.EqualFold(name, signatureName) {
				f.Add(strings.TrimSuffix(value, "\r\n"))
			}
		}
	}
	key := ed25519Key(f)
	record := []string{recordOf(f, key)}
	f.Fuzz(func(t *testing.T, value string) {
		v := NewVerifier(VerifyOptions{Resolver: fixed(record), Now: func() time.Time { return time.Unix(1, 0) }})
		if err := v.Header([]byte("DKIM-Signature:" + value)); err != nil {
			return
		}
		if err := v.Header([]byte("From: a@b.example\r\n")); err != nil {
			t.Fatal(err)
		}
		v.EndOfHeaders()
		if len(v.sigs) != 1 {
			t.Fatal("no signature")
		}
		s := v.sigs[0]
		if s.reason == "" {
			raw := v.block.raw(s.field)
			if s.keyName == "" || s.algorithm == "" || !s.canonical || s.bFrom <= 0 || s.bTo < s.bFrom || s.bTo > len(raw)-2 || raw[s.bFrom-1] != '=' {
				t.Fatalf("%+v", s)
			}
		}
		v.Body([]byte("x\r\n"))
		results := v.Finish(t.Context())
		if len(results) != 1 || results[0].Result == Pass || results[0].Result == None || results[0].Err == nil {
			t.Fatalf("%+v", results)
		}
		// Nothing that goes into an Authentication-Results field may carry a line break or a control character.
		for _, text := range []string{results[0].Domain, results[0].Selector, results[0].Algorithm, results[0].Identity, results[0].Canonicalization} {
			if strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0 {
				t.Fatalf("%q", text)
			}
		}
	})
}

// FuzzMessage splits any octets into fields and body: all of them arrive, in order, whatever the reads.
func FuzzMessage(f *testing.F) {
	for _, data := range seedMessages(f) {
		if len(data) < 4000 {
			f.Add(data, uint16(7))
		}
	}
	f.Add([]byte("A: b\n c\n\nbody\r\nx\n"), uint16(1))
	f.Add([]byte("\r\n\r\n"), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		type parts struct {
			fields []string
			body   string
			err    error
		}
		split := func(strict bool, chunk int) (p parts) {
			m := messageReader{strict: strict,
				field: func(raw []byte) error { p.fields = append(p.fields, string(raw)); return nil },
				body:  func(b []byte) { p.body += string(b) },
			}
			p.err = m.read(&slowReader{data: data, chunk: chunk})
			return p
		}
		all, pieces := split(false, len(data)+1), split(false, int(size%64)+1)
		if all.err != nil || pieces.err != nil {
			t.Fatal(all.err, pieces.err)
		}
		if strings.Join(all.fields, "|") != strings.Join(pieces.fields, "|") || all.body != pieces.body {
			t.Fatalf("in pieces of %d: %q, at once: %q", size%64+1, pieces.fields, all.fields)
		}
		// Apart from line ends and the empty line between, nothing is lost.
		plain := func(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }
		if got := plain(strings.Join(all.fields, "") + all.body); got != plain(string(data)) {
			t.Fatalf("%q became %q", data, got)
		}
		strict := split(true, int(size%64)+1)
		if strict.err == nil {
			text := strings.Join(strict.fields, "") + strict.body
			lone := strings.NewReplacer("\r\n", "").Replace(text)
			if strings.ContainsAny(lone, "\r\n") {
				t.Fatalf("%q has lone line ends: %q", data, text)
			}
			if strict.body != all.body {
				t.Fatalf("%q: body %q, strictly %q", data, all.body, strict.body)
			}
		}
		if _, err := VerifyMessage(t.Context(), bytes.NewReader(data), VerifyOptions{Resolver: fixed{}}); err != nil {
			t.Fatal(err)
		}
	})
}

// slowReader gives so many octets at a time.
type slowReader struct {
	data  []byte
	chunk int
}

func (r *slowReader) Read(p []byte) (int, error) {
	n := copy(p, r.data[:min(len(r.data), r.chunk)])
	r.data = r.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
