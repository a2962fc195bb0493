package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/dmarc"
)

// smallReports are reports as receivers send them every day: gzip, of one to a handful of rows.
func smallReports(n int) (out [][]byte) {
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <version>1.0</version>
  <report_metadata>
    <org_name>receiver%d.example</org_name>
    <email>noreply-dmarc@receiver%d.example</email>
    <report_id>%d</report_id>
    <date_range>
      <begin>1763856000</begin>
      <end>1763942399</end>
    </date_range>
  </report_metadata>
  <policy_published>
    <domain>example.com</domain>
    <adkim>r</adkim>
    <aspf>r</aspf>
    <p>reject</p>
    <sp>reject</sp>
    <pct>100</pct>
  </policy_published>
`, i%40, i%40, 7_000_000_000+i)
		for row := range i%4 + 1 {
			fmt.Fprintf(&b, `  <record>
    <row>
      <source_ip>192.0.2.%d</source_ip>
      <count>%d</count>
      <policy_evaluated>
        <disposition>none</disposition>
        <dkim>pass</dkim>
        <spf>pass</spf>
      </policy_evaluated>
    </row>
    <identifiers>
      <header_from>example.com</header_from>
    </identifiers>
    <auth_results>
      <dkim>
        <domain>example.com</domain>
        <result>pass</result>
        <selector>mx%d-2611abcd</selector>
      </dkim>
      <spf>
        <domain>bounce.example.com</domain>
        <result>pass</result>
      </spf>
    </auth_results>
  </record>
`, (i+row)%250, i%90+1, row%3)
		}
		b.WriteString("</feedback>\n")
		out = append(out, gz([]byte(b.String())))
	}
	return out
}

func BenchmarkSmallReports(b *testing.B) {
	reports := smallReports(1000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		documents, problems := Open("small.xml.gz", reports[i%len(reports)])
		if len(documents) != 1 || len(problems) > 0 {
			b.Fatal(problems)
		}
		if _, err := Parse(documents[0], func(*dmarc.Row) error { return nil }); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
}
