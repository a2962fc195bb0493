package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agent"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/intake"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/server"
	"github.com/postseal/postseal/internal/services"
)

// domain is what the demo's organisation sends from. Its zone is delegated to the control plane's own name server.
const domain = "example.com"

// fleetYAML is the whole configuration of the demo's control plane. %s: the resolver, the name server.
const fleetYAML = `# The fleet of the demo: two mail servers, and SendGrid for newsletters.
policy: {test_mode: true, min_wait: 2s, ttl: 1s, retention: 14s, tombstone: 3s, rotate_every: 180d}
dns: {resolvers: [%q], authorities: {example.com: [%q], wl4711.sendgrid.net: [%q]}}
publishers:
  own: {builtin: {zone: example.com}}
servers: {mx1: {addresses: [127.0.0.11]}, mx2: {addresses: [127.0.0.12]}}
domains:
  example.com:
    mode: managed
    publisher: own
    dmarc: "v=DMARC1; p=none; rua=mailto:dmarc@example.com"
    signers:
      - {server: mx1}
      - {server: mx2}
      - {service: sendgrid, cname: {s1: %s}}
`

// The demo ends by itself: each part has this long, far more than it needs.
const (
	startWithin  = 60 * time.Second
	rotateWithin = 60 * time.Second
	endWithin    = 60 * time.Second
	// before is how long mail flows before the rotation, and after.
	before = 2 * time.Second
)

// Options say how the demo runs.
type Options struct {
	Once bool      // go through it all once and stop; else run until ctx ends
	Say  io.Writer // what happens, for people
	Log  *slog.Logger
}

// mailServer is a mail server with its agent.
type mailServer struct {
	name  string
	agent *agent.Agent
	mta   *mta
}

type demo struct {
	o        Options
	dir      string
	began    time.Time
	dns      *resolver
	service  *service
	mailer   *mailer
	server   *server.Server
	client   *client.Client
	receiver *receiver
	servers  []*mailServer
	wg       sync.WaitGroup
	cancel   context.CancelFunc
}

// Run runs the demo. The error is what kept it from running at all; what went wrong with mail is in the Outcome.
func Run(ctx context.Context, o Options) (Outcome, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &demo{o: o, began: time.Now()}
	ctx, d.cancel = context.WithCancel(ctx)
	defer d.stop()
	if err := d.start(ctx); err != nil {
		return Outcome{}, err
	}
	outcome, err := d.play(ctx)
	if err != nil || o.Once {
		return outcome, err
	}
	outcome.WriteText(o.Say)
	d.say("still running; another shell can ask, for example:  %s status --data %s", os.Args[0], filepath.Join(d.dir, "control-plane"))
	d.say("a browser can, too: %sdomains/%s, with the token in %s (the certificate is the demo's own)", d.server.Console(), domain, d.server.AdminFile())
	d.say("stop with Ctrl-C")
	<-ctx.Done()
	return outcome, nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.o.Say, "%6.1fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// start brings every part up, in the order in which an organisation would.
func (d *demo) start(ctx context.Context) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "postseal-demo-"); err != nil {
		return fmt.Errorf("make a folder for throw-away data: %w", err)
	}
	if d.service, err = startService(ctx); err != nil {
		return fmt.Errorf("start the outside service: %w", err)
	}
	if d.mailer, err = startMailer(ctx); err != nil {
		return fmt.Errorf("start the receivers' name server: %w", err)
	}
	d.server, err = server.New(ctx, server.Config{
		Data: filepath.Join(d.dir, "control-plane"), Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1", "localhost"},
		Nameserver: "127.0.0.1:0", NameserverNames: []string{"ns1.postseal.example"}, NegativeTTL: time.Second,
		ReportEvery: time.Second, Poll: 100 * time.Millisecond, Logger: d.o.Log,
		Intake: intake.Config{SMTP: intake.SMTP{Listen: "127.0.0.1:0", Name: "reports." + domain}},
	})
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	d.background(func() error { return d.server.Run(ctx) })
	d.dns, err = startResolver(map[string]string{domain: d.server.NameserverAddr(), serviceZone: d.service.names.Addr(), receiverZone: d.mailer.names.Addr()})
	if err != nil {
		return fmt.Errorf("start the resolver: %w", err)
	}
	d.say("control plane on %s, its name server on %s, data in %s", d.server.URL(), d.server.NameserverAddr(), d.dir)
	if err := d.apply(ctx); err != nil {
		return err
	}
	if d.receiver, err = startReceiver(d.dns.client()); err != nil {
		return err
	}
	for i, name := range []string{"mx1", "mx2"} {
		m, err := d.startMailServer(ctx, name, fmt.Sprintf("127.0.0.%d", 11+i))
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		d.servers = append(d.servers, m)
	}
	return nil
}

func (d *demo) background(run func() error) {
	d.wg.Go(func() {
		if err := run(); err != nil && !errors.Is(err, context.Canceled) {
			d.o.Log.Error("a part of the demo stopped", "err", err)
			d.cancel()
		}
	})
}

