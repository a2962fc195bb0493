package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
)

func TestLifeOfAKey(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org", edKey("old", "s1"), edKey("new", "s2"))
	a := r.start()
	r.made("new")
	m := dialMTA(t, a, 0, mtaOptions{})
	sign := func() string {
		t.Helper()
		return strings.Join(r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw), " ")
	}
	if got := sign(); got != "" {
		t.Fatalf("signed by %q while the keys are only held", got)
	}
	r.wantReason(ReasonNoKey, 1)

	r.bring("example.org", "old", "s1", 1)
	if got := sign(); got != "s1" {
		t.Fatalf("signed by %q", got)
	}
	// Both may sign: the higher rank does, the other stands by.
	r.bring("example.org", "new", "s2", 2)
	report := r.plane.awaitReport(t, "old standing by", func(rep agentapi.Report) bool { return !keyReport(rep, "old").Signing })
	if k := keyReport(report, "old"); k.Signed != 1 || !k.Has || k.SignedAgeSeconds < 0 {
		t.Errorf("old: %+v", k)
	}
	if got := sign(); got != "s2" {
		t.Fatalf("signed by %q", got)
	}
	// Fallback: the control plane demotes the new key.
	r.change("new", func(k *agentapi.Key) { k.Rank = 0 })
	r.plane.awaitReport(t, "old signing again", func(rep agentapi.Report) bool {
		return keyReport(rep, "old").Signing && !keyReport(rep, "new").Signing
	})
	if got := sign(); got != "s1" {
		t.Fatalf("signed by %q", got)
	}
	r.change("new", func(k *agentapi.Key) { k.Rank = 2 })
	r.change("old", func(k *agentapi.Key) { k.Want = agentapi.WantStop })
	report = r.plane.awaitReport(t, "new signing", func(rep agentapi.Report) bool {
		return keyReport(rep, "new").Signing && !keyReport(rep, "old").Signing
	})
	if !keyReport(report, "old").Has {
		t.Error("a key that stopped is gone")
	}
	// A stopped key that no instruction names any more is kept, and destroyed only on request.
	version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments[0].Keys = in.Assignments[0].Keys[1:] })
	report = r.plane.awaitReport(t, "old not named", func(rep agentapi.Report) bool { return rep.Applied == version })
	if k := keyReport(report, "old"); !k.Has || k.Signing {
		t.Errorf("old: %+v", k)
	}
	if s := a.Status(); len(s.Stored) != 1 || s.Stored[0].ID != "old" {
		t.Errorf("stored: %+v", s.Stored)
	}
	r.plane.want(func(in *agentapi.Instructions) {
		k := edKey("old", "s1")
		k.Want = agentapi.WantDestroy
		in.Assignments[0].Keys = append(in.Assignments[0].Keys, k)
	})
	report = r.plane.awaitReport(t, "old destroyed", func(rep agentapi.Report) bool { return keyReport(rep, "old").Destroyed })
	if k := keyReport(report, "old"); k.Has || k.Signing || k.Signed != 2 {
		t.Errorf("old: %+v", k)
	}
	if _, err := os.Stat(filepath.Join(r.cfg.StateDirectory, "keys", "old.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the destroyed key is on disk: %v", err)
	}
	if got := sign(); got != "s2" {
		t.Fatalf("signed by %q", got)
	}
	// What was destroyed does not come back under the same id.
	r.change("old", func(k *agentapi.Key) { k.Want = agentapi.WantHold })
	report = r.plane.awaitReport(t, "refusal", func(rep agentapi.Report) bool { return keyReport(rep, "old").Error != "" })
	if k := keyReport(report, "old"); k.Has || !strings.Contains(k.Error, "destroyed") {
		t.Errorf("old: %+v", k)
	}
}

