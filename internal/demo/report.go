package demo

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dmarc"
)

// report has the receiver send an aggregate report about the demo's own mail to the address in the domain's DMARC record,
// and reads it there: the selector in it names the server (RFC 9990 makes it mandatory).
func (d *demo) report(ctx context.Context, o *Outcome, signers map[string]string) error {
	mailbox, err := startReceiver(d.dns.client())
	if err != nil {
		return err
	}
	defer mailbox.stop()
	if err := d.receiver.sendReport(ctx, d.began, mailbox.addr()); err != nil {
		return err
	}
	arrived := mailbox.messages()
	if len(arrived) != 1 {
		return fmt.Errorf("%d reports arrived, expected one", len(arrived))
	}
	report, err := openReport(arrived[0].raw)
	if err != nil {
		return err
	}
	d.say("the receiver sent a DMARC report about %d messages to the address in _dmarc.%s", report.Messages(), domain)
	if sent := int64(len(d.receiver.messages())); report.Messages() != sent {
		return fmt.Errorf("the report counts %d messages of %d", report.Messages(), sent)
	}
	rows := map[string]*ReportRow{}
	for _, row := range report.Rows {
		for _, result := range row.DKIMResults {
			line := rows[result.Selector]
			if line == nil {
				line = &ReportRow{Selector: result.Selector, Signer: signers[result.Selector]}
				rows[result.Selector] = line
			}
			if result.Result == "pass" {
				line.Pass += int(row.Count)
			} else {
				line.Fail += int(row.Count)
			}
		}
	}
	for _, row := range slices.SortedFunc(maps.Values(rows), func(a, b *ReportRow) int {
		return cmp.Or(cmp.Compare(a.Signer, b.Signer), cmp.Compare(a.Selector, b.Selector))
	}) {
		o.Report = append(o.Report, *row)
	}
	return nil
}

// sendReport looks the domain's policy up, counts what arrived, and mails the report to the first address in rua.
func (r *receiver) sendReport(ctx context.Context, since time.Time, mailbox string) error {
	txt, err := r.resolver.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil {
		return fmt.Errorf("look up the policy: %w", err)
	}
	if len(txt) != 1 {
		return fmt.Errorf("%d records at _dmarc.%s", len(txt), domain)
	}
	record, err := dmarc.Parse(txt[0])
	if err != nil {
		return err
	}
	if len(record.Aggregate) == 0 {
		return errors.New("the policy asks for no reports")
	}
	report := dmarc.Report{
		OrgName: "The demo's receiver", Email: "dmarc@receiver.example", ID: "demo-1", Begin: since, End: time.Now(),
		Generator: "postseal demo", Policy: dmarc.PublishedPolicyOf(domain, record), Rows: r.rows(),
	}
	var text bytes.Buffer
	packed := gzip.NewWriter(&text)
	if err := errors.Join(report.WriteXML(packed), packed.Close()); err != nil {
		return err
	}
	to := record.Aggregate[0].Address
	raw := fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <demo-1@receiver.example>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: application/gzip; name=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
		report.Email, to, report.Subject("receiver.example"), time.Now().Format(time.RFC1123Z), report.FileName("receiver.example")+".gz",
		wrapped(base64.StdEncoding.EncodeToString(text.Bytes())))
	return deliver(mailbox, report.Email, []string{to}, raw)
}

// rows counts the messages by selector and result.
func (r *receiver) rows() []dmarc.Row {
	type kind struct{ domain, selector, result string }
	counts := map[kind]int64{}
	for _, a := range r.messages() {
		k := kind{a.domain, a.selector, "fail"}
		if a.passed {
			k.result = "pass"
		}
		counts[k]++
	}
	var rows []dmarc.Row
	for k, n := range counts {
		row := dmarc.Row{SourceIP: "127.0.0.1", Count: n, Disposition: "none", DKIM: dmarc.Result(k.result), SPF: "fail", HeaderFrom: domain}
		if k.selector != "" {
			row.DKIMResults = []dmarc.DKIMResult{{Domain: k.domain, Selector: k.selector, Result: k.result}}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b dmarc.Row) int { return cmp.Compare(fmt.Sprint(a.DKIMResults), fmt.Sprint(b.DKIMResults)) })
	return rows
}

// wrapped breaks base64 into lines of 76.
func wrapped(s string) string {
	var out strings.Builder
	for chunk := range slices.Chunk([]byte(s), 76) {
		out.Write(chunk)
		out.WriteString("\r\n")
	}
	return out.String()
}

// openReport unpacks the report of a mail as sendReport makes it.
func openReport(raw []byte) (*dmarc.Report, error) {
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	packed, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(body)), "\r\n", ""))
	if err != nil {
		return nil, err
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return dmarc.ParseXML(unpacked)
}
