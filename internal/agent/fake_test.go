package agent

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// fakePlane is a control plane in the same process. Its fields are guarded by mu; bump wakes waiting polls.
type fakePlane struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	wanted  agentapi.Instructions
	reports []agentapi.Report
	down    bool
	polls   int
}

func newFakePlane() *fakePlane {
	return &fakePlane{changed: make(chan struct{}), wanted: agentapi.Instructions{Installation: "inst-1", Epoch: 1}}
}

// want changes the instructions and makes them a new version.
func (p *fakePlane) want(change func(*agentapi.Instructions)) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.wanted
	in.Assignments = nil
	for _, as := range p.wanted.Assignments {
		as.Keys = append([]agentapi.Key(nil), as.Keys...)
		in.Assignments = append(in.Assignments, as)
	}
	change(&in)
	in.Version++
	p.wanted = in
	p.wake()
	return in.Version
}

func (p *fakePlane) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	p.wake()
}

func (p *fakePlane) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

var errDown = fault.New(fault.Unavailable, "the control plane is down")

func (p *fakePlane) Join(context.Context, agentapi.JoinRequest) (agentapi.JoinResponse, error) {
	return agentapi.JoinResponse{}, fault.New(fault.Invalid, "not here")
}

func (p *fakePlane) Renew(context.Context, agentapi.RenewRequest) (agentapi.RenewResponse, error) {
	return agentapi.RenewResponse{}, fault.New(fault.Invalid, "not here")
}

func (p *fakePlane) Poll(ctx context.Context, r agentapi.PollRequest) (agentapi.Instructions, error) {
	timeout := time.After(time.Duration(r.WaitSeconds) * time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.polls++
	for {
		if p.down {
			return agentapi.Instructions{}, errDown
		}
		if p.wanted.Version != r.Have {
			return p.wanted, nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			p.mu.Lock()
			return agentapi.Instructions{}, ctx.Err()
		case <-timeout:
			p.mu.Lock()
			return agentapi.Instructions{Unchanged: true}, nil
		case <-changed:
			p.mu.Lock()
		}
	}
}

func (p *fakePlane) Report(_ context.Context, r agentapi.Report) (agentapi.ReportResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return agentapi.ReportResponse{}, errDown
	}
	p.reports = append(p.reports, r)
	p.wake()
	return agentapi.ReportResponse{Latest: p.wanted.Version}, nil
}

// awaitReport waits for a report that satisfies ok.
func (p *fakePlane) awaitReport(t testing.TB, what string, ok func(agentapi.Report) bool) agentapi.Report {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		var last agentapi.Report
		if n := len(p.reports); n > 0 {
			last = p.reports[n-1]
		}
		changed := p.changed
		p.mu.Unlock()
		if last.Version != 0 && ok(last) {
			return last
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no report with %s; the last one is %+v", what, last)
		}
	}
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// await waits for a condition that nobody announces.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func keyReport(r agentapi.Report, id string) agentapi.KeyReport {
	for _, k := range r.Keys {
		if k.ID == id {
			return k
		}
	}
	return agentapi.KeyReport{}
}

// fakeDNS answers TXT queries from a map.
type fakeDNS struct {
	mu     sync.Mutex
	txt    map[string][]string
	broken bool
	failed map[string]bool // names with temporary trouble
	stuck  bool            // no answer before the context ends
	asked  int
}

func newFakeDNS() *fakeDNS { return &fakeDNS{txt: map[string][]string{}} }

func (d *fakeDNS) set(name string, txt ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.txt[name] = txt
}

// LookupTXTSecure and what follows make it a MailResolver; there are no records but TXT.
func (d *fakeDNS) LookupTXTSecure(ctx context.Context, name string) ([]string, bool, error) {
	txt, err := d.LookupTXT(ctx, name)
	return txt, false, err
}

func (d *fakeDNS) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (d *fakeDNS) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (d *fakeDNS) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
}

func (d *fakeDNS) Exists(context.Context, string) (bool, error) { return true, nil }

func (d *fakeDNS) setBroken(broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = broken
}

func (d *fakeDNS) fail(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = map[string]bool{}
	}
	d.failed[name] = true
}

func (d *fakeDNS) stall() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = true
}

func (d *fakeDNS) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *fakeDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	d.mu.Lock()
	stuck := d.stuck
	d.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true, IsTemporary: true}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.broken || d.failed[name] {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	if txt := d.txt[name]; len(txt) > 0 {
		return txt, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