func TestCanaries(t *testing.T) {
	r := newRig(t, nil)
	key := rsaKey("k", "s1")
	key.Canary = "nonce-1"
	r.assign("example.org", key)
	r.start()
	canary := func(nonce string) agentapi.KeyReport {
		t.Helper()
		rep := r.plane.awaitReport(t, "canary "+nonce, func(rep agentapi.Report) bool { return keyReport(rep, "k").CanaryNonce == nonce })
		return keyReport(rep, "k")
	}
	k := canary("nonce-1")
	r.dns.set("s1._domainkey.example.org", k.Record)
	raw := string(k.Canary)
	if got := r.verified(raw); len(got) != 1 || got[0] != "s1" {
		t.Fatalf("signatures of %q pass\n%s", got, raw)
	}
	if k.Signing || k.Signed != 0 {
		t.Errorf("a canary counts as mail: %+v", k)
	}
	if strings.Count(raw, agentapi.CanaryNonceHeader+": nonce-1\r\n") != 1 {
		t.Errorf("no nonce:\n%s", raw)
	}
	// The nonce is signed and oversigned.
	for _, forged := range []string{strings.Replace(raw, "nonce-1", "nonce-2", 1), agentapi.CanaryNonceHeader + ": nonce-2\r\n" + raw} {
		results, err := dkim.VerifyMessage(t.Context(), strings.NewReader(forged), dkim.VerifyOptions{Resolver: r.dns})
		if err != nil || len(results) != 1 || results[0].Result == dkim.Pass {
			t.Errorf("a forged nonce: %+v, %v", results, err)
		}
	}
	r.change("k", func(k *agentapi.Key) { k.Canary = "nonce-2" })
	canary("nonce-2")
	r.change("k", func(k *agentapi.Key) { k.Canary = "" })
	canary("")
	r.change("k", func(k *agentapi.Key) { k.Canary = "two\r\nlines" })
	r.plane.awaitReport(t, "refusal", func(rep agentapi.Report) bool {
		return strings.Contains(keyReport(rep, "k").Error, "nonce")
	})
}

// Many canaries go out in turn, so that no report grows beyond the contract's limit and none is forgotten.
func TestCanariesTakeTurns(t *testing.T) {
	f := &fleetState{keys: map[string]*keyState{}}
	var ids []string
	for i := range canariesPerReport*2 + 50 {
		id := "k" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
		ids = append(ids, id)
		f.keys[id] = &keyState{more: &keyTrouble{canary: []byte("x")}}
	}
	seen := map[string]int{}
	for range 3 {
		picked := f.nextCanaries(ids)
		if len(picked) != canariesPerReport {
			t.Fatalf("%d picked", len(picked))
		}
		for id := range picked {
			seen[id]++
		}
	}
	if len(seen) != len(ids) {
		t.Errorf("%d of %d canaries went out", len(seen), len(ids))
	}
	f.keys = map[string]*keyState{"a": {more: &keyTrouble{canary: []byte("x")}}, "b": {}}
	for range 2 {
		if picked := f.nextCanaries([]string{"a", "b"}); len(picked) != 1 || !picked["a"] {
			t.Errorf("picked %v", picked)
		}
	}
}

