package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
)

const small = `<?xml version="1.0"?><feedback><report_metadata><org_name>receiver.example</org_name><report_id>1</report_id><date_range><begin>1763856000</begin><end>1763942399</end></date_range></report_metadata>` +
	`<policy_published><domain>example.com</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip><count>3</count></row>` +
	`<auth_results><dkim><domain>example.com</domain><selector>mx1-2611abcd</selector><result>pass</result></dkim></auth_results></record></feedback>`

const tlsSmall = `{"organization-name":"R","report-id":"t1","policies":[{"policy":{"policy-type":"sts","policy-domain":"example.com","policy-string":"version: STSv1"},"summary":{"total-successful-session-count":5}}]}`

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func zipOf(files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		f, _ := w.Create(files[i])
		io.WriteString(f, files[i+1])
	}
	w.Close()
	return b.Bytes()
}

// mailOf is a mail with parts: media type, file name, content, by threes.
func mailOf(parts ...string) string {
	var b strings.Builder
	b.WriteString("From: reports@receiver.example\r\nTo: dmarc@example.com\r\nSubject: Report Domain: example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xyz\r\n\r\nfor people\r\n")
	for i := 0; i+2 < len(parts); i += 3 {
		fmt.Fprintf(&b, "--xyz\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", parts[i])
		if parts[i+1] != "" {
			fmt.Fprintf(&b, "Content-Disposition: attachment; filename=%q\r\n", parts[i+1])
		}
		text := base64.StdEncoding.EncodeToString([]byte(parts[i+2]))
		b.WriteString("\r\n")
		for len(text) > 76 {
			b.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		b.WriteString(text + "\r\n")
	}
	return b.String() + "--xyz--\r\n"
}

// found reads everything and says what: types with counts, and how many could not be read.
func found(t *testing.T, input []byte) (what string, problems []string) {
	t.Helper()
	documents, bad := Open("in", input)
	for _, p := range bad {
		if fault.CodeOf(p.Err) != fault.Invalid {
			t.Errorf("%s: %v is no fault that people understand", p.Name, p.Err)
		}
		problems = append(problems, p.Err.Error())
	}
	for _, d := range documents {
		rows := int64(0)
		p, err := Parse(d, func(r *dmarc.Row) error { rows += r.Count; return nil })
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid {
				t.Errorf("%s: %v is no fault that people understand", d.Name, err)
			}
			problems = append(problems, err.Error())
			continue
		}
		what += fmt.Sprintf("%s %d;", p.Type, rows)
	}
	return what, problems
}

func TestWrappings(t *testing.T) {
	plain := []byte(small)
	forwarded := mailOf("text/plain", "", "see below", "message/rfc822", "", mailOf("application/zip", "r.xml.gz", string(gz(plain))))
	for what, c := range map[string]struct {
		in      string
		want    string
		problem string
	}{
		"plain":                         {small, "aggregate 3;", ""},
		"gzip":                          {string(gz(plain)), "aggregate 3;", ""},
		"gzip twice":                    {string(gz(gz(plain))), "aggregate 3;", ""},
		"zip":                           {string(zipOf("r.xml", small)), "aggregate 3;", ""},
		"a zip of a gzip":               {string(zipOf("r.xml.gz", string(gz(plain)))), "aggregate 3;", ""},
		"a gzip of a zip":               {string(gz(zipOf("r.xml", small))), "aggregate 3;", ""},
		"a zip of two, and a folder":    {string(zipOf("a/", "", "a/r.xml", small, "b.json", tlsSmall, "__MACOSX/._r.xml", "x")), "aggregate 3;tls 0;", ""},
		"text before":                   {"Here it is:\n" + small, "aggregate 3;", ""},
		"a mail":                        {mailOf("application/gzip", "r.xml.gz", string(gz(plain))), "aggregate 3;", ""},
		"a mail, wrongly named":         {mailOf("application/zip", "r.zip", string(gz(plain))), "aggregate 3;", ""},
		"a mail with text/xml":          {mailOf("text/plain", "", "hello", "text/xml", "", small), "aggregate 3;", ""},
		"octet-stream":                  {mailOf("application/octet-stream", "r.dat", string(zipOf("r", small))), "aggregate 3;", ""},
		"two attachments":               {mailOf("application/gzip", "a.gz", string(gz(plain)), "application/tlsrpt+gzip", "b.gz", string(gz([]byte(tlsSmall)))), "aggregate 3;tls 0;", ""},
		"forwarded":                     {forwarded, "aggregate 3;", ""},
		"base64 in a text":              {mailOf("text/plain", "", base64.StdEncoding.EncodeToString(gz(plain))), "aggregate 3;", ""},
		"a mailbox's line":              {"From x Thu Jan  1 00:00:00 1970\n" + mailOf("application/gzip", "a.gz", string(gz(plain))), "aggregate 3;", ""},
		"a mail without a report":       {mailOf("text/plain", "", "hello", "text/html", "", "<p>hello</p>"), "", "there is no report in this mail"},
		"a picture beside it":           {mailOf("image/png", "logo.png", "\x89PNG...", "application/gzip", "a.gz", string(gz(plain))), "aggregate 3;", "no report, no archive and no mail"},
		"unused":                        {string(gz([]byte("unused"))), "", "begins with \"unused\""},
		"nothing":                       {"", "", "begins with nothing"},
		"an empty archive":              {string(zipOf()), "", "the archive is empty"},
		"another document":              {"<html><body/></html>", "", "not feedback"},
		"JSON that is none":             {`{"a":1}`, "", "no TLS report"},
		"broken JSON":                   {`{"organization-name": `, "", "no TLS report"},
		"cut off gzip":                  {string(gz(plain)[:200]), "", "inflated"},
		"cut off":                       {small[:len(small)-30], "", "breaks off"},
		"wrapped ten times":             {string(deep(10)), "", "wrapped more than"},
		"a document type that is large": {"<!DOCTYPE x [<!ENTITY a \"" + strings.Repeat("b", 1<<20) + "\">]>" + small, "", "too long"},
	} {
		got, problems := found(t, []byte(c.in))
		said := strings.Join(problems, "; ")
		if got != c.want || c.problem == "" && said != "" || !strings.Contains(said, c.problem) {
			t.Errorf("%s: %q, problems %q; want %q, problem %q", what, got, said, c.want, c.problem)
		}
	}
}

