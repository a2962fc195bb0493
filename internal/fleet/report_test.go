package fleet_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/store"
)

const record = "v=DKIM1; k=rsa; p=MIIB"

func (b *bench) report(keys ...agentapi.KeyReport) agentapi.Report {
	return agentapi.Report{Version: agentapi.Version, UnixTime: b.clock().Unix(), Software: "postseal test", Keys: keys}
}

func TestReportTellsOfItsOwnKeys(t *testing.T) {
	b := newBench(t)
	r := b.report(agentapi.KeyReport{ID: "key_1", Has: true, Record: record, SignedAgeSeconds: -1}, agentapi.KeyReport{ID: "key_forgotten", SignedAgeSeconds: -1})
	r.UnixTime += 30
	answer, err := b.Report(t.Context(), "srv_1", r)
	must(t, err)
	versions, err := b.store.InstructionVersions(t.Context(), []string{"srv_1"})
	must(t, err)
	if answer.Latest != versions["srv_1"] {
		t.Errorf("latest %d, want %d", answer.Latest, versions["srv_1"])
	}
	k := b.key(t, "key_1")
	if h := k.Holders[0]; !h.Has || k.Value != record || h.Skew != 30*time.Second {
		t.Errorf("key_1 is %+v", k)
	}
}

func TestReportOfAnotherServersKeyIsRefusedAndJournalled(t *testing.T) {
	b := newBench(t)
	for range 3 {
		_, err := b.Report(t.Context(), "srv_1", b.report(
			agentapi.KeyReport{ID: "key_1", Has: true, Record: record, SignedAgeSeconds: -1},
			agentapi.KeyReport{ID: "key_2", Has: true, Record: "v=DKIM1; p=EVIL", Destroyed: true, SignedAgeSeconds: -1}))
		wantCode(t, err, fault.Denied)
	}
	for _, id := range []string{"key_1", "key_2"} {
		if k := b.key(t, id); k.Value != "" || k.Holders[0].Has {
			t.Errorf("%s took something from the refused report: %+v", id, k)
		}
	}
	entries, err := b.store.Entries(t.Context(), store.JournalFilter{Actor: "agent:mx1", Limit: 10})
	must(t, err)
	if len(entries) != 1 || entries[0].Step != "refused" || !strings.Contains(entries[0].Why, "s2._domainkey.example.org") {
		t.Errorf("the journal has %+v", entries)
	}
	b.sleep(2 * time.Minute)
	_, err = b.Report(t.Context(), "srv_1", b.report(agentapi.KeyReport{ID: "key_2", SignedAgeSeconds: -1}))
	wantCode(t, err, fault.Denied)
	entries, err = b.store.Entries(t.Context(), store.JournalFilter{Actor: "agent:mx1", Limit: 10})
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("%d refusals in the journal after a second one minutes later", len(entries))
	}
}

