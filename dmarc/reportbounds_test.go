package dmarc

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// counting counts what was read.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// numbered is a stream of texts with their numbers, so that none is like another.
type numbered struct {
	format string
	next   int
	count  int
	rest   string
}

func (s *numbered) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if s.rest == "" {
			if s.next == s.count {
				break
			}
			s.rest = fmt.Sprintf(s.format, s.next)
			s.next++
		}
		m := copy(b[n:], s.rest)
		n, s.rest = n+m, s.rest[m:]
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Reading takes little memory, however much of something a report has. What is taken is counted, not what is left: it bounds the work too.
func TestReadXMLIsBounded(t *testing.T) {
	const begin, end = "<feedback><report_metadata><report_id>x</report_id></report_metadata>", "</feedback>"
	within := func(before string, what io.Reader, after string) io.Reader {
		return io.MultiReader(strings.NewReader(begin+before), what, strings.NewReader(after+end))
	}
	many := func(text string, octets int64) io.Reader {
		return io.LimitReader(repeat(text), octets/int64(len(text))*int64(len(text)))
	}
	for what, c := range map[string]struct {
		in   io.Reader
		rows int
	}{
		"results in one row":      {within("<record><auth_results>", many("<dkim><selector>a</selector></dkim>", 16<<20), "</auth_results></record>"), 1},
		"reasons in one row":      {within("<record><row><policy_evaluated>", many("<reason><comment>a</comment></reason>", 16<<20), "</policy_evaluated></row></record>"), 1},
		"errors":                  {within("", many("<report_metadata><error>a</error></report_metadata>", 16<<20), ""), 0},
		"a long text":             {within("<record><row><source_ip>", many("x", 16<<20), "</source_ip></row></record>"), 1},
		"a text of references":    {within("<record><row><source_ip>", many("&amp;", 16<<20), "</source_ip></row></record>"), 1},
		"a text of pieces":        {within("<record><row><source_ip>", many("x<!-- -->", 16<<20), "</source_ip></row></record>"), 1},
		"a text of sections":      {within("<record><row><source_ip>", many("<![CDATA[x]]>", 16<<20), "</source_ip></row></record>"), 1},
		"a comment":               {within("<!--", many("- ->", 16<<20), "-->"), 0},
		"space":                   {within("<record>", many(" \n", 16<<20), "</record>"), 1},
		"ends of nothing":         {within("", many("</a>", 16<<20), ""), 0},
		"elements that are empty": {within("", many("<a/>", 16<<20), ""), 0},
		"instructions":            {within("", many("<?a?>", 16<<20), ""), 0},
		"rows that differ":        {within("", &numbered{format: "<record><row><count>%d</count></row></record>", count: 300_000}, ""), 300_000},
	} {
		t.Run(what, func(t *testing.T) {
			rows := 0
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := ReadXML(c.in, func(r *Row) error {
				if rows++; len(r.DKIMResults) > maxRowResults || len(r.Reasons) > maxRowResults || len(r.SourceIP) > maxText {
					t.Errorf("%d results, %d reasons, a text of %d", len(r.DKIMResults), len(r.Reasons), len(r.SourceIP))
				}
				return nil
			})
			runtime.ReadMemStats(&after)
			taken := int64(after.TotalAlloc - before.TotalAlloc)
			if what != "rows that differ" && taken > 1<<20 { // of that one the stream itself takes more
				t.Errorf("%d KiB were taken", taken>>10)
			}
			if err != nil || rows != c.rows {
				t.Errorf("%d rows, want %d, %v", rows, c.rows, err)
			}
		})
	}
}

// Texts that never come again are not kept.
func TestReadXMLForgetsTexts(t *testing.T) {
	const rows = 200_000
	in := io.MultiReader(strings.NewReader("<feedback><report_metadata><report_id>x</report_id></report_metadata>"),
		&numbered{format: "<record><row><source_ip>%d</source_ip></row><auth_results><dkim><selector>selector-%[1]d</selector></dkim></auth_results></record>", count: rows}, strings.NewReader("</feedback>"))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	_, err := ReadXML(in, func(r *Row) error {
		if n++; n == rows {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
		return nil
	})
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); err != nil || n != rows || kept > 2<<20 {
		t.Errorf("%d rows, %d KiB are kept, %v", n, kept>>10, err)
	}
}

// What is too large is read up to the limit and not further.
func TestReadXMLStopsAtItsLimit(t *testing.T) {
	in := &counting{r: io.MultiReader(strings.NewReader("<feedback>"), repeat("<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>"))}
	rows := 0
	_, err := ReadXML(in, func(*Row) error { rows++; return nil })
	if !errors.Is(err, ErrReportTooBig) || in.n != MaxReportBytes+1 || rows < MaxReportBytes/100 {
		t.Errorf("%d octets and %d rows were read, %v", in.n, rows, err)
	}
}

// A tag may be as long as the buffer gets, wherever it begins, and no longer.
func TestReadXMLLongTags(t *testing.T) {
	for _, before := range []int{0, 1, smallBuffer - 20, smallBuffer, 3 * smallBuffer, maxTag - 30} {
		for length, good := range map[int]bool{10: true, smallBuffer: true, maxTag - 100: true, maxTag: false, 4 * maxTag: false} {
			in := "<feedback>" + strings.Repeat(" ", before) + `<report_metadata a="` + strings.Repeat("x", length) + `"><report_id>7</report_id></report_metadata></feedback>`
			r, err := ReadXML(strings.NewReader(in), func(*Row) error { return nil })
			if (err == nil) != good || err == nil && r.ID != "7" || err != nil && !errors.Is(err, ErrReport) {
				t.Errorf("a tag of %d behind %d: %v", length, before, err)
			}
		}
	}
}
