package dmarc

import (
	"bytes"
	"fmt"
	"testing"
)

// largeReport is one of n records, as a large receiver writes it.
func largeReport(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <report_metadata>
    <org_name>google.com</org_name>
    <email>noreply-dmarc-support@google.com</email>
    <extra_contact_info>https://support.google.com/a/answer/2466580</extra_contact_info>
    <report_id>13488712042596170873</report_id>
    <date_range><begin>1633996800</begin><end>1634083199</end></date_range>
  </report_metadata>
  <policy_published><domain>example.com</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>reject</sp><pct>100</pct></policy_published>
`)
	for i := range n {
		fmt.Fprintf(&b, `  <record>
    <row>
      <source_ip>192.0.%d.%d</source_ip>
      <count>%d</count>
      <policy_evaluated>
        <disposition>none</disposition>
        <dkim>pass</dkim>
        <spf>fail</spf>
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
        <result>softfail</result>
      </spf>
    </auth_results>
  </record>
`, i/250%250, i%250, i%1000+1, i%8)
	}
	b.WriteString("</feedback>\n")
	return b.Bytes()
}

func BenchmarkReadXML(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		data := largeReport(n)
		for how, read := range map[string]func() int{
			"scanner": func() (rows int) {
				_, err := ReadXML(bytes.NewReader(data), func(*Row) error { rows++; return nil })
				if err != nil {
					b.Fatal(err)
				}
				return rows
			},
			"decoder": func() int {
				r, err := parseByDecoder(bytes.NewReader(data))
				if err != nil {
					b.Fatal(err)
				}
				return len(r.Rows)
			},
		} {
			b.Run(fmt.Sprintf("%s/%d", how, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if rows := read(); rows != n {
						b.Fatalf("%d rows", rows)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// A row costs no memory once its texts are known; only its address is new.
func TestReadXMLAllocates(t *testing.T) {
	data := largeReport(2000)
	allocations := testing.AllocsPerRun(3, func() {
		if _, err := ReadXML(bytes.NewReader(data), func(*Row) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 2500 {
		t.Errorf("%.0f allocations for 2,000 rows", allocations)
	}
}
