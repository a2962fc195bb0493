package dkim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const testdata = "../../shared/testdata"

// recorder is a hash that keeps what it is given.
type recorder struct {
	hash.Hash
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.Buffer.Write(p) }
func (r *recorder) Sum(b []byte) []byte         { return b }
func (r *recorder) Reset()                      { r.Buffer.Reset() }

// canonicalBody runs a body through the canonicaliser in pieces that end at the cuts, and checks the counted length.
func canonicalBody(t testing.TB, c Canonicalization, body []byte, cuts ...int) string {
	var b bodyHash
	b.reset(c)
	var r recorder
	b.sinks = append(b.sinks, bodySink{hash: &r, limit: noLimit})
	at := 0
	for _, cut := range cuts {
		cut = min(max(cut, at), len(body))
		b.write(body[at:cut])
		at = cut
	}
	b.write(body[at:])
	b.finish()
	if b.total != int64(r.Len()) {
		t.Fatalf("total %d, hashed %d", b.total, r.Len())
	}
	return r.String()
}

var (
	referenceLineEndSpace = regexp.MustCompile("[ \t]+\r\n")
	referenceSpace        = regexp.MustCompile("[ \t]+")
	referenceEmptyLines   = regexp.MustCompile("(\r\n)+$")
	referenceFold         = regexp.MustCompile("\r\n([ \t])")
)

// referenceBody is RFC 6376 §3.4.3 and §3.4.4 word by word, on the whole body at once.
func referenceBody(c Canonicalization, body string) string {
	if c == Relaxed {
		body = referenceLineEndSpace.ReplaceAllString(body, "\r\n")
		body = strings.TrimRight(body, " \t") // a last line without line end is a line too
		body = referenceSpace.ReplaceAllString(body, " ")
	}
	body = referenceEmptyLines.ReplaceAllString(body, "")
	if c == Relaxed && body == "" {
		return ""
	}
	return body + "\r\n"
}

// referenceField is RFC 6376 §3.4.2 word by word; the field ends with CRLF.
func referenceField(field string) string {
	name, value, _ := strings.Cut(strings.TrimSuffix(field, "\r\n"), ":")
	value = referenceFold.ReplaceAllString(value, "$1")
	value = referenceSpace.ReplaceAllString(value, " ")
	lowered := []byte(name)
	for i, c := range lowered {
		lowered[i] = lower(c)
	}
	return strings.TrimRight(string(lowered), " \t") + ":" + strings.Trim(value, " ") + "\r\n"
}

func canonicalField(field string, c Canonicalization) string {
	colon := strings.IndexByte(field, ':')
	nameEnd := len(strings.TrimRight(field[:colon], " \t"))
	return string(appendCanonicalField(nil, []byte(field), nameEnd, colon, c))
}

