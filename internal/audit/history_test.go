package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFold(t *testing.T) {
	first, second := time.Unix(1000, 0), time.Unix(2000, 0)
	all := func(string, string) bool { return true }
	was, events := Fold(nil, []Finding{{ID: "A", Severity: Warning, Subject: "x"}, {ID: "A", Severity: Warning, Subject: "y"}, {ID: "B", Severity: Error, Subject: "x"},
		{ID: "C", Severity: Info, Subject: "x"}, {ID: "A", Severity: Error, Subject: "x"}}, all, first)
	if got := told(events); got != "new A x, new A y, new B x, new C x" {
		t.Errorf("at first: %s", got)
	}
	is, events := Fold(was, []Finding{{ID: "A", Severity: Error, Subject: "x", Message: "worse"}, {ID: "C", Severity: Info, Subject: "x"}, {ID: "D", Severity: Info, Subject: "x"}},
		func(id, _ string) bool { return id != "B" }, second)
	if got := told(events); got != "graver A x, new D x, resolved A y" {
		t.Errorf("then: %s", got)
	}
	var got []string
	for _, s := range is {
		got = append(got, fmt.Sprint(s.ID, " ", s.Subject, " ", s.Severity, " ", s.Since.Unix(), " ", s.Last.Unix(), " ", s.Times, " ", s.Message))
	}
	want := []string{"A x error 1000 2000 2 worse", "C x info 1000 2000 2 ", "D x info 2000 2000 1 ", "B x error 1000 1000 1 "}
	if !slices.Equal(got, want) {
		t.Errorf("stands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func told(events []Event) string {
	var out []string
	for _, e := range events {
		out = append(out, fmt.Sprintf("%s %s %s", e.Change, e.ID, e.Subject))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Whatever audits find, what stands is what was found last, less what could have been found and was not; and each change is told once.
func TestFoldKeepsBooks(t *testing.T) {
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	var standing []Standing
	open := make(map[string]bool) // by the events alone
	for round := range 2000 {
		var found []Finding
		for range rng.IntN(6) {
			found = append(found, Finding{ID: string(rune('A' + rng.IntN(4))), Subject: string(rune('x' + rng.IntN(3))), Severity: []Severity{Error, Warning, Info}[rng.IntN(3)]})
		}
		blind := string(rune('A' + rng.IntN(8)))
		before := standing
		var events []Event
		standing, events = Fold(standing, found, func(id, _ string) bool { return id != blind }, time.Unix(int64(round+1), 0))
		for _, e := range events {
			name := e.ID + e.Subject
			if e.Change == Opened == open[name] && (e.Change == Opened || e.Change == Resolved) {
				t.Fatalf("round %d: %s of %s, which is open: %v", round, e.Change, name, open[name])
			}
			open[name] = e.Change != Resolved
		}
		is := make(map[string]bool)
		for _, s := range standing {
			if is[s.ID+s.Subject] {
				t.Fatalf("round %d: %s stands twice", round, s.ID+s.Subject)
			}
			is[s.ID+s.Subject] = true
		}
		for name := range open {
			if open[name] != is[name] {
				t.Fatalf("round %d: %s: open by its history: %v, stands: %v", round, name, open[name], is[name])
			}
		}
		for _, s := range before {
			if s.ID == blind && !is[s.ID+s.Subject] {
				t.Fatalf("round %d: %s was resolved without a look", round, s.ID+s.Subject)
			}
		}
	}
}

func TestAgainstAndMutes(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	before := Report{Domain: "example.org", Findings: []Finding{{ID: "A", Severity: Error, Subject: "x"}, {ID: "B", Severity: Error, Subject: "x"}, {ID: "C", Severity: Error, Subject: "x"}}}
	r := Report{Domain: "example.org", Selectors: []Selector{{}}, gaps: []gap{{ids: "C"}}, Findings: []Finding{{ID: "A", Severity: Error, Subject: "x"}, {ID: "D", Severity: Warning, Subject: "y"}}}
	score := r.Score()
	r.Against(before)
	r.Mute([]Mute{
		{ID: "A", Until: now.Add(-time.Second)}, {Domain: "example.net", ID: "A", Until: now.Add(time.Hour)}, {ID: "A", Subject: "y", Until: now.Add(time.Hour)},
		{ID: "D", By: "ann", Reason: "known", Until: now.Add(time.Hour)},
	}, now)
	if a, d := r.Findings[0], r.Findings[1]; a.State != Repeated || a.Muted != nil || d.State != Opened || d.Muted == nil || d.Muted.By != "ann" {
		t.Errorf("findings %+v", r.Findings)
	}
	if len(r.Resolved) != 1 || r.Resolved[0].ID != "B" {
		t.Errorf("resolved %+v; nobody could look for C", r.Resolved)
	}
	if r.Score() != score {
		t.Errorf("the score went from %d to %d by muting", score, r.Score())
	}

	var b bytes.Buffer
	if err := WriteSARIF(&b, []Report{r}, ""); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID        string
				BaselineState string
				Suppressions  []struct{ Kind, Justification string }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range log.Runs[0].Results {
		got = append(got, fmt.Sprintf("%s %s %v", x.RuleID, x.BaselineState, x.Suppressions))
	}
	if want := []string{"A unchanged []", "D new [{external known (ann, until 2026-11-27)}]", "B absent []"}; !slices.Equal(got, want) {
		t.Errorf("SARIF says %q, want %q", got, want)
	}
	b.Reset()
	if err := WriteHTML(&b, []Report{r}, "", now); err != nil || !strings.Contains(b.String(), "muted by ann until 27 November 2026") || !strings.Contains(b.String(), "<li>B x</li>") {
		t.Errorf("the page (%v):\n%s", err, b.String())
	}
}

// Moduli that share a prime are found within a batch and across batches; the same key at two names shares nothing.
func TestModuli(t *testing.T) {
	prime := func() *big.Int {
		p, err := rand.Prime(rand.Reader, 512)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	key := func(p, q *big.Int) *big.Int { return new(big.Int).Mul(p, q) }
	p, q := prime(), prime()
	alone, twice := key(prime(), prime()), key(prime(), prime())
	one, two, three := key(p, prime()), key(p, q), key(q, prime())
	batch, within := NewModuli([]*big.Int{alone, one, twice, two, twice})
	if want := []bool{false, true, false, true, false}; !slices.Equal(within, want) {
		t.Errorf("within the batch %v, want %v", within, want)
	}
	for _, c := range []struct {
		n    *big.Int
		want []int
	}{{three, []int{3}}, {alone, nil}, {twice, nil}, {key(prime(), prime()), nil}, {one, []int{3}}, {key(p, q), []int{1}}} {
		if got := batch.Share(c.n); !slices.Equal(got, c.want) {
			t.Errorf("shares with %v, want %v", got, c.want)
		}
	}
}
