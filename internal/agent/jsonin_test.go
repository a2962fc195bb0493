package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// FuzzJSONReader compares with encoding/json: whatever that writes is read alike, and nothing makes the reader hang or break.
func FuzzJSONReader(f *testing.F) {
	f.Add(`{"a":[1,-2.5,true,null,"x\"y\\","ü\n"],"b":{}}`)
	f.Add(` { "a" : [ ] } `)
	f.Add(`{"a":"\\"}`)
	f.Add(`[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`)
	f.Fuzz(func(t *testing.T, text string) {
		var got any
		j := newJSONReader(iotest.OneByteReader(strings.NewReader(text)))
		j.raw(&got)
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			return // it may be lenient
		}
		written, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var want any
		_ = json.Unmarshal(written, &want)
		j = newJSONReader(iotest.HalfReader(strings.NewReader(string(written))))
		j.raw(&got)
		if j.err != nil && strings.Count(text, "[")+strings.Count(text, "{") < maxDepth {
			t.Fatalf("%s: %v", written, j.err)
		}
		if j.err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %v, want %v", written, got, want)
		}
	})
}

func TestLongTextsAndNumbersOfAStateFile(t *testing.T) {
	long := strings.Repeat(`x"\`, jsonBuffer)
	text, err := json.Marshal(map[string]any{"long": long, "n": -12, "yes": true, "none": nil, "skipped": []any{map[string]any{"a": "]"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		long string
		n    int64
		yes  bool
		none string
	}
	j := newJSONReader(strings.NewReader(string(text)))
	j.object(func(name []byte) {
		switch string(name) {
		case "long":
			got.long = j.string()
		case "n":
			got.n = j.int()
		case "yes":
			got.yes = j.bool()
		case "none":
			got.none = j.string()
		default:
			j.skip()
		}
	})
	if j.err != nil || got.long != long || got.n != -12 || !got.yes || got.none != "" {
		t.Errorf("%v, %d octets, %d, %t, %q", j.err, len(got.long), got.n, got.yes, got.none)
	}
	for _, cut := range []int{0, 1, 9, len(text) / 2, len(text) - 1} {
		j := newJSONReader(strings.NewReader(string(text[:cut])))
		j.object(func([]byte) { j.skip() })
		if j.err == nil {
			t.Errorf("cut after %d octets: no error", cut)
		}
	}
}

// stateOf is an agent that found these files.
func stateOf(t *testing.T, files map[string]string) *Agent {
	t.Helper()
	r := newRig(t, nil)
	if err := os.MkdirAll(filepath.Join(r.cfg.StateDirectory, dirKeys), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.cfg.StateDirectory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := New(r.cfg, Deps{ControlPlane: r.plane, Resolver: r.dns, SealingKey: &r.key})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What the first versions wrote is understood: facts with whole records, instructions as they came.
func TestOlderStateIsRead(t *testing.T) {
	instructions := `{"version":7,"unchanged":false,"installation":"inst","epoch":3,"assignments":[{"id":"as","domain":"example.org","stream":"default","no_key":"tempfail","bulk":true,` +
		`"keys":[{"id":"k1","selector":"s1","algorithm":"rsa2048","want":"sign","rank":4,"record":"v=DKIM1; p=AA==","canary":""},` +
		`{"id":"k2","selector":"s2","algorithm":"ed25519","want":"destroy","rank":1,"record":"","canary":"n"}],"signing":{"canonicalization":"simple/simple"}}],"report_seconds":30}`
	facts := `{"installation":"inst","epoch":3,"joined":"2026-11-12T10:00:00Z","records":{"k1":"v=DKIM1; p=AA==","gone":"v=DKIM1; p=BB=="},` +
		`"checked":{"k1":"s1._domainkey.example.org v=DKIM1; p=AA=="},"destroyed":{"k2":true}}`
	a := stateOf(t, map[string]string{fileInstructions: instructions, fileFacts: facts})
	check := func(a *Agent) {
		t.Helper()
		f := &a.fleet
		k1, k2 := f.keys["k1"], f.keys["k2"]
		if !f.have || f.wanted.Version != 7 || f.wanted.ReportSeconds != 30 || f.facts.Epoch != 3 || f.facts.Installation != "inst" || f.facts.Joined.IsZero() {
			t.Fatalf("%+v %+v", f.wanted, f.facts)
		}
		as := f.wanted.Assignments[0]
		if as.noKey() != agentapi.NoKeyTempfail || !as.Bulk || as.how == nil || as.how.BodyCanonicalization != dkim.Simple || len(as.keys) != 2 {
			t.Errorf("%+v", as)
		}
		if k1 == nil || k1.key.Want() != agentapi.WantSign || k1.key.Algorithm() != "rsa2048" || k1.key.Rank != 4 || k1.own != sumOf("v=DKIM1; p=AA==") || k1.wanted() != k1.own || !k1.checked {
			t.Errorf("%+v", k1)
		}
		if k2 == nil || !k2.destroyed || k2.rare().canaryWanted != "n" || k2.checked {
			t.Errorf("%+v", k2)
		}
		if f.lost["gone"] != sumOf("v=DKIM1; p=BB==") {
			t.Errorf("a key that was made here is forgotten: %v", f.lost)
		}
		if len(f.conditions) != 0 {
			t.Errorf("%v", f.conditions)
		}
	}
	check(a)
	// The same after it was written in the present form.
	if err := a.saveFacts(); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(a.settings.Load().StateDirectory, fileFacts))
	if err != nil || strings.Contains(string(written), "DKIM1") {
		t.Fatalf("%s, %v", written, err)
	}
	var in agentapi.Instructions
	if err := json.Unmarshal([]byte(instructions), &in); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeInstructions(dir, in); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(dir, fileInstructions))
	if err != nil {
		t.Fatal(err)
	}
	check(stateOf(t, map[string]string{fileInstructions: string(again), fileFacts: string(written)}))
}

// A file that was cut off is asked for again; what it began with is not followed.
func TestDamagedInstructionsAreNotFollowed(t *testing.T) {
	a := stateOf(t, map[string]string{fileInstructions: `{"version":7,"installation":"inst","epoch":3,"assignments":[{"id":"as","domain":"example.org","stream":"default","no_key":"pass","keys":[]},{"id":`})
	f := &a.fleet
	if f.have || len(f.wanted.Assignments) != 0 || f.conditions[conditionState] == "" {
		t.Errorf("%+v %v", f.wanted, f.conditions)
	}
	if have, _ := a.haveVersion(); have != 0 {
		t.Errorf("version %d is said to be here", have)
	}
}
