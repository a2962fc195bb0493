package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
)

// maxPerKey is how many octets of heap one domain with one key may take, its texts included. With a hundred thousand it is 430; the sizes of
// maps go by powers of two, which is unkind to the number here.
const maxPerKey = 520

// writeManyKeys writes the state of a server with so many domains. The files of the keys are empty: nothing opens them here.
func writeManyKeys(t testing.TB, r *rig, n int) {
	t.Helper()
	dir := r.cfg.StateDirectory
	if err := os.MkdirAll(filepath.Join(dir, dirKeys), 0o700); err != nil {
		t.Fatal(err)
	}
	in := agentapi.Instructions{Version: 7, Installation: "inst-1", Epoch: 1}
	known := savedFacts{facts: facts{Installation: "inst-1", Epoch: 1}, Keys: map[string]savedKeyFacts{}}
	for i := range n {
		id, selector, domain, record := fmt.Sprintf("0198a7c2-%08d", i), fmt.Sprintf("mx1-%06d", i), fmt.Sprintf("customer-%06d.example", i), fmt.Sprintf("v=DKIM1; p=%0400d", i)
		in.Assignments = append(in.Assignments, agentapi.Assignment{ID: "as-" + id, Domain: domain, Stream: "default", NoKey: agentapi.NoKeyPass, Keys: []agentapi.Key{
			{ID: id, Selector: selector, Algorithm: "rsa2048", Want: agentapi.WantSign, Rank: 1, Record: record}}})
		own := sumOf(record)
		known.Keys[id] = savedKeyFacts{Own: own, Checked: own.checkedAs(selector + "._domainkey." + domain)}
		if err := os.WriteFile(filepath.Join(dir, dirKeys, id+".key"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeInstructions(dir, in); err != nil {
		t.Fatal(err)
	}
	if err := writeState(dir, fileFacts, known); err != nil {
		t.Fatal(err)
	}
}

func TestManyKeysTakeLittleMemory(t *testing.T) {
	r := newRig(t, nil)
	const n = 20_000
	writeManyKeys(t, r, n)
	var before, after runtime.MemStats
	heap := func(m *runtime.MemStats) {
		runtime.GC()
		runtime.GC() // what pools held goes with the second
		runtime.ReadMemStats(m)
	}
	heap(&before)
	a, err := New(r.cfg, Deps{ControlPlane: r.plane, Resolver: r.dns, SealingKey: &r.key})
	if err != nil {
		t.Fatal(err)
	}
	heap(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%d octets per key", per)
	if per > maxPerKey {
		t.Errorf("%d octets per key, more than %d", per, maxPerKey)
	}
	table := a.tables.current.Load()
	for _, i := range []int{0, n - 1} {
		if as := table.assigned[fmt.Sprintf("customer-%06d.example", i)]; as == nil || len(as.signing) != 1 {
			t.Errorf("key %d does not sign", i)
		}
	}
	report, err := json.Marshal(a.currentReport())
	if err != nil || len(report) > n*agentapi.MaxMessage/100_000 {
		t.Errorf("the report has %d octets, too much for five times as many keys (%v)", len(report), err)
	}
	if strings.Contains(string(report), "v=DKIM1") {
		t.Error("it tells records that the control plane knows")
	}
}

// BenchmarkStart reads the state of ten thousand domains.
func BenchmarkStart(b *testing.B) {
	r := newRig(b, nil)
	writeManyKeys(b, r, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(r.cfg, Deps{ControlPlane: r.plane, Resolver: r.dns, SealingKey: &r.key}); err != nil {
			b.Fatal(err)
		}
	}
}