func TestReportBeyondItsLimitsIsRefused(t *testing.T) {
	b := newBench(t)
	key := func(f func(*agentapi.KeyReport)) agentapi.Report {
		k := agentapi.KeyReport{ID: "key_1", SignedAgeSeconds: -1}
		f(&k)
		return b.report(k)
	}
	many := map[string]uint64{}
	for i := range agentapi.MaxReasons + 1 {
		many[strings.Repeat("r", i+1)] = 1
	}
	cases := map[string]agentapi.Report{
		"two of a key":        b.report(agentapi.KeyReport{ID: "key_1", SignedAgeSeconds: -1}, agentapi.KeyReport{ID: "key_1", SignedAgeSeconds: -1}),
		"no id":               key(func(k *agentapi.KeyReport) { k.ID = "" }),
		"long id":             key(func(k *agentapi.KeyReport) { k.ID = strings.Repeat("k", 100) }),
		"long record":         key(func(k *agentapi.KeyReport) { k.Record = "v=DKIM1; p=" + strings.Repeat("A", 5000) }),
		"another record":      key(func(k *agentapi.KeyReport) { k.Record = "v=spf1 +all" }),
		"record with newline": key(func(k *agentapi.KeyReport) { k.Record = "v=DKIM1; p=A\nevil. IN A 192.0.2.1" }),
		"long canary":         key(func(k *agentapi.KeyReport) { k.Canary = make([]byte, agentapi.MaxCanary+1) }),
		"long nonce":          key(func(k *agentapi.KeyReport) { k.CanaryNonce = strings.Repeat("n", 200) }),
		"long error":          key(func(k *agentapi.KeyReport) { k.Error = strings.Repeat("e", 2000) }),
		"age below never":     key(func(k *agentapi.KeyReport) { k.SignedAgeSeconds = -2 }),
		"age beyond reason":   key(func(k *agentapi.KeyReport) { k.SignedAgeSeconds = 1 << 62 }),
		"too many reasons":    {Version: agentapi.Version, UnixTime: 1, Unsigned: many},
		"long reason":         {Version: agentapi.Version, UnixTime: 1, Unsigned: map[string]uint64{strings.Repeat("r", 65): 1}},
		"empty reason":        {Version: agentapi.Version, UnixTime: 1, Unsigned: map[string]uint64{"": 1}},
		"no clock":            {Version: agentapi.Version},
		"mad clock":           {Version: agentapi.Version, UnixTime: 1 << 62},
		"long software":       {Version: agentapi.Version, UnixTime: 1, Software: strings.Repeat("s", 200)},
		"negative version":    {Version: agentapi.Version, UnixTime: 1, Applied: -1},
		"other contract":      {Version: 7, UnixTime: 1},
		"too many keys":       {Version: agentapi.Version, UnixTime: 1, Keys: make([]agentapi.KeyReport, 60_000)},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if _, err := b.Report(t.Context(), "srv_1", cases[name]); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h := b.key(t, "key_1").Holders[0]; !h.Reported.IsZero() {
		t.Errorf("a refused report left something: %+v", h)
	}
}

func TestCanariesAreVerifiedBeforeTheyCount(t *testing.T) {
	b := newBench(t)
	_, err := b.Report(t.Context(), "srv_1", b.report(agentapi.KeyReport{ID: "key_1", Has: true, Record: record, SignedAgeSeconds: -1}))
	must(t, err)
	b.change(t, "key_1", func(k *lifecycle.Key) { k.Canary, k.CanaryAsked = "nonce-1", b.clock() })
	send := func(nonce string) lifecycle.Holding {
		t.Helper()
		_, err := b.Report(t.Context(), "srv_1", b.report(agentapi.KeyReport{ID: "key_1", Has: true, Record: record, SignedAgeSeconds: -1, CanaryNonce: nonce, Canary: []byte("signed")}))
		must(t, err)
		return b.key(t, "key_1").Holders[0]
	}
	if h := send("nonce-0"); len(b.canaries.asked) != 0 || !h.CanaryVerified.IsZero() {
		t.Errorf("a canary for another nonce was looked at: %v", b.canaries.asked)
	}
	b.canaries.err = fault.New(fault.Invalid, "its signature is fail")
	if h := send("nonce-1"); !h.CanaryVerified.IsZero() || h.CanaryProblem != "its signature is fail" {
		t.Errorf("after a bad canary: %+v", h)
	}
	b.canaries.err = fault.Wrap(fault.Unavailable, errors.New("timeout"), "DNS gives no answer")
	if h := send("nonce-1"); !h.CanaryVerified.IsZero() || h.CanaryProblem != "DNS gives no answer" {
		t.Errorf("while DNS is away: %+v", h)
	}
	b.canaries.err = nil
	if h := send("nonce-1"); h.CanaryVerified.IsZero() || h.CanaryProblem != "" {
		t.Errorf("after a good canary: %+v", h)
	}
	if want := "s1.example.org " + record + " nonce-1 signed"; b.canaries.asked[2] != want {
		t.Errorf("asked about %q, want %q", b.canaries.asked[2], want)
	}
	send("nonce-1")
	if len(b.canaries.asked) != 3 {
		t.Error("a canary that is verified was asked about again")
	}
}
