package mtalog_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
	"github.com/postseal/postseal/internal/mtalog/journaltest"
)

// passes reports whether trouble is of the kind that passes: while journald rotates, journalctl now and then ends without a word.
func passes(err error) bool { return fault.CodeOf(err) == fault.Unavailable }

// What Postfix says to the real journald is found as in a file, through journald's own rotation, a restart of ours and a vacuum.
func TestJournald(t *testing.T) {
	j := journaltest.Start(t)
	spec := mtalog.Journal{Kind: mtalog.Postfix, Directory: j.Dir, Identifiers: []string{"postfix/qmgr", "postfix/smtp"}}
	p := parser(t, mtalog.Postfix, time.UTC)
	var got []mtalog.Refusal
	var last string
	var f *mtalog.JournalFollower
	follow := func(from mtalog.Position) {
		f = mtalog.FollowJournal(spec, from)
		t.Cleanup(f.Close)
	}
	read := func(done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !done(); {
			if _, err := f.Read(func(e mtalog.Entry, old bool) {
				r, refused := p.Entry(e)
				if old {
					return
				}
				if last = string(e.Message); refused {
					got = append(got, r)
				}
			}); err != nil && !passes(err) {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatal("not within 30 s")
			}
		}
	}
	until := func(message string) {
		t.Helper()
		j.Say("postfix/smtp", message)
		read(func() bool { return last == message })
	}
	entries := logEntries(t, mtalog.Postfix, "postfix-3.7.log")
	want := refusals(t, mtalog.Postfix, time.UTC, testdata(t, "postfix-3.7.log"))
	start := time.Now().Add(-time.Second)

	follow(mtalog.Position{})
	read(func() bool { return f.Follows() })
	for i, e := range entries {
		if i == len(entries)/3 {
			j.Rotate()
		}
		if i == len(entries)/2 { // it is stopped, and lines come meanwhile
			until("half of it")
			at := f.Position()
			f.Close()
			follow(at)
		}
		j.Say(e.Program, e.Message)
	}
	until("all of it")
	for i := range got {
		if got[i].At.Before(start) || got[i].At.After(time.Now()) {
			t.Errorf("at %s", got[i].At)
		}
		got[i].At = want[min(i, len(want)-1)].At
	}
	if diff := cmp.Diff(want, got); diff != "" || f.Gaps() != 0 {
		t.Errorf("%d gaps, -want +got\n%s", f.Gaps(), diff)
	}

	// While it is away, what it read last and what it did not read is vacuumed.
	at := f.Position()
	f.Close()
	j.Say("postfix/smtp", "never read")
	j.Rotate()
	j.Vacuum()
	j.Say("postfix/smtp", "the first that is left")
	last = ""
	follow(at)
	read(func() bool { return last != "" })
	if last != "the first that is left" || f.Gaps() != 1 {
		t.Errorf("%q, %d gaps", last, f.Gaps())
	}
}

// journald writes what it held in memory to the disk once that is there: the entries get other sequence numbers, and so other cursors.
func TestJournalThatWasWrittenAnew(t *testing.T) {
	j := newJournal(t, saidLine(1), saidLine(2))
	f := j.follow(mtalog.Position{}).begin()
	at := f.Position()
	f.Close()
	entries, err := exec.Command("journalctl", "--directory="+j.Dir, "--output=export").Output()
	if err != nil {
		t.Fatal(err)
	}
	k := newJournal(t)
	k.Import(bytes.NewReader(entries))
	k.Write(saidLine(3))
	f = k.follow(at)
	f.expect("line 3")
	if now := f.Position().Cursor; f.Gaps() != 0 || !slices.Equal(f.old, []string{"line 1", "line 2"}) || strings.HasPrefix(now, at.Cursor[:10]) {
		t.Errorf("%d gaps, old %q, %s after %s", f.Gaps(), f.old, now, at.Cursor)
	}
}

// Whatever journald, reader and restarts do one after another: every line comes once, in its order.
func TestJournaldAtRandom(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 7))
		j := journaltest.Start(t)
		follow := func(from mtalog.Position) *mtalog.JournalFollower {
			f := mtalog.FollowJournal(mtalog.Journal{Directory: j.Dir, Identifiers: []string{"postfix/smtp"}}, from)
			t.Cleanup(f.Close)
			return f
		}
		var got, want, trace []string
		f := follow(mtalog.Position{})
		look := func() {
			t.Helper()
			if _, err := f.Read(func(e mtalog.Entry, old bool) {
				if !old {
					got = append(got, string(e.Message))
				}
			}); err != nil && !passes(err) {
				t.Fatal(err)
			}
		}
		for !f.Follows() {
			look()
		}
		say := func() {
			want = append(want, fmt.Sprintf("line %d", len(want)+1))
			j.Say("postfix/smtp", want[len(want)-1])
		}
		for range 40 {
			step := random.IntN(10)
			trace = append(trace, fmt.Sprint(step))
			switch {
			case step < 4:
				for range 1 + random.IntN(5) {
					say()
				}
			case step < 6:
				look()
			case step < 8: // stopped wherever it is, also before it has looked once
				at := f.Position()
				f.Close()
				f = follow(at)
			case step < 9:
				j.Say("postfix/qmgr", "another program")
			default:
				j.Rotate()
			}
		}
		say()
		for deadline := time.Now().Add(30 * time.Second); len(got) < len(want) && time.Now().Before(deadline); {
			look()
		}
		if !slices.Equal(got, want) || f.Gaps() != 0 {
			t.Fatalf("seed %d: got %q, want lines 1 to %d; %d gaps; %s", seed, got, len(want), f.Gaps(), trace)
		}
		f.Close()
	}
}
