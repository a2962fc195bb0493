package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// reportSet is what the readers of reports are given, with what has to come out.
type reportSet struct {
	name  string
	unit  string // what is counted per second
	path  string // a file, or a folder of files
	count int    // of the unit
	files int
	all   found
	each  map[string]found // what is in each file of a folder
}

const (
	manyRecords = 100_000
	// smallFiles are as many reports as a domain of middle size gets in half a year. Each has one to four records, as most have.
	smallFiles = 4000
	// Names of files as RFC 9990 §3.5.1 has them: dmarc-cat reads no others.
	largeName = "receiver.example!example.com!1763856000!1763942399"
)

// The names of the sets.
const (
	largeSet  = "100,000 records, XML"
	packedSet = "100,000 records, gzip"
	smallSet  = "4,000 reports of 1 to 4 records, gzip"
)

// makeReports writes the sets.
func makeReports(dir string) (large, packed, small reportSet, err error) {
	large = reportSet{name: largeSet, unit: "records", path: filepath.Join(dir, largeName+".xml"), count: manyRecords, files: 1}
	packed, packed.name, packed.path = large, packedSet, large.path+".gz"
	plain, err := os.Create(large.path)
	if err != nil {
		return large, packed, small, err
	}
	defer plain.Close()
	zipped, err := os.Create(packed.path)
	if err != nil {
		return large, packed, small, err
	}
	defer zipped.Close()
	z := gzip.NewWriter(zipped)
	out := bufio.NewWriter(io.MultiWriter(plain, z))
	large.all = writeReport(out, 0, manyRecords)
	packed.all = large.all
	if err := errors.Join(out.Flush(), z.Close()); err != nil {
		return large, packed, small, err
	}
	small = reportSet{name: smallSet, unit: "reports", path: filepath.Join(dir, "small"), count: smallFiles, files: smallFiles, each: map[string]found{}}
	if err := os.Mkdir(small.path, 0o700); err != nil {
		return large, packed, small, err
	}
	for i := range smallFiles {
		path := filepath.Join(small.path, fmt.Sprintf("receiver%d.example!example.com!1763856000!1763942399!%d.xml.gz", i%40, i))
		f, err := os.Create(path)
		if err != nil {
			return large, packed, small, err
		}
		z.Reset(f)
		small.each[path] = writeReport(z, i, i%4+1)
		small.all.add(small.each[path])
		if err := errors.Join(z.Close(), f.Close()); err != nil {
			return large, packed, small, err
		}
	}
	return large, packed, small, nil
}

// found is how many rows there are, and of how many messages they tell.
type found struct {
	rows     int
	messages int64
}

func (f *found) add(more found) { f.rows, f.messages = f.rows+more.rows, f.messages+more.messages }

// writeReport writes a report as large receivers do, and returns what is in it.
func writeReport(out io.Writer, number, rows int) (what found) {
	fmt.Fprintf(out, `<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <version>1.0</version>
  <report_metadata>
    <org_name>receiver%d.example</org_name>
    <email>noreply-dmarc-support@receiver%d.example</email>
    <extra_contact_info>https://support.receiver.example/a/answer/2466580</extra_contact_info>
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
    <np>reject</np>
  </policy_published>
`, number%40, number%40, 7_000_000_000+number)
	for i := range rows {
		n := number + i
		what.add(found{1, int64(n%1000 + 1)})
		fmt.Fprintf(out, `  <record>
    <row>
      <source_ip>198.%d.%d.%d</source_ip>
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
`, 18+n/62500%2, n/250%250, n%250, n%1000+1, n%8)
	}
	fmt.Fprintln(out, "</feedback>")
	return what
}
