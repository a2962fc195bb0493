package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/internal/report"
)

// manyRows is a gzip file with a report of n rows.
func manyRows(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "many.xml.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := gzip.NewWriter(f)
	io.WriteString(w, "<feedback><report_metadata><report_id>many</report_id></report_metadata><policy_published><domain>example.com</domain></policy_published>")
	for i := range n {
		fmt.Fprintf(w, "<record><row><source_ip>10.%d.%d.%d</source_ip><count>%d</count></row></record>", i>>16&255, i>>8&255, i&255, i+1)
	}
	io.WriteString(w, "</feedback>")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Rows that are not held in memory are printed too: all of them, in order, once.
func TestReportParseManyRows(t *testing.T) {
	const n = 3*maxHeldRows + 17
	path := manyRows(t, n)
	var out, problems bytes.Buffer
	if err := parseReports([]string{path}, nil, newJSONReports(&out)); err != nil {
		t.Fatal(err)
	}
	var all struct {
		Documents []struct {
			Records, Messages int
			Rows              []struct{ Count int }
		}
		Errors []any
	}
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	d := all.Documents[0]
	if len(all.Documents) != 1 || d.Records != n || d.Messages != n*(n+1)/2 || len(d.Rows) != n || all.Errors == nil {
		t.Errorf("%d documents, %d records, %d messages, %d rows", len(all.Documents), d.Records, d.Messages, len(d.Rows))
	}
	for i, r := range d.Rows {
		if r.Count != i+1 {
			t.Fatalf("row %d has %d messages", i, r.Count)
		}
	}
	out.Reset()
	if err := parseReports([]string{path}, nil, newCSVReports(&out, &problems)); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(lines) != n+1 || lines[n][9] != "10.0.11.200" || lines[n][10] != fmt.Sprint(n) || problems.Len() > 0 {
		t.Errorf("%d lines, the last %q, %v", len(lines), lines[len(lines)-1], err)
	}
	out.Reset()
	if err := parseReports([]string{path}, nil, &shownReports{out: &out}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != maxHeldRows+4 || !strings.HasSuffix(out.String(), "  2017 more records not shown: --csv and --json print all.\n") {
		t.Errorf("%d lines, at the end %q", got, out.String()[out.Len()-80:])
	}
}

// A file that is too large is refused by its size: this one, of a gibibyte, has no octets on any disk and is not read.
func TestReportParseRefusesBySize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.eml")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<30), f.Close()); err != nil {
		t.Fatal(err)
	}
	read := &endless{}
	for _, c := range []struct {
		path string
		in   io.Reader
	}{{path, nil}, {"-", read}} {
		if data, err := readReport(c.path, c.in); data != nil || err == nil || because(err) != "it has more than 64 MiB" {
			t.Errorf("%s: %d octets, %v", c.path, len(data), err)
		}
	}
	if read.n > report.MaxInput+64<<20 {
		t.Errorf("%d octets of an endless input were read", read.n)
	}
}

// endless is an endless input.
type endless struct{ n int64 }

func (c *endless) Read(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// A pipe in a folder would never end, and a link may lead anywhere: neither is read.
func TestReportFilesAreFiles(t *testing.T) {
	dir := t.TempDir()
	err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "a-pipe"), 0o600), os.Symlink("/etc/hostname", filepath.Join(dir, "b-link")), os.WriteFile(filepath.Join(dir, "c-file"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for file, err := range reportFiles(dir) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, filepath.Base(file))
	}
	if strings.Join(got, " ") != "c-file" {
		t.Errorf("%q", got)
	}
}

func TestCSVCell(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"mx1-2611abcd":      "mx1-2611abcd",
		"a=b+c@d":           "a=b+c@d",
		"=1":                "'=1",
		"-":                 "'-",
		"@x":                "'@x",
		"+x":                "'+x",
		"\t=x":              " '=x",
		"\r\n=x":            "  '=x",
		"  =x":              "  '=x",
		"a;=x":              "a;'=x",
		"a,\"@x":            "a,\"'@x",
		"a|-x":              "a|'-x",
		"==":                "'==",
		"＝x":                "'＝x",
		"\x1b[31m=x":        " [31m=x",
		"2001:db8::1":       "2001:db8::1",
		"other (a comment)": "other (a comment)",
	} {
		if got := csvCell(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// What a text says is the same, however it is escaped.
func FuzzCalmJSON(f *testing.F) {
	for _, s := range []string{"", "a\u009b31m", "\x7f", "\u202eb\u2066", "\u00a0é𝄞", "\xff", "\\u009b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var plain, calm bytes.Buffer
		enc := json.NewEncoder(&plain)
		enc.SetEscapeHTML(false)
		if err := errors.Join(enc.Encode(s), printJSON(&calm, s)); err != nil {
			t.Fatal(err)
		}
		var want, got string
		if err := errors.Join(json.Unmarshal(plain.Bytes(), &want), json.Unmarshal(calm.Bytes(), &got)); err != nil || got != want {
			t.Fatalf("%s became %s, %v", plain.Bytes(), calm.Bytes(), err)
		}
		if clean(calm.String()[:calm.Len()-1]) != strings.ReplaceAll(calm.String()[:calm.Len()-1], "\ufffd", " ") {
			t.Fatalf("%q steers a terminal", calm.Bytes())
		}
	})
}
