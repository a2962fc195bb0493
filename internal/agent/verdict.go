package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"blitiri.com.ar/go/spf"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/authres"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mailauth"
)

// tagField is what the action tag adds. Fields of that name from outside are removed.
const tagField = "X-Postseal-Tag"

// MailResolver is what verifying mail asks of DNS; *resolver.Cache is one.
type MailResolver = mailauth.Resolver

// canVerify refuses settings that verify mail with a resolver that cannot be asked for all of it.
func (a *Agent) canVerify(set *settings) error {
	for _, l := range set.listeners {
		if l.verify && a.mail == nil {
			return fault.New(fault.Invalid, "the listener at %s verifies mail, and the resolver in use answers for TXT records only", l.address)
		}
	}
	return nil
}

// verdict is what is known of a message in the end.
type verdict struct {
	overload bool // nothing was looked at

	dkim     []dkim.Result
	begins   []string     // header.b of each
	spf      mailauth.SPF // its result is "" = not looked at
	mailFrom string
	dmarc    *dmarc.Evaluation // nil = not looked at
	dmarcWhy string

	action  action
	because string // what led to the action: "dkim=fail reason=body_hash_mismatch"
	trigger string // its method
}

// judge asks DNS for what the message claims.
func (m *incoming) judge(ctx context.Context) (v verdict) {
	start := m.agent.now()
	defer func() { m.judging = m.agent.now().Sub(start) }()
	v.dkim = m.verifier.Finish(ctx)
	v.begins = authres.SignaturePrefixes(m.begins)
	if m.set.verify.spf {
		v.mailFrom = m.sender.from
		v.spf = mailauth.CheckSPF(ctx, m.dns, m.sender.client, m.sender.helo, m.sender.from)
	}
	if m.set.verify.dmarc {
		m.checkDMARC(ctx, &v)
	}
	return v
}

// checkDMARC evaluates the author's domain.
func (m *incoming) checkDMARC(ctx context.Context, v *verdict) {
	// A field that could not be looked at changes nothing else: else whoever forges could have his mail escape by adding one.
	if len(m.from) == 0 && m.lost > 0 {
		v.dmarc, v.dmarcWhy = &dmarc.Evaluation{Result: dmarc.PermError}, string(ReasonHeaderSyntax)
		return
	}
	out, why := mailauth.CheckDMARC(ctx, m.dns, m.from, v.dkim, v.spf)
	v.dmarc, v.dmarcWhy = &out, why
}

// decide finds the strictest action that a result asks for.
func (v *verdict) decide(set *verifySettings) {
	if v.overload {
		return
	}
	consider := func(a action, method, text string) {
		if a > v.action {
			v.action, v.trigger, v.because = a, method, text
		}
	}
	best := dkim.Best(v.dkim)
	text := "dkim=" + string(best)
	for _, r := range v.dkim {
		if r.Result == best && r.Reason != "" {
			text += " reason=" + string(r.Reason)
			break
		}
	}
	if best != dkim.Pass {
		consider(set.dkimActions[string(best)], "dkim", text)
	}
	if v.spf.Result != "" && v.spf.Result != string(spf.Pass) {
		consider(set.spfActions[v.spf.Result], "spf", v.spf.String())
	}
	if v.dmarc == nil {
		return
	}
	switch v.dmarc.Result {
	case dmarc.Fail:
		consider(set.dmarcAction[string(v.dmarc.Requested)], "dmarc", "dmarc=fail policy="+string(v.dmarc.Requested))
	case dmarc.TempError, dmarc.PermError:
		consider(set.dmarcAction[string(v.dmarc.Result)], "dmarc", "dmarc="+string(v.dmarc.Result)+" reason="+v.dmarcWhy)
	}
}

// refusal is what the SMTP client is told. The codes are those of RFC 7372 §3 and, for DMARC, RFC 9989 §8.
func (v *verdict) refusal() string {
	permanent := v.action == actReject
	switch v.trigger {
	case "dkim":
		code := "5.7.20" // no passing signature
		if !permanent {
			code = "4.7.20"
		}
		return fmt.Sprintf("%s No passing DKIM signature (%s)", code, v.because)
	case "spf":
		code := "5.7.23"
		if v.spf.Result == string(spf.TempError) || v.spf.Result == string(spf.PermError) {
			code = "5.7.24"
		}
		if !permanent {
			code = "4" + code[1:]
		}
		return fmt.Sprintf("%s SPF validation of %s (%s)", code, v.spf.Domain, v.because)
	}
	code := "5.7.1"
	if !permanent {
		code = "4.7.1"
	}
	from := "the author's domain"
	if v.dmarc != nil && v.dmarc.From != "" {
		from = v.dmarc.From
	}
	return fmt.Sprintf("%s DMARC policy of %s (%s)", code, from, v.because)
}