// apply gives the control plane its fleet.yaml, as `postseal apply` does.
func (d *demo) apply(ctx context.Context) error {
	access, err := client.ReadAdmin(filepath.Join(d.dir, "control-plane"))
	if err != nil {
		return err
	}
	if d.client, err = client.New(access); err != nil {
		return err
	}
	catalogue, err := services.Load()
	if err != nil {
		return err
	}
	text := fmt.Sprintf(fleetYAML, d.dns.addr, d.server.NameserverAddr(), d.service.names.Addr(), d.service.target())
	f, err := inventory.ParseFleet("fleet.yaml", []byte(text), catalogue)
	if err != nil {
		return err
	}
	document, err := json.Marshal(f)
	if err != nil {
		return err
	}
	changes, err := d.client.Apply(ctx, client.FleetRequest{Fleet: document})
	if err != nil {
		return fmt.Errorf("apply the fleet: %w", err)
	}
	d.say("applied fleet.yaml: %d changes; test mode: waits are seconds instead of days", len(changes.Changes))
	return nil
}

// startMailServer joins an agent with a token, runs it, and starts a mail server whose milter it is.
func (d *demo) startMailServer(ctx context.Context, name, address string) (*mailServer, error) {
	token, err := d.client.AddJoinToken(ctx, client.JoinTokenRequest{Server: name})
	if err != nil {
		return nil, err
	}
	state := filepath.Join(d.dir, name)
	cfg := agent.Config{
		StateDirectory: state, StatusSocket: "off", SealingKey: agent.SealingKey{File: filepath.Join(d.dir, name+".sealing-key")},
		Listeners: []agent.Listener{{Address: "127.0.0.1:0", Sign: "auto"}}, Outbound: agent.Outbound{Listeners: []string{"submission"}},
		Resolver: []string{d.dns.addr},
	}
	key, _, err := cfg.JoinSealingKey()
	if err != nil {
		return nil, err
	}
	joined, err := agent.Join(ctx, cfg, key, d.server.URL(), token.Token)
	if err != nil {
		return nil, err
	}
	m := &mailServer{name: name}
	if m.agent, err = agent.New(cfg, agent.Deps{Log: d.o.Log.With("agent", name), SealingKey: &key, Pace: agent.Pace{
		RetryMin: 100 * time.Millisecond, RetryMax: time.Second, PollGap: 50 * time.Millisecond, Report: time.Second, CheckMin: 200 * time.Millisecond, CheckMax: time.Second,
		Grace: 2 * time.Second,
	}}); err != nil {
		return nil, err
	}
	d.background(func() error { return m.agent.Run(ctx) })
	select {
	case <-m.agent.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	listens := m.agent.Addrs()[0]
	if m.mta, err = startMTA(name, address, listens.Network(), listens.String(), d.receiver.addr()); err != nil {
		return nil, err
	}
	d.say("%s joined as %s; its milter listens on %s, its SMTP on %s", name, joined.ServerID, listens, m.mta.addr())
	return m, nil
}

// play lets mail flow, rotates both servers under it, and looks at what became of every message.
func (d *demo) play(ctx context.Context) (Outcome, error) {
	first, err := d.ready(ctx)
	if err != nil {
		return Outcome{}, err
	}
	flow := startTraffic(d.servers, d.service, d.receiver.addr())
	d.say("mail flows through %s and the service", "mx1, mx2")
	if err := pause(ctx, before); err != nil {
		flow.end()
		return Outcome{}, err
	}
	second, err := d.rotate(ctx, first)
	if err == nil {
		err = pause(ctx, before)
	}
	flow.end()
	if err != nil {
		return Outcome{}, err
	}
	outcome := d.judge(ctx, flow, first, second)
	d.say("verified all %d messages again: the old records still stand", len(d.receiver.messages()))
	if err := d.gone(ctx, first); err != nil {
		outcome.fail("%v", err)
	}
	if err := d.report(ctx, &outcome); err != nil {
		outcome.fail("the DMARC report: %v", err)
	}
	return outcome, nil
}

// ready waits until every mail server signs and the service's record stands, and returns each server's selector.
func (d *demo) ready(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	states := map[string]string{}
	active := map[string]string{}
	err := until(ctx, "both servers sign", func() (bool, error) {
		rows, err := d.rows(ctx)
		if err != nil {
			return false, err
		}
		service := false
		for _, r := range rows {
			d.tell(states, r)
			if r.SignerKind == "server" && d.signs(r) {
				active[r.Signer] = r.Selector
			}
			service = service || r.Signer == "sendgrid" && r.DNS == "agrees"
		}
		return len(active) == len(d.servers) && service, nil
	})
	return active, err
}

// signs reports whether a row is the key that its server signs with, acknowledged.
func (d *demo) signs(r client.StatusRow) bool {
	if r.State != "active" {
		return false
	}
	k, err := d.client.Key(context.Background(), domain, r.Selector)
	return err == nil && !k.Signing.IsZero()
}

func (d *demo) rows(ctx context.Context) ([]client.StatusRow, error) {
	page, err := d.client.Status(ctx, domain)
	if err != nil || len(page.Domains) == 0 {
		return nil, err
	}
	return page.Domains[0].Rows, nil
}

// tell prints a row of the status whose state has changed.
func (d *demo) tell(states map[string]string, r client.StatusRow) {
	name := r.Signer
	if name == "" {
		name = r.RecordName
	}
	id, now := name+" "+r.Selector, r.State
	if states[id] == now || now == "" || now == "none" {
		return
	}
	states[id] = now
	d.say("%-10s %-22s %-11s %s", name, r.Selector, now, r.Reason)
}

// rotate asks for a rotation of every server and waits until each signs with its new key.
func (d *demo) rotate(ctx context.Context, first map[string]string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, rotateWithin)
	defer cancel()
	d.say("rotating both servers, one after the other, while mail flows")
	if _, err := d.client.Rotate(ctx, domain, ""); err != nil {
		return nil, err
	}
	states := map[string]string{}
	second := map[string]string{}
	return second, until(ctx, "both servers sign with new keys", func() (bool, error) {
		rows, err := d.rows(ctx)
		for _, r := range rows {
			d.tell(states, r)
			if r.SignerKind == "server" && r.Selector != first[r.Signer] && d.signs(r) {
				second[r.Signer] = r.Selector
			}
		}
		return len(second) == len(d.servers), err
	})
}