// A key signs only after this server saw its record itself.
func TestOwnRecordIsCheckedFirst(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org", edKey("old", "s1"), edKey("new", "s2"))
	a := r.start()
	r.bring("example.org", "old", "s1", 1)
	made := r.made("new")
	m := dialMTA(t, a, 0, mtaOptions{})
	signedBy := func() string {
		t.Helper()
		return strings.Join(r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw), " ")
	}
	other, err := dkim.GenerateKey(dkim.Ed25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := dkim.FormatKeyRecord(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	r.change("new", func(k *agentapi.Key) { k.Want, k.Rank = agentapi.WantSign, 2 })
	const name = "s2._domainkey.example.org"
	for _, c := range []struct {
		txt  []string
		want string
	}{
		{nil, "finds no record"},
		{[]string{foreign}, "another key"},
		{[]string{made.Record, foreign}, "2 records"},
		{[]string{"v=spf1 -all"}, "not a key record"},
		{[]string{"v=DKIM1; k=ed25519; p="}, "revoked"},
		{[]string{strings.Replace(made.Record, "k=", "h=sha1; k=", 1)}, "other hashes"},
		{[]string{strings.Replace(made.Record, "k=", "s=tlsrpt; k=", 1)}, "not for mail"},
	} {
		r.dns.set(name, c.txt...)
		report := r.plane.awaitReport(t, c.want, func(rep agentapi.Report) bool { return strings.Contains(keyReport(rep, "new").Error, c.want) })
		if keyReport(report, "new").Signing || !keyReport(report, "old").Signing {
			t.Errorf("%s: %+v", c.want, report.Keys)
		}
		if got := signedBy(); got != "s1" {
			t.Errorf("%s: signed by %q", c.want, got)
		}
	}
	r.dns.setBroken(true)
	r.plane.awaitReport(t, "DNS trouble", func(rep agentapi.Report) bool {
		return strings.Contains(keyReport(rep, "new").Error, "at the moment")
	})
	r.dns.set(name, made.Record)
	r.dns.setBroken(false)
	report := r.plane.awaitReport(t, "new signing", func(rep agentapi.Report) bool { return keyReport(rep, "new").Signing })
	if e := keyReport(report, "new").Error; e != "" {
		t.Errorf("error %q stays", e)
	}
	if got := signedBy(); got != "s2" {
		t.Errorf("signed by %q", got)
	}
	// Seen once is enough: a restart with DNS away goes on with the key.
	r.dns.setBroken(true)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	a = r.start()
	r.dns.setBroken(false)
	m = dialMTA(t, a, 0, mtaOptions{})
	if got := signedBy(); got != "s2" {
		t.Errorf("after a restart: signed by %q", got)
	}
}

func TestRecordCheckCanBeOff(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CheckRecord = "off" })
	key := edKey("k", "s1")
	key.Want = agentapi.WantSign
	r.assign("example.org", key)
	r.start()
	r.plane.awaitReport(t, "signing", func(rep agentapi.Report) bool { return keyReport(rep, "k").Signing })
	if r.dns.asked != 0 {
		t.Errorf("%d look-ups", r.dns.asked)
	}
}

func TestWishesThatCannotBeMetAreSaid(t *testing.T) {
	r := newRig(t, nil)
	r.start()
	bad := func(change func(*agentapi.Key)) agentapi.Key {
		k := edKey("k", "s1")
		change(&k)
		return k
	}
	for _, c := range []struct {
		name string
		as   []agentapi.Assignment
		want string
	}{
		{"domain", []agentapi.Assignment{{ID: "a", Domain: "Example.org", NoKey: "pass", Keys: []agentapi.Key{edKey("k", "s1")}}}, "not a domain"},
		{"domain injection", []agentapi.Assignment{{ID: "a", Domain: "example.org; l=0", NoKey: "pass", Keys: []agentapi.Key{edKey("k", "s1")}}}, "not a domain"},
		{"no_key", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "reject", Keys: []agentapi.Key{edKey("k", "s1")}}}, "no_key"},
		{"selector", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{edKey("k", "s1 s2")}}}, "not a selector"},
		{"want", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{bad(func(k *agentapi.Key) { k.Want = "export" })}}}, "wish"},
		{"algorithm", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{bad(func(k *agentapi.Key) { k.Algorithm = "rsa512" })}}}, "algorithm"},
		{"id", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{bad(func(k *agentapi.Key) { k.ID = "../k" })}}}, "not the id of a key"},
		{"twice", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{edKey("k", "s1"), edKey("k", "s2")}}}, "two assignments"},
		{"two assignments", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass"}, {ID: "b", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{edKey("k2", "s1")}}}, "same domain"},
		{"lost", []agentapi.Assignment{{ID: "a", Domain: "example.org", NoKey: "pass", Keys: []agentapi.Key{bad(func(k *agentapi.Key) { k.ID, k.Record = "lost", "v=DKIM1; k=ed25519; p=x" })}}}, "not on this server any more"},
	} {
		version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments = c.as })
		report := r.plane.awaitReport(t, c.name, func(rep agentapi.Report) bool {
			if rep.Applied != version {
				return false
			}
			for _, k := range rep.Keys {
				if strings.Contains(k.Error, c.want) {
					return true
				}
			}
			return false
		})
		for _, k := range report.Keys {
			if k.Signing {
				t.Errorf("%s: %+v", c.name, k)
			}
		}
	}
	entries, err := os.ReadDir(filepath.Dir(r.cfg.StateDirectory))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".key") {
			t.Errorf("%s lies outside the keystore", e.Name())
		}
	}
}

