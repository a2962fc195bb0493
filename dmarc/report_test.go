package dmarc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
)

// sample has every element.
func sample() *Report {
	record, _ := Parse("v=DMARC1; p=reject; sp=quarantine; adkim=s; t=y; rua=mailto:dmarc@example.com")
	return &Report{
		Schema: RFC9990, Version: "1.0",
		OrgName: "Receiver & Sons", Email: "postmaster@receiver.example", Contact: "https://receiver.example/dmarc",
		ID: "1764000000.example.com", Begin: time.Unix(1763856000, 0).UTC(), End: time.Unix(1763942399, 0).UTC(),
		Errors: []string{"a resolver did not answer for a minute"}, Generator: "Postseal",
		Policy: PublishedPolicyOf("example.com", record),
		Rows: []Row{
			{
				SourceIP: "192.0.2.25", Count: 12, Disposition: "pass", DKIM: Pass, SPF: Fail,
				HeaderFrom: "example.com", EnvelopeFrom: "bounce.example.com", EnvelopeTo: "receiver.example",
				DKIMResults: []DKIMResult{{"example.com", "mx1-2611abcd", "pass", ""}, {"example.com", "mx1-2605wxyz", "fail", "body hash did not verify"}},
				SPFResults:  []SPFResult{{"bounce.example.com", "mfrom", "softfail", ""}},
			},
			{
				SourceIP: "2001:db8::25", Count: 1, Disposition: "quarantine", DKIM: Fail, SPF: Fail,
				Reasons:    []Reason{{"policy_test_mode", "t=y <lowers> the policy"}, {"other", ""}},
				HeaderFrom: "example.com",
			},
		},
	}
}

func TestWriteXML(t *testing.T) {
	var out bytes.Buffer
	if err := sample().WriteXML(&out); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.xml"
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the report differs from %s:\n%s", golden, out.Bytes())
	}
	back, err := ParseXML(&out)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, sample()) {
		t.Errorf("read back\n%+v\nwant\n%+v", back, sample())
	}
	if back.Messages() != 13 {
		t.Errorf("%d messages", back.Messages())
	}
}

func TestWriteXMLRefuses(t *testing.T) {
	for where, spoil := range map[string]func(*Report){
		"org_name":                func(r *Report) { r.OrgName = "" },
		"report_id":               func(r *Report) { r.ID = "" },
		"date_range":              func(r *Report) { r.Begin, r.End = r.End, r.Begin },
		"error":                   func(r *Report) { r.Errors = append(r.Errors, "another") },
		"policy_published/domain": func(r *Report) { r.Policy.Domain = "" },
		"p":                       func(r *Report) { r.Policy.Policy = "" },
		"np":                      func(r *Report) { r.Policy.Nonexistent = "block" },
		"testing":                 func(r *Report) { r.Policy.Testing = "yes" },
		"record":                  func(r *Report) { r.Rows = nil },
		"source_ip":               func(r *Report) { r.Rows[0].SourceIP = "" },
		"count":                   func(r *Report) { r.Rows[0].Count = 0 },
		"disposition":             func(r *Report) { r.Rows[0].Disposition = "Pass" },
		"policy_evaluated/dkim":   func(r *Report) { r.Rows[0].DKIM = None },
		"reason/type":             func(r *Report) { r.Rows[1].Reasons[0].Type = "sampled_out" },
		"header_from":             func(r *Report) { r.Rows[0].HeaderFrom = "" },
		"dkim/selector":           func(r *Report) { r.Rows[0].DKIMResults[0].Selector = "" },
		"dkim/result":             func(r *Report) { r.Rows[0].DKIMResults[0].Result = "softfail" },
		"spf/scope":               func(r *Report) { r.Rows[0].SPFResults[0].Scope = "helo" },
		"auth_results/spf":        func(r *Report) { r.Rows[0].SPFResults = append(r.Rows[0].SPFResults, r.Rows[0].SPFResults[0]) },
	} {
		r := sample()
		spoil(r)
		var out bytes.Buffer
		err := r.WriteXML(&out)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrReport) || e.Where != where || out.Len() > 0 {
			t.Errorf("%s: err = %v, %d octets written", where, err, out.Len())
		}
	}
}

