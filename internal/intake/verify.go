package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/mailauth"
	"github.com/postseal/postseal/internal/report"
)

// verify looks at a mail as a receiver does. Trouble with DNS is in the verdict. closely looks for what broke the signatures that fail, too.
func (in *Intake) verify(ctx context.Context, i *input, h *header, closely bool) Verdict {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	v := Verdict{At: i.at, Way: i.way, Place: i.place, MessageID: h.messageID, Subject: h.subject, Hops: h.hops, Received: h.received}
	if len(h.from) == 1 {
		_, v.From, _ = mailauth.Author(h.from[0])
	}
	var sender mailauth.SPF
	if e := i.envelope; e != nil {
		v.Peer, v.HELO, v.MailFrom, v.TLS = e.peer, oneLine(e.helo), oneLine(e.from), e.tls
		sender = mailauth.CheckSPF(ctx, in.needs.DNS, e.peer, e.helo, e.from)
		v.SPF = SPF{Result: sender.Result, Reason: sender.Reason, Domain: sender.Domain, HELO: sender.HELO}
	}
	options := dkim.VerifyOptions{Resolver: in.needs.DNS, Now: in.now}
	results, err := dkim.VerifyMessage(ctx, bytes.NewReader(i.mail), options)
	if h.tlsReport && slices.ContainsFunc(results, forOtherService) && onlyTLS(i.octets) {
		// Keys that are for TLS reports alone vouch for these and for nothing else.
		options.AlsoService = "tlsrpt"
		results, err = dkim.VerifyMessage(ctx, bytes.NewReader(i.mail), options)
	}
	if err != nil && len(results) == 0 { // the header is too large
		v.Signatures = []Signature{{Result: string(dkim.Policy), Reason: string(dkim.ReasonHeaderTooLarge)}}
	}
	evaluation, why := mailauth.CheckDMARC(ctx, in.needs.DNS, h.from, results, sender)
	v.DMARC = DMARC{Result: string(evaluation.Result), Reason: why, PolicyDomain: evaluation.PolicyDomain, Policy: string(evaluation.Policy)}
	v.SPF.Aligned = evaluation.SPFAligned
	aligned := evaluation.DKIMAligned
	if closely {
		aligned = append(aligned, in.alsoAligned(ctx, v.From, results)...)
	}
	for _, r := range results {
		s := Signature{
			Domain: r.Domain, Selector: r.Selector, Algorithm: r.Algorithm, Result: string(r.Result), Reason: string(r.Reason), Bits: r.KeyBits, Testing: r.Testing,
			Aligned: slices.Contains(aligned, r.Domain) || evaluation.Record == nil && r.Aligned,
		}
		if r.Err != nil {
			s.Detail = oneLine(r.Err.Error())
		}
		if closely && len(i.mail) <= maxExplained && (r.Reason == dkim.ReasonBodyHashMismatch || r.Reason == dkim.ReasonSignatureMismatch) {
			open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(i.mail)), nil }
			if e, err := dkim.Explain(ctx, open, options, r); err == nil {
				s.Cause, s.CauseText, s.Proven = string(e.Cause), oneLine(e.Text), e.Proven
			}
		}
		v.Signatures = append(v.Signatures, s)
	}
	return v
}

func forOtherService(r dkim.Result) bool { return r.Reason == dkim.ReasonKeyServiceMismatch }

// onlyTLS reports whether there are SMTP TLS reports in an input, and no reports of another type.
func onlyTLS(octets []byte) bool {
	stop := errors.New("a row is enough")
	documents, problems := report.Open("", octets)
	other := func(d report.Document) bool {
		parsed, err := report.Parse(d, func(*dmarc.Row) error { return stop })
		return err != nil || parsed.Type != report.TLS
	}
	return len(documents) > 0 && len(problems) == 0 && !slices.ContainsFunc(documents, other)
}

// alsoAligned are the domains of signatures that did not pass and would stand for the author if they had.
func (in *Intake) alsoAligned(ctx context.Context, from string, results []dkim.Result) []string {
	m := dmarc.Message{From: from}
	for _, r := range results {
		if r.Result != dkim.Pass && r.Domain != "" {
			m.DKIM = append(m.DKIM, r.Domain)
		}
	}
	if len(m.DKIM) == 0 || from == "" {
		return nil
	}
	e := dmarc.Evaluator{Resolver: in.needs.DNS}
	out, _ := e.Evaluate(ctx, m) // without DNS there is no record, and the names alone decide
	return out.DKIMAligned
}