// Instructions of another installation, or from before a restore, do not stop this server from signing.
func TestOldAndForeignControlPlanesAreNotFollowed(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	stillSigns := func() {
		t.Helper()
		if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
			t.Errorf("signed by %q", got)
		}
	}
	hasCondition := func(word string) func() bool {
		return func() bool {
			for _, c := range r.agent.Status().Conditions {
				if c.Word == word {
					return true
				}
			}
			return false
		}
	}
	good := r.plane.wanted
	r.plane.want(func(in *agentapi.Instructions) { in.Epoch = 7 })
	await(t, "the higher epoch", func() bool { return r.agent.Status().ControlPlane.Epoch == 7 })
	r.plane.want(func(in *agentapi.Instructions) { in.Epoch, in.Assignments = 6, nil })
	await(t, "the condition", hasCondition("old_epoch"))
	stillSigns()
	r.plane.want(func(in *agentapi.Instructions) { in.Epoch, in.Installation, in.Assignments = 9, "inst-2", nil })
	await(t, "the condition", hasCondition("other_installation"))
	stillSigns()
	// The refusal outlives a restart.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.start()
	m = dialMTA(t, r.agent, 0, mtaOptions{})
	await(t, "the condition", hasCondition("other_installation"))
	stillSigns()
	version := r.plane.want(func(in *agentapi.Instructions) { *in = good; in.Epoch, in.Version = 8, 100 })
	r.plane.awaitReport(t, "the right control plane", func(rep agentapi.Report) bool { return rep.Applied == version })
	if hasCondition("other_installation")() || hasCondition("old_epoch")() {
		t.Errorf("conditions stay: %v", r.agent.Status().Conditions)
	}
	stillSigns()
}

func TestSigningGoesOnWithoutTheControlPlane(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	r.plane.setDown(true)
	await(t, "trouble is noticed", func() bool { return !r.agent.Status().ControlPlane.Reached })
	m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.start()
	m = dialMTA(t, r.agent, 0, mtaOptions{})
	if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("after a restart signed by %q", got)
	}
	r.plane.mu.Lock()
	r.plane.reports = nil
	r.plane.mu.Unlock()
	r.plane.setDown(false)
	report := r.plane.awaitReport(t, "totals over the restart", func(rep agentapi.Report) bool { return keyReport(rep, "k").Signed == 3 })
	if k := keyReport(report, "k"); !k.Signing || k.SignedAgeSeconds < 0 {
		t.Errorf("%+v", k)
	}
}

// An empty answer by mistake stops signing, as it says, and loses no key.
func TestEmptyInstructionsLoseNothing(t *testing.T) {
	r := signingRig(t, nil)
	before := r.plane.wanted
	version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments = nil })
	report := r.plane.awaitReport(t, "nothing wanted", func(rep agentapi.Report) bool { return rep.Applied == version })
	if k := keyReport(report, "k"); !k.Has || k.Signing {
		t.Errorf("%+v", k)
	}
	version = r.plane.want(func(in *agentapi.Instructions) { in.Assignments = before.Assignments })
	r.plane.awaitReport(t, "the same key signs again", func(rep agentapi.Report) bool {
		return rep.Applied == version && keyReport(rep, "k").Signing
	})
}