func deep(n int) []byte {
	data := []byte(small)
	for range n {
		data = gz(data)
	}
	return data
}

// Archives that attack end early, and take no more memory than the largest that is allowed.
func TestBombs(t *testing.T) {
	zeros := gz(bytes.Repeat([]byte{0}, 16<<20))
	spaces := gz([]byte(strings.Replace(small, "<record>", strings.Repeat(" ", 40<<20)+"<record>", 1)))
	rows := gz([]byte("<feedback><report_metadata><report_id>x</report_id></report_metadata>" + strings.Repeat("<record></record>", 1_000_000)))
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprint(i), small)
	}
	for what, c := range map[string]struct {
		in      []byte
		problem string
	}{
		"zeros":            {gz(zeros), "inflates to more"},
		"spaces":           {spaces, "inflates to more"},
		"records":          {rows, "inflates to more"},
		"two hundred":      {zipOf(many...), "more than 64"},
		"a huge mail":      {[]byte("A: b\r\n\r\n" + strings.Repeat("x", MaxInput)), "MiB"},
		"deep XML":         {[]byte("<feedback>" + strings.Repeat("<a>", 1_000_000)), "deep"},
		"parts":            {[]byte(mailOf(strings.Split(strings.Repeat("text/plain,,x,", 1000), ",")...)), ""},
		"nested multipart": {[]byte(strings.Repeat("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n", 10_000)), ""},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, problems := found(t, c.in)
		runtime.ReadMemStats(&after)
		if said := strings.Join(problems, "; "); len(problems) == 0 || !strings.Contains(said, c.problem) {
			t.Errorf("%s: problems %.200q, want %q", what, said, c.problem)
		}
		if used := int64(after.HeapSys) - int64(before.HeapSys); used > 512<<20 {
			t.Errorf("%s: the heap grew by %d MiB", what, used>>20)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, in := range [][]byte{[]byte(small), gz([]byte(small)), zipOf("a", small), []byte(mailOf("text/xml", "a", small)), []byte(tlsSmall)} {
		f.Add(in)
	}
	for _, file := range []string{"parsedmarc/failure/dmarc_ruf_report_linkedin.eml", "mox-reports/google.eml", "mox-reports/microsoft.eml", "dmarc-cat/bad.zip"} {
		if data, err := os.ReadFile("../../../shared/testdata/dmarc/" + file); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		what, problems := found(t, data)
		if what == "" && len(problems) == 0 {
			t.Fatal("something was dropped silently")
		}
	})
}

// A document reads the same however its octets come.
func TestSmallReads(t *testing.T) {
	p, err := Parse(Document{"x", xmlDocument, func() io.Reader { return iotest.OneByteReader(strings.NewReader("text " + small)) }}, func(*dmarc.Row) error { return nil })
	if err != nil || p.Aggregate.ID != "1" {
		t.Errorf("%+v %v", p, err)
	}
}