func TestOrderDKIM(t *testing.T) {
	row := Row{HeaderFrom: "a.example.com"}
	for i := range MaxDKIMResults {
		row.DKIMResults = append(row.DKIMResults, DKIMResult{"x.example", strconv.Itoa(i), "fail", ""})
	}
	row.DKIMResults = append(row.DKIMResults, DKIMResult{"other.example", "s1", "pass", ""}, DKIMResult{"example.com", "s2", "pass", ""},
		DKIMResult{"a.example.com", "s3", "fail", ""}, DKIMResult{"A.example.com", "s4", "pass", ""})
	row.OrderDKIM([]string{"EXAMPLE.com", "A.example.com"})
	var first []string
	for _, r := range row.DKIMResults[:4] {
		first = append(first, r.Selector)
	}
	if got := strings.Join(first, " "); got != "s4 s2 s1 0" || len(row.DKIMResults) != MaxDKIMResults {
		t.Errorf("%s …, %d results", got, len(row.DKIMResults))
	}
}

func TestReportNames(t *testing.T) {
	r := sample()
	r.ID = "<a/../b\r\nBcc: x@y>"
	if got := r.FileName("receiver.example/"); got != "receiver.example!example.com!1763856000!1763942399!a..bBccxy.xml.gz" {
		t.Error(got)
	}
	if got := r.Subject("receiver.example"); strings.ContainsAny(got, "\r\n") || !strings.HasPrefix(got, "Report Domain: example.com Submitter: receiver.example Report-ID: <") {
		t.Error(got)
	}
}