// A key whose file is damaged while it is in use: the next key of the family takes over, and mail waits or passes until then.
func TestAKeyThatDoesNotLoadIsReplacedByTheOneStandingBy(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org", edKey("old", "s1"), edKey("new", "s2"))
	r.start()
	r.bring("example.org", "old", "s1", 1)
	r.bring("example.org", "new", "s2", 2)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.cfg.StateDirectory, "keys", "new.key")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), content...)
	damaged[len(damaged)-1] ^= 1
	a := r.start() // the file is whole at the start and read at the first message
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	m := dialMTA(t, a, 0, mtaOptions{})
	first := m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	if strings.Contains(first.raw, "DKIM-Signature:") || first.status != "" {
		t.Errorf("the first message: %q\n%s", first.status, first.raw)
	}
	r.wantReason(ReasonKeyUnavailable, 1)
	report := r.plane.awaitReport(t, "the key standing by", func(rep agentapi.Report) bool {
		return keyReport(rep, "old").Signing && !keyReport(rep, "new").Signing
	})
	if k := keyReport(report, "new"); k.Has || k.Signing || !strings.Contains(k.Error, "damaged") {
		t.Errorf("new: %+v", k)
	}
	if got := strings.Join(r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw), " "); got != "s1" {
		t.Errorf("signed by %q", got)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r.plane.awaitReport(t, "the mended key", func(rep agentapi.Report) bool { return keyReport(rep, "new").Signing })
}

func TestAWrongSealingKeyIsSaidAndMakesNoNewKeys(t *testing.T) {
	r := signingRig(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	record := r.made("k").Record
	r.change("k", func(k *agentapi.Key) { k.Record = record })
	wrong, err := keystore.NewSealingKey(make([]byte, keystore.SealingKeySize))
	if err != nil {
		t.Fatal(err)
	}
	right := r.key
	r.key = wrong
	r.start()
	report := r.plane.awaitReport(t, "the fault", func(rep agentapi.Report) bool {
		return strings.Contains(keyReport(rep, "k").Error, "another sealing key")
	})
	if k := keyReport(report, "k"); k.Has || k.Signing {
		t.Errorf("%+v", k)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.key = right
	r.start()
	r.plane.awaitReport(t, "the right sealing key", func(rep agentapi.Report) bool { return keyReport(rep, "k").Signing })
}

// The promise on which the removal of records stands: once a report says that a key does not sign, no message is signed with it, and the
// number in that report is the last one.
func TestNoMessageIsSignedAfterTheReportThatAKeyStopped(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org", edKey("a", "sa"), edKey("b", "sb"))
	agent := r.start()
	r.bring("example.org", "a", "sa", 1)

	var stopped atomic.Bool // the report was received
	var withA, withB, violations atomic.Int64
	quit := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		m := dialMTA(t, agent, 0, mtaOptions{})
		senders.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				before := stopped.Load()
				o, err := m.trySend(simpleMail("ann@example.org", strings.Repeat("line\r\n", 500)), 700)
				if err != nil {
					t.Error(err)
					return
				}
				switch {
				case strings.Contains(o.raw, "s=sa;"):
					withA.Add(1)
					if before {
						violations.Add(1)
					}
				case strings.Contains(o.raw, "s=sb;"):
					withB.Add(1)
				}
			}
		})
	}
	// One message that chose its key and takes its time.
	slow := dialMTA(t, agent, 0, mtaOptions{})
	startSlow(t, slow)

	await(t, "mail flows", func() bool { return withA.Load() > 20 })
	r.bring("example.org", "b", "sb", 2)
	version := r.change("a", func(k *agentapi.Key) { k.Want = agentapi.WantStop })
	r.plane.awaitReport(t, "the stop in force", func(rep agentapi.Report) bool { return rep.Applied == version })
	await(t, "mail signed with the new key", func() bool { return withB.Load() > 20 })
	r.plane.mu.Lock()
	for _, rep := range r.plane.reports {
		if rep.Applied >= version && !keyReport(rep, "a").Signing {
			t.Error("a was said to have stopped while a message that chose it was in flight")
		}
	}
	r.plane.mu.Unlock()

	changes, _, err := slow.session.End()
	if err != nil || len(changes) != 1 || !strings.Contains(changes[0].HeaderValue, "s=sa;") {
		t.Errorf("the slow message: %v, %v", changes, err)
	}
	withA.Add(1)
	report := r.plane.awaitReport(t, "a stopped", func(rep agentapi.Report) bool {
		return rep.Applied == version && !keyReport(rep, "a").Signing
	})
	stopped.Store(true)
	seen := withB.Load()
	await(t, "more mail", func() bool { return withB.Load() > seen+20 })
	close(quit)
	senders.Wait()
	if n := violations.Load(); n != 0 {
		t.Errorf("%d messages were signed with a key that had stopped", n)
	}
	if k := keyReport(report, "a"); k.Signed != uint64(withA.Load()) {
		t.Errorf("the report says %d signatures, there are %d", k.Signed, withA.Load())
	}
}

