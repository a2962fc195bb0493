package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/dmarc"
)

// collected reads the only document of an input.
func collected(t *testing.T, input string) Facts {
	t.Helper()
	documents, problems := Open("x", []byte(input))
	if len(documents) != 1 || len(problems) != 0 {
		t.Fatalf("%d documents, %v", len(documents), problems)
	}
	return Collect(documents[0])
}

// reportOf is an aggregate report with records "source count selector".
func reportOf(id, domain string, records ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<feedback><report_metadata><org_name>Receiver</org_name><email>dmarc@receiver.example</email><report_id>%s</report_id><date_range><begin>1763856000</begin><end>1763942399</end></date_range></report_metadata>`+
		`<policy_published><domain>%s</domain><p>none</p></policy_published>`, id, domain)
	for _, r := range records {
		f := strings.Fields(r)
		fmt.Fprintf(&b, `<record><row><source_ip>%s</source_ip><count>%s</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>example.com</header_from></identifiers>`+
			`<auth_results><dkim><domain>example.com</domain><selector>%s</selector><result>pass</result></dkim></auth_results></record>`, f[0], f[1], f[2])
	}
	return b.String() + "</feedback>"
}

func TestCollect(t *testing.T) {
	f := collected(t, reportOf("&lt;1@receiver.example&gt;", "Example.COM.", "192.0.2.1 3 mx1", "192.0.2.2 4 mx1", "::ffff:192.0.2.3 5 MX2", "nowhere 1 mx1"))
	if f.Problem != "" || f.Type != Aggregate || f.Domain != "example.com" || f.ReportID != "1@receiver.example" || f.Org != "Receiver" || f.Messages != 13 {
		t.Fatalf("%+v", f)
	}
	if len(f.Shapes) != 3 || len(f.Rows) != 4 || f.Rows[0].Shape != f.Rows[1].Shape || f.Rows[2].Shape == f.Rows[0].Shape {
		t.Fatalf("%+v", f.Rows)
	}
	if f.Rows[2].Source.String() != "192.0.2.3" || f.Rows[3].Source.IsValid() || f.Shapes[f.Rows[3].Shape].SourceIP != "nowhere" || f.Shapes[0].SourceIP != "" {
		t.Errorf("%+v %+v", f.Rows, f.Shapes[f.Rows[3].Shape])
	}
	if s := f.Shapes[f.Rows[2].Shape].DKIMResults[0]; s.Selector != "mx2" {
		t.Errorf("%+v", s)
	}
}

// The key tells reports apart, and the same report again is the same one.
func TestKey(t *testing.T) {
	rows := []string{"192.0.2.1 3 mx1", "192.0.2.2 4 mx1", "192.0.2.3 5 mx2"}
	base := collected(t, reportOf("1", "example.com", rows...))
	for name, tt := range map[string]struct {
		input string
		same  bool
	}{
		"again":             {reportOf("1", "example.com", rows...), true},
		"in another order":  {reportOf("1", "example.com", rows[2], rows[0], rows[1]), true},
		"an id in brackets": {reportOf("&lt;1&gt;", "example.com", rows...), true},
		"another id":        {reportOf("2", "example.com", rows...), false},
		"another domain":    {reportOf("1", "example.org", rows...), false},
		"a row fewer":       {reportOf("1", "example.com", rows[:2]...), false},
		"a row twice":       {reportOf("1", "example.com", append(rows, rows[0])...), false},
		"another count":     {reportOf("1", "example.com", "192.0.2.1 4 mx1", rows[1], rows[2]), false},
		"counts changed":    {reportOf("1", "example.com", "192.0.2.1 4 mx1", "192.0.2.2 3 mx1", rows[2]), false},
		"another selector":  {reportOf("1", "example.com", "192.0.2.1 3 mx3", rows[1], rows[2]), false},
		"other times":       {strings.Replace(reportOf("1", "example.com", rows...), "1763856000", "1763856001", 1), false},
		"another reporter":  {strings.Replace(reportOf("1", "example.com", rows...), "dmarc@receiver.example", "dmarc@other.example", 1), false},
	} {
		if got := collected(t, tt.input); got.Problem != "" || (got.Key == base.Key) != tt.same {
			t.Errorf("%s: same is %v; %s", name, got.Key == base.Key, got.Problem)
		}
	}
	tls := collected(t, tlsSmall)
	if tls.Type != TLS || tls.Domain != "example.com" || tls.Messages != 5 || tls.Key == collected(t, strings.Replace(tlsSmall, ":5", ":6", 1)).Key || tls.Key != collected(t, tlsSmall).Key {
		t.Errorf("%+v", tls)
	}
}

func TestWhatIsNotCollected(t *testing.T) {
	for input, want := range map[string]string{
		strings.TrimSuffix(reportOf("1", "example.com", "192.0.2.1 1 a"), "</feedback>"):                     "breaks off",
		reportOf("1", "", "192.0.2.1 -1 a"):                                                                  "count",
		strings.ReplaceAll(reportOf("1", "", "192.0.2.1 1 a"), "<header_from>example.com</header_from>", ""): "which domain",
	} {
		documents, problems := Open("x", []byte(input))
		if len(documents) != 1 {
			t.Fatalf("%v", problems)
		}
		if f := Collect(documents[0]); !strings.Contains(f.Problem, want) {
			t.Errorf("%s: %+v, want %s", input, f, want)
		}
	}
	if f := collected(t, reportOf("1", "", "192.0.2.1 1 a")); f.Domain != "example.com" {
		t.Errorf("the domain of all rows: %+v", f)
	}
}

// However different the records of a report are, what is held of them is bounded.
func TestShapesAreBounded(t *testing.T) {
	c := collector{known: make(map[string]int)}
	row := dmarc.Row{SourceIP: "192.0.2.1", Count: 1, HeaderFrom: "example.com", EnvelopeFrom: strings.Repeat("x", 1000)}
	var err error
	n := 0
	for ; err == nil && n < maxShapes/1000+10; n++ {
		row.EnvelopeTo = fmt.Sprint(n)
		err = c.row(&row)
	}
	if err == nil || !strings.Contains(err.Error(), "differ") || c.size > maxShapes+2000 {
		t.Errorf("%v after %d rows, %d octets", err, n, c.size)
	}
}

func BenchmarkCollect(b *testing.B) {
	var records []string
	for i := range 100_000 {
		records = append(records, fmt.Sprintf("192.0.%d.%d %d mx%d", i>>8&0xff, i&0xff, i%7+1, i%300))
	}
	input := []byte(reportOf("1", "example.com", records...))
	b.ReportAllocs()
	for b.Loop() {
		documents, _ := Open("x", input)
		if f := Collect(documents[0]); len(f.Rows) != len(records) {
			b.Fatal(f.Problem)
		}
	}
	b.ReportMetric(float64(len(records))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
