package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/probe"
)

const probesYAML = "probes: {address: probe@reports.example.com}\n"

func TestProbesAskedFor(t *testing.T) {
	b := newBench(t, nil)
	ctx := t.Context()
	operator := b.as(t, b.tokens[access.Operator])
	_, err := operator.AskProbes(ctx, client.ProbeAsk{Server: "mx1"})
	wantCode(t, err, fault.Invalid)
	if !strings.Contains(err.Error(), "no address for probes") {
		t.Errorf("%v", err)
	}
	b.apply(t, fleetYAML+probesYAML)
	for _, ask := range []client.ProbeAsk{{}, {Server: "mx1", Service: "google-workspace"}, {Service: "sendgrid"}} {
		_, err := operator.AskProbes(ctx, ask)
		wantCode(t, err, fault.Invalid)
	}
	for _, ask := range []client.ProbeAsk{{Server: "mx9"}, {Server: "mx1", Domain: "nowhere.example"}, {Server: "mx1", Domain: "example.net"}} {
		_, err := operator.AskProbes(ctx, ask)
		wantCode(t, err, fault.NotFound)
	}
	asked, err := operator.AskProbes(ctx, client.ProbeAsk{Server: "MX1", Domain: "Example.ORG."})
	must(t, err)
	if len(asked.Probes) != 1 || asked.Probes[0].State != "asked" || asked.Probes[0].By != "operator-ann" || asked.Probes[0].Address != "" || asked.Probes[0].Deadline.IsZero() || asked.Address != "probe@reports.example.com" {
		t.Fatalf("%+v", asked)
	}
	list, err := b.as(t, b.tokens[access.Viewer]).Probes(ctx, client.ProbeFilter{Domain: "example.org", Signer: "mx1", State: "asked", Limit: 1})
	must(t, err)
	if len(list.Probes) != 1 || list.Probes[0].Probe != asked.Probes[0].Probe || list.Now.IsZero() {
		t.Errorf("%+v", list)
	}
	for _, f := range []client.ProbeFilter{{Domain: "example.net"}, {Signer: "mx2"}, {State: "lost"}} {
		if list, err := operator.Probes(ctx, f); err != nil || len(list.Probes) != 0 {
			t.Errorf("%+v: %+v, %v", f, list, err)
		}
	}
	_, err = operator.Probe(ctx, "prb_nothing")
	wantCode(t, err, fault.NotFound)
}

// What arrived is shown with all that was seen of it.
func TestProbeShown(t *testing.T) {
	b := newBench(t, nil)
	ctx := t.Context()
	b.apply(t, fleetYAML+probesYAML)
	prober := probe.New(b.store)
	made, err := prober.Ask(ctx, probe.Request{Signer: "mx1", Domain: "example.org", By: "ann"})
	must(t, err)
	token := strings.TrimPrefix(made[0].Address[:strings.IndexByte(made[0].Address, '@')], "probe+")
	must(t, prober.Arrived(ctx, token, probe.Mail{
		At: time.Now(), Peer: "192.0.2.9", HELO: "mx1.example.org", EnvelopeFrom: "postmaster@example.org", From: "example.org", Hops: 3, SPF: probe.SPF{Result: "softfail", Domain: "example.org"},
		DMARC:      probe.DMARC{Result: "fail", Policy: "none"},
		Signatures: []probe.Signature{{Domain: "example.org", Selector: "old", Algorithm: "rsa-sha256", Result: dkim.Fail, Reason: dkim.ReasonBodyHashMismatch, Aligned: true}},
	}))
	p, err := b.as(t, b.tokens[access.Viewer]).Probe(ctx, made[0].ID)
	must(t, err)
	m, v := p.Mail, p.Verdict
	if p.State != "arrived" || p.Good || p.Ended.IsZero() || !p.Deadline.IsZero() || v == nil || v.Outcome != "body_changed" || v.Fix == "" || len(v.Notes) != 3 || m == nil || m.Hops != 3 || m.SPF != "softfail" || m.DMARCPolicy != "none" ||
		m.Peer != "192.0.2.9" || len(m.Signatures) != 1 || m.Signatures[0] != (client.ProbeSignature{Domain: "example.org", Selector: "old", Algorithm: "rsa-sha256", Result: "fail", Reason: "body_hash_mismatch", Aligned: true}) {
		t.Errorf("%+v\n%+v\n%+v", p, v, m)
	}
}

// Whoever is limited to some domains neither asks for nor sees probes of others.
func TestProbesWithinLabels(t *testing.T) {
	b := newBench(t, nil)
	ctx := t.Context()
	b.apply(t, fleetYAML+probesYAML)
	theirs, err := b.admin(t).AskProbes(ctx, client.ProbeAsk{Server: "web1"})
	must(t, err)
	carl := b.as(t, b.user(t, "carl", access.Operator, "customer-a"))
	_, err = carl.AskProbes(ctx, client.ProbeAsk{Server: "web1", Domain: "example.net"})
	wantCode(t, err, fault.NotFound)
	_, err = carl.AskProbes(ctx, client.ProbeAsk{Server: "mx1"})
	wantCode(t, err, fault.Denied)
	_, err = carl.Probe(ctx, theirs.Probes[0].Probe)
	wantCode(t, err, fault.NotFound)
	own, err := carl.AskProbes(ctx, client.ProbeAsk{Server: "mx1", Domain: "example.org"})
	must(t, err)
	list, err := carl.Probes(ctx, client.ProbeFilter{})
	must(t, err)
	if len(list.Probes) != 1 || list.Probes[0].Probe != own.Probes[0].Probe {
		t.Errorf("%+v", list)
	}
}
