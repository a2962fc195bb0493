package report

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/postseal/postseal/dmarc"
)

// allocated is how many octets some work takes from the heap in all, whether they are given back or not: it bounds memory and, with it, most of the time.
func allocated(work func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// overlapping is a zip archive whose n files are the same compressed octets (as in zip bombs that need no nesting): it inflates to n times what it holds.
func overlapping(t *testing.T, n, level int, content []byte) []byte {
	t.Helper()
	var packed, out bytes.Buffer
	w, err := flate.NewWriter(&packed, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	w.Close()
	sum := crc32.ChecksumIEEE(content)
	le := func(size int, v uint64) {
		for range size {
			out.WriteByte(byte(v))
			v >>= 8
		}
	}
	sizes := func() { // version, flags, method, time, date, CRC, sizes, name's length
		le(2, 20)
		le(2, 0)
		le(2, uint64(zip.Deflate))
		le(4, 0)
		le(4, uint64(sum))
		le(4, uint64(packed.Len()))
		le(4, uint64(len(content)))
		le(2, 1)
	}
	out.WriteString("PK\x03\x04")
	sizes()
	le(2, 0)
	out.WriteString("a")
	out.Write(packed.Bytes())
	directory := out.Len()
	for range n {
		out.WriteString("PK\x01\x02")
		le(2, 20)
		sizes()
		le(2+2+2+2, 0)
		le(4, 0)
		le(4, 0) // where the file begins: all at the same place
		out.WriteString("a")
	}
	size := out.Len() - directory
	out.WriteString("PK\x05\x06")
	le(4, 0)
	le(2, uint64(n))
	le(2, uint64(n))
	le(4, uint64(size))
	le(4, uint64(directory))
	le(2, 0)
	return out.Bytes()
}

// nested is an archive of archives of archives: each holds the one within it wide times.
func nested(wide, deep int) []byte {
	inner := []byte(small)
	for range deep {
		var files []string
		for i := range wide {
			files = append(files, fmt.Sprint(i), string(inner))
		}
		inner = zipOf(files...)
	}
	return inner
}

// inflatedIn counts what comes out of a document, as Parse sees it.
func inflatedIn(documents []Document) (octets int64) {
	for _, d := range documents {
		n, _ := io.Copy(io.Discard, d.open())
		octets += n
	}
	return octets
}

// One input takes bounded memory and work, whatever it consists of.
func TestHostileInputs(t *testing.T) {
	long := []byte(strings.Replace(small, "<record>", strings.Repeat(" ", 40<<20)+"<record>", 1))
	for what, c := range map[string]struct {
		in      []byte
		problem string
		heap    int64 // octets taken in all
	}{
		"overlapping files":          {overlapping(t, 64, flate.BestCompression, long), "inflates to more", 64 << 20},
		"many overlapping files":     {overlapping(t, 60_000, flate.BestSpeed, []byte(small)), "files", 64 << 20},
		"archives in archives":       {nested(16, 5), "", 256 << 20},
		"a list of policies":         {[]byte(`{"report-id":"x","policies":[` + strings.Repeat(`{},`, 5<<20) + `{}]}`), "", 256 << 20},
		"a list of failures":         {[]byte(`{"report-id":"x","policies":[` + strings.Repeat(`{"failure-details":[`+strings.Repeat(`{},`, 9999)+`{}]},`, 500) + `{}]}`), "", 256 << 20},
		"a list of names":            {[]byte(`{"report-id":"x","policies":[{"policy":{"mx-host":[` + strings.Repeat(`"",`, 5<<20) + `""]}}]}`), "", 256 << 20},
		"arrays in arrays":           {[]byte(`{"report-id":` + strings.Repeat(`[`, 8<<20)), "no TLS report", 256 << 20},
		"a field that is folded":     {[]byte("Feedback-Type: auth-failure\nReported-Domain: example.com\nA: b\n" + strings.Repeat(" a\n", 1<<20)), "", 128 << 20},
		"fields":                     {[]byte("Feedback-Type: auth-failure\nReported-Domain: example.com\n" + strings.Repeat("A:\n", 1<<20)), "", 256 << 20},
		"a header that is folded":    {[]byte("Subject: x\n" + strings.Repeat(" a\n", 5<<20) + "\nx"), "", 256 << 20},
		"members of gzip":            {bytes.Repeat(gz(nil), 1<<18), "", 64 << 20},
		"base64 of base64":           {[]byte(strings.Repeat("QUFB", 1<<20)), "", 64 << 20},
		"a mail of open multiparts":  {[]byte("MIME-Version: 1.0\n" + strings.Repeat("Content-Type: multipart/mixed; boundary=a\n\n--a\n", 1<<16)), "", 512 << 20},
		"a stored file that is long": {zipOf("r.xml", string(long)), "inflates to more", 64 << 20},
	} {
		t.Run(what, func(t *testing.T) {
			var problems []string
			var read string
			used := allocated(func() { read, problems = found(t, c.in) })
			said := strings.Join(problems, "; ")
			if !strings.Contains(said, c.problem) || read == "" && len(problems) == 0 {
				t.Errorf("read %.100q, problems %.300q, want %q", read, said, c.problem)
			}
			if used > c.heap {
				t.Errorf("%d MiB were taken, more than %d", used>>20, c.heap>>20)
			}
			if len(problems) > maxProblems {
				t.Errorf("%d problems", len(problems))
			}
		})
	}
}

// All documents of an input together inflate to no more than is allowed for one input; reading one again is not counted again.
func TestInflatedInAll(t *testing.T) {
	// Words of chance, so that each document may inflate to all that it has.
	text := []byte("<feedback><!--")
	for n := uint32(1); len(text) < 30<<20; n = n*1664525 + 1013904223 {
		text = append(text, strings.Repeat(string('a'+rune(n>>28)), int(n>>20&0xff))...)
	}
	archive := overlapping(t, 20, flate.BestSpeed, append(text, strings.Replace(small, "<feedback>", "-->", 1)...))
	documents, problems := Open("in", archive)
	if len(documents) != 20 || len(problems) > 0 {
		t.Fatalf("%d documents, %v", len(documents), problems)
	}
	first := inflatedIn(documents)
	if first > maxInflatedInAll || first < maxInflatedInAll/2 {
		t.Errorf("%d MiB came out", first>>20)
	}
	if again := inflatedIn(documents[:1]); again == 0 {
		t.Error("a document that was read cannot be read again")
	}
}

// What a stream inflates to is read as far as its limit, and not one octet further.
func TestInflatingStops(t *testing.T) {
	endless := &endlessZeros{}
	budget := int64(1 << 40)
	l := &inflating{r: endless, left: 1 << 20, budget: &budget, seen: new(int64)}
	n, err := io.Copy(io.Discard, l)
	if n != 1<<20 || err == nil || endless.n > 1<<20+1 {
		t.Errorf("%d octets came out and %d went in, %v", n, endless.n, err)
	}
	budget = 1000
	l = &inflating{r: &endlessZeros{}, left: 1 << 20, budget: &budget, seen: new(int64)}
	if n, err := io.Copy(io.Discard, l); n != 1000 || err == nil {
		t.Errorf("%d octets of a budget of 1000, %v", n, err)
	}
}

type endlessZeros struct{ n int64 }

func (e *endlessZeros) Read(b []byte) (int, error) {
	e.n += int64(len(b))
	return len(b), nil
}

// Ten million rows: read one by one from a stream that exists nowhere as a whole, in memory that does not grow with them.
func TestTenMillionRows(t *testing.T) {
	const rows = 10_000_000
	const head, row, tail = "<feedback><report_metadata><report_id>x</report_id></report_metadata>", "<record><row><count>3</count></row></record>", "</feedback>"
	in := &rowStream{head: head, row: row, rows: rows, tail: tail}
	var n, messages int64
	var err error
	used := allocated(func() {
		_, err = Parse(Document{Name: "x", kind: xmlDocument, open: func() io.Reader { return in }}, func(r *dmarc.Row) error {
			n++
			messages += r.Count
			return nil
		})
	})
	if err != nil || n != rows || messages != 3*rows || used > 1<<20 {
		t.Errorf("%d rows, %d messages, %d KiB, %v", n, messages, used>>10, err)
	}
	// Packed they are refused: no reporter's rows are that much alike.
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = io.Copy(z, &rowStream{head: head, row: row, rows: rows / 10, tail: tail})
	z.Close()
	if err != nil {
		t.Fatal(err)
	}
	if read, problems := found(t, packed.Bytes()); read != "" || !strings.Contains(strings.Join(problems, ""), "inflates to more") {
		t.Errorf("%q, %q", read, problems)
	}
}

// rowStream is a report of many equal rows.
type rowStream struct {
	head, row, tail string
	rows            int
	rest            string
}

func (s *rowStream) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if s.rest == "" {
			switch {
			case s.head != "":
				s.rest, s.head = s.head, ""
			case s.rows > 0:
				s.rest, s.rows = s.row, s.rows-1
			case s.tail != "":
				s.rest, s.tail = s.tail, ""
			case n > 0:
				return n, nil
			default:
				return 0, io.EOF
			}
		}
		m := copy(b[n:], s.rest)
		n, s.rest = n+m, s.rest[m:]
	}
	return n, nil
}
