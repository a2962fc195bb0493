package demo

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

const (
	// receiverZone is where the receivers' domains are.
	receiverZone = "example"
	// broken is how many messages mx2 sends while something behind its milter changes their bodies: more than what reports must tell of before something is found.
	broken = 24
	// reportWithin is how long reports may take until what they mean is known.
	reportWithin = 20 * time.Second
)

// receivers are the organisations that the demo's receiver takes mail for, each with a domain of its own: one receiver alone never makes a finding.
func receivers() []string {
	return []string{"receiver-one." + receiverZone, "receiver-two." + receiverZone}
}

// mailer signs the receivers' own mail, that with the reports: RFC 9990 §3.5.2 asks for it, and reports that nobody vouches for are counted apart.
type mailer struct {
	key   crypto.Signer
	names *nameserver.Server
}

const mailerSelector = "r1"

func startMailer(ctx context.Context) (*mailer, error) {
	key, err := dkim.GenerateKey(dkim.RSA2048, rand.Reader)
	if err != nil {
		return nil, err
	}
	record, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		return nil, err
	}
	zone := builtin.NewMemory(receiverZone)
	for _, name := range receivers() {
		for at, value := range map[string]string{mailerSelector + "._domainkey." + name: record, "_dmarc." + name: "v=DMARC1; p=reject"} {
			if _, err := zone.SwapRecordSet(ctx, receiverZone, at, publisher.TXT, nil, []string{value}, 1); err != nil {
				return nil, err
			}
		}
	}
	m := &mailer{key: key}
	if m.names, err = nameserver.New(nameserver.Config{Source: zone, Listen: "127.0.0.1:0", Names: []string{"ns1." + receiverZone}, NegativeTTL: time.Second}); err != nil {
		return nil, err
	}
	return m, m.names.Start(ctx)
}

// breakBodies has mx2's list software add a footer behind the milter for a while.
func (d *demo) breakBodies() error {
	m := d.servers[1]
	m.mta.footer.Store(true)
	defer m.mta.footer.Store(false)
	for n := range broken {
		if err := submit(m, n); err != nil {
			return err
		}
	}
	return nil
}

// report has the receivers send aggregate reports about the demo's own mail to the address in the domain's DMARC record, which the control plane takes, and asks it what they mean: the
// selector in them names the server (RFC 9990 makes it mandatory).
func (d *demo) report(ctx context.Context, o *Outcome) error {
	if err := d.breakBodies(); err != nil {
		return err
	}
	d.say("something behind the milter of %s added a footer to %d messages", d.servers[1].name, broken)
	sent := int64(0)
	for _, name := range receivers() {
		n, err := d.sendReport(ctx, name)
		if err != nil {
			return err
		}
		sent += n
	}
	d.say("%d receivers sent DMARC reports about %d messages to the address in _dmarc.%s, where the control plane takes them", len(receivers()), sent, domain)
	if all := int64(len(d.receiver.messages())); sent != all {
		return fmt.Errorf("the reports count %d messages of %d", sent, all)
	}
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	var s client.ReportSummary
	err := until(ctx, "the reports are counted", func() (bool, error) {
		var err error
		s, err = d.client.ReportSummary(ctx, domain, d.began.Add(-time.Hour), time.Time{})
		return s.Messages+s.Unvouched == sent, err
	})
	if err != nil {
		return err
	}
	if s.Unvouched > 0 {
		return fmt.Errorf("%d messages are of reports whose mail was not verified", s.Unvouched)
	}
	for _, x := range s.Signers {
		for _, sel := range x.Selectors {
			o.Report = append(o.Report, ReportRow{Selector: sel.Selector, Signer: x.Signer, Pass: int(sel.Passed), Fail: int(sel.Messages - sel.Passed)})
		}
	}
	slices.SortFunc(o.Report, func(a, b ReportRow) int {
		return cmp.Or(cmp.Compare(a.Signer, b.Signer), cmp.Compare(a.Selector, b.Selector))
	})
	for _, f := range s.Findings {
		o.Findings = append(o.Findings, ReportFinding{f.ID, f.Severity, f.Subject, f.Message + "."})
	}
	if !slices.ContainsFunc(o.Findings, func(f ReportFinding) bool {
		return f.Subject == d.servers[1].name && strings.Contains(f.Message, "body")
	}) {
		return fmt.Errorf("nothing in the reports says that %s breaks bodies: %v", d.servers[1].name, o.Findings)
	}
	return nil
}

// sendReport looks the domain's policy up, counts what arrived for one receiver, and mails the report to the first address in rua. It returns the number of messages.
func (d *demo) sendReport(ctx context.Context, receiver string) (int64, error) {
	txt, err := d.receiver.resolver.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil {
		return 0, fmt.Errorf("look up the policy: %w", err)
	}
	if len(txt) != 1 {
		return 0, fmt.Errorf("%d records at _dmarc.%s", len(txt), domain)
	}
	record, err := dmarc.Parse(txt[0])
	if err != nil {
		return 0, err
	}
	if len(record.Aggregate) == 0 {
		return 0, errors.New("the policy asks for no reports")
	}
	report := dmarc.Report{
		OrgName: receiver, Email: "dmarc@" + receiver, ID: "demo-1", Begin: d.began, End: time.Now(),
		Generator: "postseal demo", Policy: dmarc.PublishedPolicyOf(domain, record), Rows: d.receiver.rows(receiver),
	}
	var text bytes.Buffer
	packed := gzip.NewWriter(&text)
	if err := errors.Join(report.WriteXML(packed), packed.Close()); err != nil {
		return 0, err
	}
	to := record.Aggregate[0].Address
	raw := fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <demo-1@%s>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: application/gzip; name=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s",
		report.Email, to, report.Subject(receiver), time.Now().Format(time.RFC1123Z), receiver, report.FileName(receiver), wrapped(base64.StdEncoding.EncodeToString(text.Bytes())))
	fields, err := dkim.SignMessage(bytes.NewReader(raw), dkim.Signing{Domain: receiver, Selector: mailerSelector, Key: d.mailer.key, Time: time.Now()})
	if err != nil {
		return 0, err
	}
	return report.Messages(), deliver("", d.server.IntakeAddr(), report.Email, []string{to}, append(bytes.Join(fields, nil), raw...))
}

// rows counts one receiver's messages by source, selector and result.
func (r *receiver) rows(name string) []dmarc.Row {
	type kind struct{ source, domain, selector, result, human string }
	counts := map[kind]int64{}
	for _, a := range r.messages() {
		if a.receiver != name {
			continue
		}
		k := kind{a.source, a.domain, a.selector, "fail", a.reason}
		if a.passed {
			k.result, k.human = "pass", ""
		}
		counts[k]++
	}
	var rows []dmarc.Row
	for k, n := range counts {
		row := dmarc.Row{SourceIP: k.source, Count: n, Disposition: "none", DKIM: dmarc.Result(k.result), SPF: "fail", HeaderFrom: domain}
		if k.selector != "" {
			row.DKIMResults = []dmarc.DKIMResult{{Domain: k.domain, Selector: k.selector, Result: k.result, Human: k.human}}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b dmarc.Row) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
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