func TestCanonicalizationVectors(t *testing.T) {
	var rfc struct {
		Hashes   map[string]string `json:"body_hashes_of_empty_body"`
		Examples []struct {
			HeaderIn      string `json:"header_in"`
			BodyIn        string `json:"body_in"`
			HeaderRelaxed string `json:"header_relaxed"`
			BodyRelaxed   string `json:"body_relaxed"`
			HeaderSimple  string `json:"header_simple"`
			BodySimple    string `json:"body_simple"`
		} `json:"examples"`
	}
	readVectors(t, "dkim/rfc/canonicalization.json", &rfc)
	for _, e := range rfc.Examples {
		check := func(what, got, want string) {
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		check("relaxed body", canonicalBody(t, Relaxed, []byte(e.BodyIn)), e.BodyRelaxed)
		check("simple body", canonicalBody(t, Simple, []byte(e.BodyIn)), e.BodySimple)
		var relaxed, simple string
		for _, field := range regexp.MustCompile("(?s)[^\r]+?:.*?\r\n(?:[ \t].*?\r\n)*").FindAllString(e.HeaderIn, -1) {
			relaxed += canonicalField(field, Relaxed)
			simple += canonicalField(field, Simple)
		}
		check("relaxed header", relaxed, e.HeaderRelaxed)
		check("simple header", simple, e.HeaderSimple)
	}
	for c, want := range map[Canonicalization]string{Simple: rfc.Hashes["simple_sha256"], Relaxed: rfc.Hashes["relaxed_sha256"]} {
		var b bodyHash
		b.reset(c)
		b.sink(noLimit)
		b.finish()
		if got := base64.StdEncoding.EncodeToString(b.sinks[0].sum[:]); got != want {
			t.Errorf("hash of the empty %s body %s, want %s", c, got, want)
		}
	}
	if len(rfc.Examples) < 1 || len(rfc.Hashes) < 4 {
		t.Errorf("%d examples, %d hashes: the vectors shrank", len(rfc.Examples), len(rfc.Hashes))
	}

	var other struct {
		Tables map[string][][2]string `json:"tables"`
	}
	readVectors(t, "dkim/go-msgauth/canonicalization.json", &other)
	ran, left := 0, 0
	for table, pairs := range other.Tables {
		for _, pair := range pairs {
			// That library turns a bare CR or LF into CRLF; here it is content (docs/conformance.md).
			if strings.ContainsAny(strings.ReplaceAll(pair[0], "\r\n", ""), "\r\n") {
				left++
				continue
			}
			ran++
			var got string
			switch table {
			case "simpleCanonicalizerBodyTests":
				got = canonicalBody(t, Simple, []byte(pair[0]))
			case "relaxedCanonicalizerBodyTests":
				got = canonicalBody(t, Relaxed, []byte(pair[0]))
			case "relaxedCanonicalizerHeaderTests":
				got = canonicalField(pair[0], Relaxed)
			default:
				t.Fatalf("unknown table %s", table)
			}
			if got != pair[1] {
				t.Errorf("%s: %q gives %q, want %q", table, pair[0], got, pair[1])
			}
		}
	}
	t.Logf("rfc: %d examples, %d hashes; go-msgauth: %d pairs, %d with bare line ends left out", len(rfc.Examples), len(rfc.Hashes), ran, left)
	if ran < 21 {
		t.Errorf("%d pairs ran, want at least 21", ran)
	}
}

func readVectors(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// bodyText draws bodies in which everything that canonicalisation looks at is frequent.
func bodyText(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "word", "a line of words that is longer than eight octets", " ", "  ", "\t", " \t", "\r\n", "\r\n\r\n", " \r\n", "\t\r\n", "\r", "\n",
		"\r\r\n", "\x00", " \x01", ".", "\x80\xff", "12345678", "1234567 ",
	}), 0, 40).Draw(t, "parts")
	return strings.Join(parts, "")
}

// TestBodyAgainstReference compares with the slow reference for any body in any chunks.
func TestBodyAgainstReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := bodyText(rt)
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(body)), 0, 8).Draw(rt, "cuts")
		slices.Sort(cuts)
		for _, c := range []Canonicalization{Relaxed, Simple} {
			if got, want := canonicalBody(t, c, []byte(body), cuts...), referenceBody(c, body); got != want {
				rt.Fatalf("%s body %q cut at %v: %q, want %q", c, body, cuts, got, want)
			}
		}
	})
}

// TestBodyInSingleOctets feeds every short body over a small alphabet one octet at a time, and at once.
func TestBodyInSingleOctets(t *testing.T) {
	const alphabet = "a \t\r\n"
	const longest = 6
	body := make([]byte, 0, longest)
	var all func()
	all = func() {
		for _, c := range []Canonicalization{Relaxed, Simple} {
			want := referenceBody(c, string(body))
			if got := canonicalBody(t, c, body); got != want {
				t.Fatalf("%s body %q: %q, want %q", c, body, got, want)
			}
			cuts := make([]int, len(body))
			for i := range cuts {
				cuts[i] = i
			}
			if got := canonicalBody(t, c, body, cuts...); got != want {
				t.Fatalf("%s body %q by octets: %q, want %q", c, body, got, want)
			}
		}
		if len(body) == longest {
			return
		}
		for i := range len(alphabet) {
			body = append(body, alphabet[i])
			all()
			body = body[:len(body)-1]
		}
	}
	all()
}