// gone waits until the old keys' records have been revoked and removed.
func (d *demo) gone(ctx context.Context, first map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	states := map[string]string{}
	return until(ctx, "the old records are gone", func() (bool, error) {
		rows, err := d.rows(ctx)
		if err != nil {
			return false, err
		}
		left := 0
		for _, r := range rows {
			d.tell(states, r)
			if r.Selector != "" && slices.Contains(slices.Collect(maps.Values(first)), r.Selector) {
				left++
			}
		}
		return left == 0, nil
	})
}

// judge compares what was sent with what arrived, at arrival and now.
func (d *demo) judge(ctx context.Context, flow *traffic, first, second map[string]string) Outcome {
	o := Outcome{OK: true}
	kept, again := d.receiver.messages(), d.receiver.again(ctx)
	for _, m := range d.servers {
		s := ServerOutcome{Server: m.name, SelectorsBefore: []string{first[m.name]}, SelectorsAfter: []string{second[m.name]}, Sent: int(flow.sent[m.name].Load())}
		seen := map[string]int{}
		for i, a := range kept {
			if a.via != m.name {
				continue
			}
			if !a.signed {
				s.Unsigned++
			}
			if a.passed {
				s.VerifiedAtArrival++
				seen[a.selector]++
			} else {
				o.fail("%s: a message failed at arrival: %s %s", m.name, a.selector, a.reason)
			}
			if again[i].passed {
				s.VerifiedAtEnd++
			} else {
				o.fail("%s: a message failed at the end: %s %s", m.name, again[i].selector, again[i].reason)
			}
		}
		if s.Sent == 0 || s.VerifiedAtArrival != s.Sent || s.VerifiedAtEnd != s.Sent {
			o.fail("%s: %d sent, %d verified at arrival, %d at the end", m.name, s.Sent, s.VerifiedAtArrival, s.VerifiedAtEnd)
		}
		if seen[first[m.name]] == 0 || seen[second[m.name]] == 0 || len(seen) != 2 {
			o.fail("%s: selectors seen %v, expected %s and then %s", m.name, seen, first[m.name], second[m.name])
		}
		o.Servers = append(o.Servers, s)
	}
	s := ServiceOutcome{Service: "sendgrid", State: "published", Sent: int(flow.sent["sendgrid"].Load())}
	if rows, err := d.rows(ctx); err == nil {
		for _, r := range rows {
			if r.Signer == "sendgrid" {
				s.State = r.State
			}
		}
	}
	for _, a := range kept {
		if a.via == "sendgrid" && a.passed {
			s.Verified++
		}
	}
	if s.Sent == 0 || s.Verified != s.Sent {
		o.fail("the service: %d sent, %d verified", s.Sent, s.Verified)
	}
	o.Services = append(o.Services, s)
	if n := flow.failed.Load(); n > 0 {
		o.fail("%d messages could not be submitted", n)
	}
	return o
}

func (o *Outcome) fail(format string, args ...any) {
	const most = 10
	o.OK = false
	if len(o.Problems) < most {
		o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// stop ends everything in reverse order of start and removes the data.
func (d *demo) stop() {
	for _, m := range slices.Backward(d.servers) {
		m.mta.stop()
	}
	d.cancel()
	d.wg.Wait()
	if d.client != nil {
		d.client.Close()
	}
	if d.receiver != nil {
		d.receiver.stop()
	}
	if d.dns != nil {
		d.dns.stop()
	}
	if d.mailer != nil && d.mailer.names != nil {
		_ = d.mailer.names.Stop(context.Background())
	}
	if d.service != nil {
		_ = d.service.names.Stop(context.Background())
	}
	if d.dir != "" {
		_ = os.RemoveAll(d.dir)
	}
}
