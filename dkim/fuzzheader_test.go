package dkim

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// referenceValid is RFC 5322 §2.2 for one raw field without its last line end: a name of printable ASCII, a colon, and line breaks
// that fold.
var (
	referenceName  = regexp.MustCompile(`^[!-9;-~]+[ \t]*:`)
	referenceBreak = regexp.MustCompile(`(?s)\r\n([^ \t]|$)`)
)

func referenceValid(field string) bool {
	return referenceName.MatchString(field) && !referenceBreak.MatchString(field)
}

// referenceHeaderLines splits a message's header into raw fields, without their last line ends, by strings alone.
func referenceHeaderLines(message string) []string {
	if before, _, ok := strings.Cut(message, "\n"); ok && !strings.HasSuffix(before, "\r") {
		message = strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	}
	var fields []string
	for i, line := range strings.Split(message, "\r\n") {
		switch {
		case line == "":
			return fields
		case i > 0 && (line[0] == ' ' || line[0] == '\t'):
			fields[len(fields)-1] += "\r\n" + line
		default:
			fields = append(fields, line)
		}
	}
	return fields
}

// FuzzHeaderSplit: the fields of any octets are those of the reference, and the block keeps, counts and finds exactly the valid ones.
func FuzzHeaderSplit(f *testing.F) {
	for _, data := range seedMessages(f) {
		if len(data) < 4000 {
			f.Add(data, uint16(7))
		}
	}
	f.Add([]byte("A: b\n c\nB : d\n\nbody\r\nx\n"), uint16(1))
	f.Add([]byte("From: a\r\nno colon\r\nTo: x"), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		if len(data) > MaxHeaderBytes/2 {
			return
		}
		var got []string
		var block fieldBlock
		m := messageReader{
			field: func(raw []byte) error {
				got = append(got, strings.TrimSuffix(string(raw), "\r\n"))
				if err := block.add(raw); (err == nil) != referenceValid(got[len(got)-1]) {
					t.Fatalf("field %q: %v", raw, err)
				}
				return nil
			},
			body: func([]byte) {},
		}
		if err := m.read(&slowReader{data: data, chunk: int(size%64) + 1}); err != nil {
			t.Fatal(err)
		}
		want := referenceHeaderLines(string(data))
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", data, got, want)
		}
		counts, names := map[string]int{}, []string{}
		for _, field := range want {
			if referenceValid(field) {
				name, _, _ := strings.Cut(field, ":")
				names = append(names, strings.TrimRight(name, " \t"))
				counts[strings.ToLower(names[len(names)-1])]++
			}
		}
		if len(block.fields) != len(names) {
			t.Fatalf("%q: %d fields, want %d", data, len(block.fields), len(names))
		}
		block.startRound()
		for i, name := range names {
			if string(block.name(i)) != name || block.count([]byte(name)) != counts[strings.ToLower(name)] {
				t.Fatalf("%q: field %d is %q, %d of them", data, i, block.name(i), block.count([]byte(name)))
			}
		}
		// Taking a name as often as it is there gives its fields from the bottom up, then none.
		for name, n := range counts {
			last := len(names)
			for range n {
				i := block.take([]byte(strings.ToUpper(name)))
				if i < 0 || i >= last || strings.ToLower(names[i]) != name {
					t.Fatalf("%q: took %d of %q after %d", data, i, name, last)
				}
				last = i
			}
			if i := block.take([]byte(name)); i >= 0 {
				t.Fatalf("%q: took %d of %q once more", data, i, name)
			}
		}
	})
}

// FuzzHeaderCanonical compares the header canonicaliser with the reference on any octets that are one field.
func FuzzHeaderCanonical(f *testing.F) {
	for _, seed := range []string{"A: X", "B : Y\t\r\n\tZ  ", "Subject:\r\n \r\n x \x00\t", "X:\r", "X: a\r \n b", "X:a\n b", ": x", "Na me: x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		parts, ok := splitField(field)
		if ok != referenceValid(string(field)) {
			t.Fatalf("%q: one field: %t", field, ok)
		}
		if !ok || bytes.HasSuffix(field, []byte("\r")) { // a CR before the line end that follows would be part of it
			return
		}
		raw := string(field) + "\r\n"
		if got, want := string(appendCanonicalField(nil, []byte(raw), parts.nameEnd, parts.colon, Relaxed)), referenceField(raw); got != want {
			t.Fatalf("relaxed %q: %q, want %q", raw, got, want)
		}
		if got := string(appendCanonicalField(nil, []byte(raw), parts.nameEnd, parts.colon, Simple)); got != raw {
			t.Fatalf("simple %q: %q", raw, got)
		}
	})
}

// FuzzExplain signs one body and mails another, with a field added: every mismatch is explained in words that are fit to print, and
// what an unchanged canonical form cannot have suffered is never proven.
func FuzzExplain(f *testing.F) {
	key := ed25519Key(f)
	opts := VerifyOptions{Resolver: fixed{recordOf(f, key)}, Now: func() time.Time { return time.Unix(1, 0) }}
	f.Add([]byte("Hello\r\n"), []byte("Hello\r\nfooter\r\n"), "", true)
	f.Add([]byte("From me\r\n.x\r\n"), []byte(">From me\r\n..x\r\n"), "Subject: x", false)
	f.Add([]byte("Gr\xc3\xbc\xc3\x9fe = x\r\n"), []byte("Gr=C3=BC=C3=9Fe =3D=\r\n x\r\n"), "From: y", true)
	f.Add([]byte("Hello\r\n"), []byte("SGVsbG8NCg==\r\n"), "Cc: \x1b[31m", false)
	f.Fuzz(func(t *testing.T, before, after []byte, extra string, relaxed bool) {
		c := "simple/simple"
		canon := Simple
		if relaxed {
			c, canon = "relaxed/relaxed", Relaxed
		}
		signed := referenceSign(t, key, explainedHeader+"\r\n"+string(before), "v=1; a=ed25519-sha256; c="+c+"; d=sign.example; s=s; h=from:subject:subject:cc; bh=; b=")
		header := strings.TrimSuffix(signed, "\r\n"+string(before))
		if referenceValid(extra) && !strings.ContainsAny(extra, "\r\n") {
			header += extra + "\r\n"
		}
		text := header + "\r\n" + string(after)
		results, err := VerifyMessage(t.Context(), strings.NewReader(text), opts)
		if err != nil || len(results) == 0 {
			t.Fatal(results, err)
		}
		e, err := Explain(t.Context(), opener(text), opts, results[0])
		if err != nil {
			t.Fatal(err)
		}
		mismatch := results[0].Reason == ReasonBodyHashMismatch || results[0].Reason == ReasonSignatureMismatch
		if mismatch != (e.Cause != "") || mismatch != (e.Text != "") || e.Proven && !mismatch {
			t.Fatalf("%v: %+v", results[0].Err, e)
		}
		if same := referenceBody(canon, string(before)) == referenceBody(canon, string(after)); same == (results[0].Reason == ReasonBodyHashMismatch) {
			t.Fatalf("%q to %q: %v", before, after, results[0].Err)
		}
		if strings.IndexFunc(e.Text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Fatalf("%q", e.Text)
		}
	})
}