func TestParseXMLOfOthers(t *testing.T) {
	read := 0
	for _, folder := range []string{"ietf-aggregate", "parsedmarc", "dmarc-report-converter", "dmarc-cat"} {
		var manifest struct {
			Cases []struct {
				File, Type, Parse string
				Expect            json.RawMessage
			}
		}
		readJSON(t, "../../shared/testdata/dmarc/"+folder+"/manifest.json", &manifest)
		for _, c := range manifest.Cases {
			if c.Type != "aggregate" || !strings.HasSuffix(c.File, ".xml") {
				continue // containers, mail and TLS reports are for those who unpack them
			}
			t.Run(folder+"/"+c.File, func(t *testing.T) {
				data, err := os.ReadFile(filepath.Join("../../shared/testdata/dmarc", folder, c.File))
				if err != nil {
					t.Fatal(err)
				}
				r, err := ParseXML(bytes.NewReader(data))
				if c.Parse != "ok" {
					t.Logf("marked %s; err = %v", c.Parse, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				read++
				var e struct {
					Org         string `json:"org_name"`
					ID          string `json:"report_id"`
					Begin, End  string
					Domain, P   string
					Records     int
					Messages    int64
					FirstRecord map[string]string `json:"first_record"`
				}
				if err := json.Unmarshal(c.Expect, &e); err != nil {
					t.Fatal(err)
				}
				seconds := func(s string) time.Time {
					n, _ := strconv.ParseInt(s, 10, 64)
					return time.Unix(n, 0)
				}
				if r.OrgName != e.Org || r.ID != e.ID || !r.Begin.Equal(seconds(e.Begin)) || !r.End.Equal(seconds(e.End)) ||
					r.Policy.Domain != e.Domain || string(r.Policy.Policy) != e.P || len(r.Rows) != e.Records || r.Messages() != e.Messages {
					t.Errorf("%+v\nwant\n%+v", r, e)
				}
				if len(r.Rows) == 0 {
					return
				}
				row := r.Rows[0]
				for key, have := range map[string]string{
					"source_ip": row.SourceIP, "count": strconv.FormatInt(row.Count, 10), "disposition": row.Disposition,
					"dkim": string(row.DKIM), "spf": string(row.SPF), "header_from": row.HeaderFrom,
				} {
					if want, ok := e.FirstRecord[key]; ok && !strings.EqualFold(have, want) {
						t.Errorf("first record: %s is %q, want %q", key, have, want)
					}
				}
			})
		}
	}
	t.Logf("corpus: DMARC reports: %d were read", read)
	if read < 8 {
		t.Errorf("only %d reports were read", read)
	}
}

func TestParseXMLTolerates(t *testing.T) {
	const report = `<f:feedback xmlns:f="http://dmarc.org/dmarc-xml/0.1"><f:report_metadata><f:org_name> a </f:org_name><f:report_id>x</f:report_id>` +
		`<f:date_range><f:begin>1706159544.0</f:begin><f:end>1706160000</f:end></f:date_range></f:report_metadata>` +
		`<unknown><deep/></unknown><policy_published><domain>Example.COM.</domain><p>None</p><pct>50</pct></policy_published>` +
		`<policy_published><domain>other.example</domain></policy_published>` +
		`<record><row><source_ip>192.0.2.1</source_ip><count> 3 </count><policy_evaluated><dkim>Pass</dkim><reason><type/></reason></policy_evaluated></row>` +
		`<auth_results><dkim><domain>example.com</domain><selector> S1 </selector><result>PASS</result></dkim><dkim/></auth_results><added/></record></f:feedback>`
	r, err := ParseXML(strings.NewReader("\ufeff" + report))
	if err != nil {
		t.Fatal(err)
	}
	if r.Schema != RFC7489 || r.OrgName != "a" || r.Begin.Unix() != 1706159544 || r.Policy.Domain != "example.com" || r.Policy.Policy != PolicyNone || r.Policy.Percent != "50" {
		t.Errorf("%+v", r)
	}
	row := r.Rows[0]
	if row.Count != 3 || row.DKIM != Pass || len(row.Reasons) != 0 || row.DKIMResults[0] != (DKIMResult{"example.com", "s1", "pass", ""}) || len(row.DKIMResults) != 2 {
		t.Errorf("%+v", row)
	}
	newer, err := ParseXML(strings.NewReader(strings.Replace(report, "<pct>50</pct>", "<np>none</np>", 1)))
	if err != nil || newer.Schema != RFC9990 {
		t.Errorf("a report with np: %+v, %v", newer, err)
	}
	old := `<?xml version="1.0" encoding="ISO-8859-1"?>` + strings.Replace(report, "> a <", ">M\xfcller \x80<", 1)
	if r, err := ParseXML(iotest.OneByteReader(strings.NewReader(old))); err != nil || r.OrgName != "Müller €" {
		t.Errorf("ISO 8859-1: %+v, %v", r, err)
	}
	// What reporters get wrong.
	for what, c := range map[string]struct{ old, new, org string }{
		"a bare &, an unknown entity":      {"> a <", ">A & B &co; &#65;&#x42;&#0;<", "A & B &co; AB&#0;"},
		"an entity of its own is not used": {`<f:feedback`, `<!DOCTYPE f [<!ENTITY a "<x>"> ]><f:feedback`, "a"},
		"CDATA":                            {"> a <", "><![CDATA[ a ]] &amp; <b> ]]><", "a ]] &amp; <b>"},
		"octets that are no text":          {"> a <", ">a\xff\xc3<", "a\ufffd\ufffd"},
		"crossed elements":                 {"<unknown><deep/></unknown>", "<unknown><deep></unknown></deep></nothing>", "a"},
		"a schema that is left open":       {"<f:report_metadata>", `<xs:schema xmlns:xs="x"><xs:element name="a>b"/><f:report_metadata>`, "a"},
		"an attribute with a >":            {"<f:org_name>", `<f:org_name note="a > b" other='"'>`, "a"},
		"comments":                         {"> a <", "> a<!-- <b> -- > --> b <", "a b"},
		"milliseconds":                     {"1706159544.0", "1706159544123", "a"},
		"identities":                       {"<added/>", "<identities><header_from>example.com</header_from></identities>", "a"},
	} {
		in := strings.Replace(report, c.old, c.new, 1)
		for how, src := range map[string]io.Reader{"at once": strings.NewReader(in), "by octets": iotest.OneByteReader(strings.NewReader(in))} {
			r, err := ParseXML(src)
			if err != nil || r.OrgName != c.org || r.Begin.Unix() != 1706159544 || len(r.Rows) != 1 || r.Rows[0].Count != 3 || r.Policy.Domain != "example.com" {
				t.Errorf("%s, %s: %+v, %v", what, how, r, err)
			}
		}
	}
	for what, order := range map[string]binary.AppendByteOrder{"big": binary.BigEndian, "little": binary.LittleEndian} {
		var wide []byte
		for _, unit := range utf16.Encode([]rune("\ufeff" + strings.Replace(report, "> a <", ">Ä𝄞<", 1))) {
			wide = order.AppendUint16(wide, unit)
		}
		if r, err := ParseXML(iotest.HalfReader(bytes.NewReader(wide))); err != nil || r.OrgName != "Ä𝄞" || len(r.Rows) != 1 {
			t.Errorf("UTF-16, %s endian: %+v, %v", what, r, err)
		}
	}
	long := strings.Replace(report, "> a <", ">"+strings.Repeat("ä", maxText)+"<", 1)
	if r, err := ParseXML(strings.NewReader(long)); err != nil || len(r.OrgName) > maxText || strings.Trim(r.OrgName, "ä") != "" {
		t.Errorf("a long text: %v", err)
	}
}

func TestParseXMLRefuses(t *testing.T) {
	metadata := "<report_metadata><report_id>x</report_id></report_metadata>"
	for name, tc := range map[string]struct {
		in   io.Reader
		want error
	}{
		"nothing":           {strings.NewReader(""), ErrReport},
		"no XML":            {strings.NewReader("unused"), ErrReport},
		"another element":   {strings.NewReader("<html/>"), ErrReport},
		"empty":             {strings.NewReader("<feedback/>"), ErrReport},
		"cut off":           {strings.NewReader("<feedback>" + metadata + "<record><row>"), ErrReport},
		"cut off later":     {strings.NewReader("<feedback>" + metadata), ErrReport},
		"too deep":          {strings.NewReader("<feedback>" + metadata + strings.Repeat("<a>", 100)), ErrReport},
		"a tag without end": {io.MultiReader(strings.NewReader("<feedback>"+metadata+"<a "), repeat("aaaa")), ErrReport},
		"a bad count":       {strings.NewReader("<feedback>" + metadata + "<record><row><count>many</count></row></record></feedback>"), ErrReport},
		"a huge count":      {strings.NewReader("<feedback>" + metadata + "<record><row><count>9223372036854775807</count></row></record></feedback>"), ErrReport},
		"a bad time":        {strings.NewReader("<feedback><report_metadata><date_range><begin>999999999999999999</begin></date_range></report_metadata></feedback>"), ErrReport},
		"an encoding":       {strings.NewReader("<?xml version=\"1.0\" encoding=\"EBCDIC\"?><feedback/>"), ErrReport},
		"too many records":  {strings.NewReader("<feedback>" + metadata + strings.Repeat("<record/>", MaxRows+1) + "</feedback>"), ErrReportTooBig},
		"too many octets":   {io.MultiReader(strings.NewReader("<feedback><version>"), repeat("aaaa")), ErrReportTooBig},
		"a broken reader":   {io.MultiReader(strings.NewReader("<feedback>"), iotest.ErrReader(os.ErrDeadlineExceeded)), os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := ParseXML(tc.in); !errors.Is(err, tc.want) || r != nil {
				t.Errorf("%v, err = %v, want %v", r, err, tc.want)
			}
		})
	}
}

// repeat is an endless text.
type repeat string

func (r repeat) Read(b []byte) (int, error) {
	n := 0
	for n+len(r) <= len(b) {
		n += copy(b[n:], r)
	}
	if n == 0 {
		n = copy(b, r[:min(len(b), len(r))])
	}
	return n, nil
}

// What a strict reader of XML takes is read alike: the scanner forgives more, and nothing else.
func FuzzScannerLikeDecoder(f *testing.F) {
	addReports(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("schema")) || bytes.Contains(data, []byte("identities")) {
			return // these are forgiven
		}
		want, err := parseByDecoder(bytes.NewReader(data))
		if err != nil {
			return
		}
		got, err := ParseXML(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("read\n%+v\nwant\n%+v", got, want)
		}
		small, err := ParseXML(iotest.OneByteReader(bytes.NewReader(data)))
		if err != nil || !reflect.DeepEqual(small, want) {
			t.Fatalf("by octets (%v):\n%+v\nwant\n%+v", err, small, want)
		}
	})
}

func addReports(f *testing.F) {
	seeds, _ := filepath.Glob("../../shared/testdata/dmarc/*/*.xml")
	more, _ := filepath.Glob("../../shared/testdata/dmarc/parsedmarc/aggregate*/*.xml")
	for _, name := range append(append(seeds, more...), "testdata/report.xml") {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
}

func FuzzParseXML(f *testing.F) {
	addReports(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseXML(bytes.NewReader(data))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var out bytes.Buffer
		if err := r.WriteXML(&out); err != nil {
			return
		}
		again, err := ParseXML(&out)
		if err != nil {
			t.Fatal(err)
		}
		if again.ID != r.ID && !strings.ContainsFunc(r.ID, notInXML) && strings.TrimSpace(r.ID) == r.ID {
			t.Fatalf("the ID %q became %q", r.ID, again.ID)
		}
		if again.Messages() != r.Messages() || len(again.Rows) != len(r.Rows) {
			t.Fatal("messages were lost")
		}
	})
}

// notInXML reports whether a character cannot stand in XML 1.0 (§2.2), and is written as U+FFFD therefore. Reading is more forgiving.
func notInXML(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}