// TestUnevenSpaceAtEveryPosition moves each kind of white space over all places of three blocks of 32 octets.
func TestUnevenSpaceAtEveryPosition(t *testing.T) {
	for _, special := range []string{"\t", "  ", " \t", " \r", " \x01", " ", " \n", "\xff ", "\x89", "\xa0 ", " (", " -  ", "\xa0\xa0", " \xa0", "! ", " \x00 \t"} {
		for at := range 100 {
			for _, end := range []int{1, 2, 7, 8, 31, 32, 33, 70} {
				text := strings.Repeat("x", at) + special + strings.Repeat("y", end)
				tab := strings.IndexByte(text, '\t')
				if tab < 0 {
					tab = len(text)
				}
				for _, from := range []int{0, at / 2, at} {
					want := tab
					for k := from; k < tab; k++ {
						if text[k] == ' ' && strings.IndexByte(" \t\r", text[k+1]) >= 0 {
							want = k
							break
						}
					}
					if got := nextUnevenSpace([]byte(text), from, tab); got != want {
						t.Fatalf("nextUnevenSpace(%q, %d, %d) = %d, want %d", text, from, tab, got, want)
					}
				}
			}
		}
	}
}

// TestBodyLengths checks that each sink gets exactly its first octets.
func TestBodyLengths(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := bodyText(rt)
		limit := rapid.Int64Range(0, int64(len(body))+4).Draw(rt, "limit")
		cut := rapid.IntRange(0, len(body)).Draw(rt, "cut")
		for _, c := range []Canonicalization{Relaxed, Simple} {
			var b bodyHash
			b.reset(c)
			var all, some recorder
			b.sinks = []bodySink{{hash: &all, limit: noLimit}, {hash: &some, limit: limit}}
			b.write([]byte(body[:cut]))
			b.write([]byte(body[cut:]))
			b.finish()
			want := all.String()
			want = want[:min(len(want), int(limit))]
			if some.String() != want {
				rt.Fatalf("%s: first %d octets %q, want %q", c, limit, some.String(), want)
			}
		}
	})
}

func TestFieldAgainstReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"Subject", "X-a", "FROM", "x_1", "A\x21~"}).Draw(rt, "name")
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "Word", "more words in one", " ", "  ", "\t", "\r\n ", "\r\n\t ", "\r\n  \r\n ", ":", "\x00", "é", "\r", "\n", "=?utf-8?q?x?=",
		}), 0, 12).Draw(rt, "parts")
		field := name + rapid.SampledFrom([]string{":", " :", ": ", "\t:\t"}).Draw(rt, "colon") + strings.Join(parts, "") + "\r\n"
		// A CR before a fold would make another line end of it; splitField refuses what is no single field.
		if _, ok := splitField([]byte(strings.TrimSuffix(field, "\r\n"))); !ok {
			rt.Skip("not one field")
		}
		if got, want := canonicalField(field, Relaxed), referenceField(field); got != want {
			rt.Fatalf("relaxed %q: %q, want %q", field, got, want)
		}
		if got := canonicalField(field, Simple); got != field {
			rt.Fatalf("simple %q: %q", field, got)
		}
	})
}

// FuzzBody compares with the reference on arbitrary octets and chunks.
func FuzzBody(f *testing.F) {
	for _, data := range seedMessages(f) {
		if _, body, ok := bytes.Cut(data, []byte("\r\n\r\n")); ok && len(body) < 2000 {
			f.Add(body, uint64(1))
		}
	}
	f.Add([]byte(" \t\r\n\r\n a\tb \r"), uint64(7))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		var cuts []int
		for at := 0; at < len(body); {
			at += 1 + r.IntN(20)
			cuts = append(cuts, at)
		}
		for _, c := range []Canonicalization{Relaxed, Simple} {
			want := referenceBody(c, string(body))
			if got := canonicalBody(t, c, body); got != want {
				t.Fatalf("%s %q: %q, want %q", c, body, got, want)
			}
			if got := canonicalBody(t, c, body, cuts...); got != want {
				t.Fatalf("%s %q cut at %v: %q, want %q", c, body, cuts, got, want)
			}
		}
	})
}

// seedMessages reads some messages of every source.
func seedMessages(f *testing.F) [][]byte {
	var seeds [][]byte
	for _, source := range []string{"rfc", "dkimpy", "go-msgauth", "mox", "mail-dkim", "signed-matrix"} {
		paths, err := filepath.Glob(filepath.Join(testdata, "dkim", source, "*.eml"))
		if err != nil || len(paths) == 0 {
			f.Fatalf("no messages of %s: %v", source, err)
		}
		for _, path := range paths[:min(len(paths), 12)] {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			seeds = append(seeds, data)
		}
	}
	return seeds
}
