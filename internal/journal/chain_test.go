package journal

import (
	"encoding/json"
	"testing"
	"time"
)

func TestCheckFindsEveryKindOfTampering(t *testing.T) {
	build := func() []Entry {
		var entries []Entry
		prev := ""
		for i := range 5 {
			e := Entry{Seq: int64(i + 1), At: time.Unix(1700000000+int64(i), 1234567), Kind: Event, Actor: "ann", Step: "hold", Why: "tests", Detail: json.RawMessage(`{"n":1}`)}
			if err := Seal(prev, &e); err != nil {
				t.Fatal(err)
			}
			prev = e.Hash
			entries = append(entries, e)
		}
		return entries
	}
	if err := Check("", build()); err != nil {
		t.Fatalf("an untouched journal: %v", err)
	}
	for name, tamper := range map[string]func([]Entry) []Entry{
		"changed sentence": func(e []Entry) []Entry { e[2].Why = "other"; return e },
		"changed time":     func(e []Entry) []Entry { e[2].At = e[2].At.Add(time.Second); return e },
		"removed":          func(e []Entry) []Entry { return append(e[:2], e[3:]...) },
		"swapped":          func(e []Entry) []Entry { e[1], e[2] = e[2], e[1]; return e },
		"first cut off":    func(e []Entry) []Entry { return e[1:] },
	} {
		if Check("", tamper(build())) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