// startSlow sends a message up to its body.
func startSlow(t *testing.T, m *mta) {
	t.Helper()
	s := m.session
	_, err1 := s.Mail("<a@example.org>", "")
	_, err2 := s.Rcpt("<b@example.org>", "")
	_, err3 := s.DataStart()
	_, err4 := s.HeaderField("From", " ann@example.org", nil)
	_, err5 := s.HeaderEnd()
	_, err6 := s.BodyChunk([]byte("slow\r\n"))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
}

// A key is not destroyed while a message may be signed with it.
func TestDestroyWaitsForMessagesInFlight(t *testing.T) {
	r := signingRig(t, nil)
	slow := dialMTA(t, r.agent, 0, mtaOptions{})
	startSlow(t, slow)
	await(t, "the message holds its table", func() bool { return r.agent.tables.current.Load().inFlight.Load() == 1 })
	version := r.change("k", func(k *agentapi.Key) { k.Want = agentapi.WantDestroy })
	report := r.plane.awaitReport(t, "the wish", func(rep agentapi.Report) bool { return rep.Applied == version })
	if k := keyReport(report, "k"); k.Destroyed || !k.Signing || !k.Has {
		t.Errorf("%+v", k)
	}
	if changes, _, err := slow.session.End(); err != nil || len(changes) != 1 {
		t.Errorf("the slow message: %v, %v", changes, err)
	}
	r.plane.awaitReport(t, "destroyed", func(rep agentapi.Report) bool { return keyReport(rep, "k").Destroyed })
}

// Making many keys does not keep newer instructions waiting, and each report shows those that are ready.
func TestNewerInstructionsInterruptTheMakingOfKeys(t *testing.T) {
	r := newRig(t, nil)
	var keys []agentapi.Key
	for i := range 40 {
		k := rsaKey("slow-"+string(rune('a'+i/26))+string(rune('a'+i%26)), "s"+string(rune('a'+i/26))+string(rune('a'+i%26)))
		k.Algorithm = "rsa3072"
		keys = append(keys, k)
	}
	r.assign("example.org", keys...)
	r.start()
	await(t, "the first key", func() bool { ids, _ := r.agent.keys.List(); return len(ids) > 0 })
	version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments[0].Keys = keys[:1] })
	report := r.plane.awaitReport(t, "the newer instructions", func(rep agentapi.Report) bool { return rep.Applied == version })
	if n := len(report.Keys); n == len(keys) {
		t.Errorf("all %d keys were made first", n)
	}
}