// field is the verdict as Authentication-Results.
func (v *verdict) field(id string) authres.Field {
	f := authres.Field{ID: id}
	if len(v.dkim) == 0 {
		f.Results = append(f.Results, authres.Result{Method: "dkim", Value: string(dkim.None)})
	}
	for i, r := range v.dkim {
		begin := ""
		if i < len(v.begins) {
			begin = v.begins[i]
		}
		out := authres.Result{Method: "dkim", Value: string(r.Result), Reason: string(r.Reason), Properties: []authres.Property{
			{Type: "header", Name: "d", Value: r.Domain}, {Type: "header", Name: "i", Value: identityOf(r)}, {Type: "header", Name: "s", Value: r.Selector},
			{Type: "header", Name: "a", Value: r.Algorithm}, {Type: "header", Name: "b", Value: begin},
		}}
		if r.KeyBits > 0 {
			out.Comment = strconv.Itoa(r.KeyBits) + "-bit key"
			if r.Testing {
				out.Comment += ", testing"
			}
			if r.Authentic {
				out.Comment += ", DNSSEC"
			}
		}
		if len(f.Results) < dkim.MaxSignatures {
			f.Results = append(f.Results, out)
		}
	}
	if v.spf.Result != "" {
		r := authres.Result{Method: "spf", Value: v.spf.Result, Reason: v.spf.Reason}
		if v.spf.HELO {
			r.Properties = []authres.Property{{Type: "smtp", Name: "helo", Value: v.spf.Domain}}
		} else {
			r.Properties = []authres.Property{{Type: "smtp", Name: "mailfrom", Value: v.mailFrom}}
		}
		f.Results = append(f.Results, r)
	}
	if v.dmarc != nil {
		r := authres.Result{Method: "dmarc", Value: string(v.dmarc.Result), Reason: v.dmarcWhy}
		if v.dmarc.Record != nil {
			r.Comment = "p=" + string(v.dmarc.Policy)
			if v.dmarc.Requested != v.dmarc.Policy {
				r.Comment += " t=y"
			}
		}
		r.Properties = []authres.Property{{Type: "header", Name: "from", Value: v.dmarc.From}}
		f.Results = append(f.Results, r)
	}
	return f
}

// identityOf is i= with its default (RFC 6376 §3.5).
func identityOf(r dkim.Result) string {
	if r.Identity == "" && r.Domain != "" {
		return "@" + r.Domain
	}
	return r.Identity
}

// count adds the verdict to the totals.
func (m *incoming) count(v *verdict) {
	c := &m.agent.counters.verdicts
	if v.overload {
		c.add("trouble", string(ReasonOverload))
		return
	}
	best := dkim.Best(v.dkim)
	reason := ""
	for _, r := range v.dkim {
		if r.Result == best {
			reason = string(r.Reason)
			break
		}
	}
	c.add("dkim", string(best), reason)
	if v.spf.Result != "" {
		c.add("spf", v.spf.Result, v.spf.Reason)
	}
	if v.dmarc != nil {
		c.add("dmarc", string(v.dmarc.Result), string(v.dmarc.Requested))
	}
	c.add("action", v.action.String())
	c.times.add(messageTimes{lookup: m.dns.spent, hash: m.hashing, sign: m.judging - m.dns.spent})
	m.agent.counters.dirty.Store(true)
}

// maxDifferences bounds what one line of the log says of a broken header.
const maxDifferences = 5

// report writes the verdict to the log.
func (m *incoming) report(v *verdict) {
	ctx := context.Background()
	if !m.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attributes := []slog.Attr{slog.String("queue_id", m.queueID), slog.String("action", v.action.String())}
	if v.overload {
		attributes = append(attributes, slog.String("reason", string(ReasonOverload)))
	}
	for i, r := range v.dkim {
		if i == dkim.MaxSignatures {
			break
		}
		text := string(r.Result) + " d=" + r.Domain + " s=" + r.Selector
		if r.Reason != "" {
			text += " reason=" + string(r.Reason)
		}
		for _, d := range r.Headers[:min(len(r.Headers), maxDifferences)] {
			text += "; " + d.String()
		}
		attributes = append(attributes, slog.String("dkim", text))
	}
	if v.spf.Result != "" {
		attributes = append(attributes, slog.String("spf", v.spf.String()), slog.String("mail_from", v.mailFrom))
	}
	if v.dmarc != nil {
		attributes = append(attributes, slog.String("dmarc", string(v.dmarc.Result)), slog.String("from", v.dmarc.From), slog.String("policy", string(v.dmarc.Requested)))
	}
	m.log.LogAttrs(ctx, slog.LevelInfo, "verified", attributes...)
}
