package agent

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/keystore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPace lets nothing wait that need not.
var testPace = Pace{
	RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond, PollWait: 2 * time.Second, PollGap: time.Millisecond, Report: time.Second,
	CheckMin: 5 * time.Millisecond, CheckMax: 50 * time.Millisecond, Save: 20 * time.Millisecond, Follow: 5 * time.Millisecond, Renew: 10 * time.Millisecond, Grace: 10 * time.Second,
}

// rig is an agent with a control plane and a DNS of its own.
type rig struct {
	mail  MailResolver // instead of dns
	t     testing.TB
	cfg   Config
	plane *fakePlane
	dns   *fakeDNS
	key   keystore.SealingKey
	log   *lockedBuffer
	now   func() time.Time
	canon dkim.Canonicalization
	level slog.Level
	pace  Pace
	// overHTTP lets the agent use the identity in its state directory instead of plane itself.
	overHTTP bool

	agent *Agent
	stop  func() error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	key, err := keystore.NewSealingKey(bytes.Repeat([]byte{1}, keystore.SealingKeySize))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, level: slog.LevelDebug, pace: testPace, plane: newFakePlane(), dns: newFakeDNS(), key: key, log: &lockedBuffer{},
		cfg: Config{
			StateDirectory: t.TempDir(), StatusSocket: "off",
			Listeners: []Listener{{Address: "127.0.0.1:0", Sign: "outbound"}, {Address: "127.0.0.1:0", Sign: "auto"}},
		},
	}
	if change != nil {
		change(&r.cfg)
	}
	return r
}

// start runs the agent until stop or the end of the test.
func (r *rig) start() *Agent {
	r.t.Helper()
	var mail Resolver = r.dns
	if r.mail != nil {
		mail = r.mail
	}
	deps := Deps{ControlPlane: r.plane, Resolver: mail, SealingKey: &r.key, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: r.level})), Now: r.now, Pace: r.pace}
	if r.overHTTP {
		deps.ControlPlane = nil
	}
	a, err := New(r.cfg, deps)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			r.t.Errorf("Run: %v", err)
		}
		if r.t.Failed() {
			r.t.Logf("log:\n%s", r.log)
		}
	})
	select {
	case <-a.Ready():
	case err := <-done:
		done <- err
		r.t.Fatalf("Run: %v", err)
	}
	r.agent = a
	return a
}

// assign adds an assignment with keys that are to be held.
func (r *rig) assign(domain string, keys ...agentapi.Key) {
	r.plane.want(func(in *agentapi.Instructions) {
		as := agentapi.Assignment{ID: "as-" + domain, Domain: domain, Stream: "default", NoKey: agentapi.NoKeyPass, Keys: keys}
		if r.canon == dkim.Simple {
			as.Signing.Canonicalization = "simple/simple"
		}
		in.Assignments = append(in.Assignments, as)
	})
}

// change changes one key's wishes.
func (r *rig) change(id string, f func(*agentapi.Key)) int64 {
	return r.plane.want(func(in *agentapi.Instructions) {
		for i := range in.Assignments {
			for j := range in.Assignments[i].Keys {
				if in.Assignments[i].Keys[j].ID == id {
					f(&in.Assignments[i].Keys[j])
				}
			}
		}
	})
}

// bring takes a key all the way until it signs mail: made, published, wanted.
func (r *rig) bring(domain, id, selector string, rank int) agentapi.KeyReport {
	r.t.Helper()
	made := r.made(id)
	r.dns.set(selector+"._domainkey."+domain, made.Record)
	r.change(id, func(k *agentapi.Key) { k.Want, k.Rank, k.Record = agentapi.WantSign, rank, made.Record })
	report := r.plane.awaitReport(r.t, id+" signing", func(rep agentapi.Report) bool { return keyReport(rep, id).Signing })
	return keyReport(report, id)
}

func (r *rig) made(id string) agentapi.KeyReport {
	r.t.Helper()
	report := r.plane.awaitReport(r.t, id+" made", func(rep agentapi.Report) bool {
		k := keyReport(rep, id)
		return k.Has && (k.Record != "" || r.recordWanted(id) != "")
	})
	k := keyReport(report, id)
	if k.Record == "" { // the instructions have it
		k.Record = r.recordWanted(id)
	}
	return k
}

// verified checks the message as a receiver does and returns the selectors of the signatures that pass.
func (r *rig) verified(raw string) []string {
	r.t.Helper()
	results, err := dkim.VerifyMessage(context.Background(), strings.NewReader(raw), dkim.VerifyOptions{Resolver: r.dns})
	if err != nil {
		r.t.Fatal(err)
	}
	var pass []string
	for _, res := range results {
		if res.Result != dkim.Pass {
			r.t.Errorf("signature of %s: %s %s (%v)", res.Selector, res.Result, res.Reason, res.Err)
			continue
		}
		pass = append(pass, res.Selector)
	}
	return pass
}

func rsaKey(id, selector string) agentapi.Key {
	return agentapi.Key{ID: id, Selector: selector, Algorithm: "rsa2048", Want: agentapi.WantHold}
}

func edKey(id, selector string) agentapi.Key {
	return agentapi.Key{ID: id, Selector: selector, Algorithm: "ed25519", Want: agentapi.WantHold}
}

func TestFromInstructionToSignedMail(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org", rsaKey("k-rsa", "mx1-a"), edKey("k-ed", "mx1-b"))
	a := r.start()
	r.bring("example.org", "k-rsa", "mx1-a", 1)
	r.bring("example.org", "k-ed", "mx1-b", 1)
	m := dialMTA(t, a, 0, mtaOptions{})
	for i := range 5 {
		o := m.send(simpleMail("Ann <ann@example.org>", strings.Repeat("line\r\n", i*20000)), 0)
		if got := strings.Join(r.verified(o.raw), " "); got != "mx1-a mx1-b" {
			t.Fatalf("message %d: signatures of %q pass", i, got)
		}
	}
	report := r.plane.awaitReport(t, "five signatures", func(rep agentapi.Report) bool { return keyReport(rep, "k-rsa").Signed == 5 })
	if k := keyReport(report, "k-ed"); k.Signed != 5 || k.SignedAgeSeconds < 0 || k.SignedAgeSeconds > 60 {
		t.Errorf("%+v", k)
	}
}

// recordWanted is the record that the instructions have for a key.
func (r *rig) recordWanted(id string) string {
	r.plane.mu.Lock()
	defer r.plane.mu.Unlock()
	for _, as := range r.plane.wanted.Assignments {
		for _, k := range as.Keys {
			if k.ID == id {
				return k.Record
			}
		}
	}
	return ""
}