func TestPollingDoesNotSpin(t *testing.T) {
	r := signingRig(t, nil)
	plane := &hastyPlane{ControlPlane: r.plane}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	pace := testPace
	pace.PollGap = 50 * time.Millisecond
	a, err := New(cfg, Deps{ControlPlane: plane, Resolver: r.dns, SealingKey: &r.key, Log: r.agent.log, Pace: pace})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	started := time.Now()
	await(t, "five polls", func() bool { return plane.polls.Load() >= 5 })
	if took := time.Since(started); took < 4*pace.PollGap {
		t.Errorf("five polls in %s", took)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// hastyPlane answers every poll at once without news.
type hastyPlane struct {
	agentapi.ControlPlane
	polls atomic.Int64
}

func (p *hastyPlane) Poll(context.Context, agentapi.PollRequest) (agentapi.Instructions, error) {
	p.polls.Add(1)
	return agentapi.Instructions{Unchanged: true}, nil
}

// A key that the control plane takes for another one does not sign: the record that stands would not be its own.
func TestAnotherPublicHalfStopsTheKey(t *testing.T) {
	r := signingRig(t, func(c *Config) { c.CheckRecord = "off" })
	right := r.made("k").Record
	r.change("k", func(k *agentapi.Key) { k.Record = "v=DKIM1; k=ed25519; p=AAAA" })
	report := r.plane.awaitReport(t, "the contradiction", func(rep agentapi.Report) bool {
		return strings.Contains(keyReport(rep, "k").Error, "another public half")
	})
	if keyReport(report, "k").Signing {
		t.Error("it still signs")
	}
	r.change("k", func(k *agentapi.Key) { k.Record = right })
	r.plane.awaitReport(t, "agreement", func(rep agentapi.Report) bool { return keyReport(rep, "k").Signing && keyReport(rep, "k").Error == "" })
}

// A key whose file is gone is not made again under the same id, not even when the control plane does not know it yet: its record may
// stand already.
func TestALostKeyIsNotMadeAgain(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org", edKey("k", "s1"))
	r.start()
	r.made("k")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.cfg.StateDirectory, "keys", "k.key")); err != nil {
		t.Fatal(err)
	}
	r.start()
	report := r.plane.awaitReport(t, "the loss", func(rep agentapi.Report) bool {
		return strings.Contains(keyReport(rep, "k").Error, "not on this server any more")
	})
	if keyReport(report, "k").Has {
		t.Error("it was made again")
	}
}

func TestADamagedKeyCanBeDestroyed(t *testing.T) {
	r := signingRig(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.cfg.StateDirectory, "keys", "k.key")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.plane.awaitReport(t, "the damage", func(rep agentapi.Report) bool { return keyReport(rep, "k").Error != "" })
	r.change("k", func(k *agentapi.Key) { k.Want = agentapi.WantDestroy })
	r.plane.awaitReport(t, "destroyed", func(rep agentapi.Report) bool {
		return keyReport(rep, "k").Destroyed && keyReport(rep, "k").Error == ""
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

func TestTwoAgentsDoNotShareAStateDirectory(t *testing.T) {
	r := signingRig(t, nil)
	second, err := New(r.cfg, Deps{ControlPlane: r.plane, Resolver: r.dns, SealingKey: &r.key, Log: r.agent.log, Pace: testPace})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("the second agent: %v", err)
	}
}

func TestDamagedStateIsAskedForAgain(t *testing.T) {
	r := signingRig(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileInstructions, fileFacts, fileCounters} {
		if err := os.WriteFile(filepath.Join(r.cfg.StateDirectory, name), []byte(`{"cut`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	r.plane.awaitReport(t, "signing again", func(rep agentapi.Report) bool { return keyReport(rep, "k").Signing && rep.Keys[0].Signed == 0 })
}
