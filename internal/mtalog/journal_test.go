package mtalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
	"github.com/postseal/postseal/internal/mtalog/journaltest"
)

// journal is a real journal of a test.
type journal struct {
	*journaltest.Journal
	t testing.TB
}

type entry = journaltest.Entry

func newJournal(t testing.TB, lines ...entry) *journal {
	t.Helper()
	return &journal{journaltest.New(t, lines...), t}
}

// said is a line of Postfix.
func said(message string) entry {
	return entry{Unit: "postfix@-.service", Program: "postfix/smtp", Message: message}
}

func saidLine(n int) entry { return said(fmt.Sprintf("line %d", n)) }

// following is a follower and what it has handed out.
type following struct {
	*mtalog.JournalFollower
	t          testing.TB
	fresh, old []string
}

func (j *journal) follow(from mtalog.Position) *following {
	j.t.Helper()
	f := &following{t: j.t, JournalFollower: mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix, Directory: j.Dir}, from)}
	j.t.Cleanup(f.Close)
	return f
}

// until reads until a condition holds. Trouble that passes is none.
func (f *following) until(what string, done func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		_, err := f.Read(func(e mtalog.Entry, old bool) {
			if old {
				f.old = append(f.old, string(e.Message))
			} else {
				f.fresh = append(f.fresh, string(e.Message))
			}
		})
		if err != nil && fault.CodeOf(err) != fault.Unavailable {
			f.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: not within 30 s; fresh %q, old %q, %v", what, f.fresh, f.old, err)
		}
	}
}

// begin reads until journalctl waits for what comes.
func (f *following) begin() *following {
	f.t.Helper()
	f.until("it follows", func() bool { return f.Follows() })
	return f
}

// expect reads a line that is written last, and checks that these and no others came before it.
func (f *following) expect(want ...string) {
	f.t.Helper()
	f.until("the last line comes", func() bool { return len(f.fresh) > 0 && f.fresh[len(f.fresh)-1] == want[len(want)-1] })
	if !slices.Equal(f.fresh, want) {
		f.t.Errorf("got %q, want %q", f.fresh, want)
	}
	f.fresh = nil
}

func TestJournalFirstTimeBeginsAtTheEnd(t *testing.T) {
	j := newJournal(t, saidLine(1), saidLine(2))
	f := j.follow(mtalog.Position{}).begin()
	j.Write(saidLine(3))
	f.expect("line 3")
	j.Write(saidLine(4), saidLine(5))
	f.expect("line 4", "line 5")
	if !slices.Equal(f.old, []string{"line 1", "line 2"}) || f.Gaps() != 0 {
		t.Errorf("old %q, %d gaps", f.old, f.Gaps())
	}
}

// A journal that has nothing of the MTA yet is read from its first line on, also when that comes while nobody reads.
func TestJournalWithoutTheMTA(t *testing.T) {
	j := newJournal(t, entry{Unit: "cron.service", Program: "cron", Message: "job"})
	f := j.follow(mtalog.Position{}).begin()
	j.Write(saidLine(1))
	f.expect("line 1")

	j = newJournal(t, entry{Unit: "cron.service", Program: "cron", Message: "job\n-- cursor: s=1"})
	at := j.follow(mtalog.Position{}).begin().Position()
	for range 2 {
		j.Write(entry{Unit: "cron.service", Program: "cron", Message: "job"})
		f = j.follow(at).begin()
		if at = f.Position(); !at.Beside {
			t.Errorf("%+v", at)
		}
		f.Close()
	}
	j.Write(saidLine(1), saidLine(2))
	f = j.follow(at)
	f.expect("line 1", "line 2")
	if at := f.Position(); at.Beside || f.Gaps() != 0 {
		t.Errorf("%+v, %d gaps", at, f.Gaps())
	}
}

// What comes while nobody reads is read later, and nothing twice, wherever the reader was stopped.
func TestJournalGoesOnAfterARestart(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	for n := 2; n < 6; n++ {
		at := f.Position()
		f.Close()
		for range n % 3 { // none, one or two while it is away
			j.Write(said(fmt.Sprintf("away %d", n)))
		}
		f = j.follow(at).begin()
		j.Write(saidLine(n))
		f.expect(append(slices.Repeat([]string{fmt.Sprintf("away %d", n)}, n%3), fmt.Sprintf("line %d", n))...)
		if f.Gaps() != 0 || len(f.old) == 0 {
			t.Errorf("%d gaps, old %q", f.Gaps(), f.old)
		}
	}
}

func TestJournalRotation(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			j := newJournal(t, saidLine(0))
			f := j.follow(mtalog.Position{}).begin()
			for n := 1; n <= 6; n += 2 {
				at := f.Position()
				if restart {
					f.Close()
				}
				j.Write(saidLine(n)) // unread in the old file
				j.Rotate()
				j.Write(saidLine(n + 1))
				if restart {
					f = j.follow(at)
				}
				f.expect(fmt.Sprintf("line %d", n), fmt.Sprintf("line %d", n+1))
				if f.Gaps() != 0 {
					t.Errorf("%d gaps", f.Gaps())
				}
			}
		})
	}
}

func TestJournalThatWasVacuumed(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	at := f.Position()
	f.Close()
	j.Write(saidLine(2))
	j.Rotate()
	j.Write(saidLine(3), saidLine(4))
	j.Vacuum()
	f = j.follow(at)
	f.expect("line 3", "line 4") // the first one that is left counts
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
	at = f.Position()
	f.Close()
	f = j.follow(at).begin()
	j.Write(saidLine(5))
	f.expect("line 5")
	if f.Gaps() != 0 {
		t.Errorf("%d gaps", f.Gaps())
	}

	// Nothing of the MTA is left at all: it is known at once, and counted once.
	at = f.Position()
	f.Close()
	j.Rotate()
	j.Write(entry{Unit: "cron.service", Program: "cron", Message: "job"})
	j.Vacuum()
	f = j.follow(at).begin()
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
	j.Write(saidLine(6))
	f.expect("line 6")
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

// A position that is damaged, or of another journal, costs a gap and nothing else.
func TestJournalPositionsThatMeanNothing(t *testing.T) {
	for cursor, gaps := range map[string]uint64{
		"--file=/etc/shadow": 1,
		"s=zz":               1, // journalctl does not take it
		"x\ny":               1,
		"s=0123456789abcdef0123456789abcdef;i=7;b=0123456789abcdef0123456789abcdef;m=1;t=1;x=1": 1,
	} {
		t.Run(cursor, func(t *testing.T) {
			j := newJournal(t, saidLine(1))
			f := j.follow(mtalog.Position{Cursor: cursor}).begin()
			j.Write(saidLine(2))
			f.until("the line comes", func() bool { return slices.Contains(f.fresh, "line 2") })
			if f.Gaps() != gaps {
				t.Errorf("%d gaps", f.Gaps())
			}
		})
	}
}

// Messages that are no text, or have lines, or are long, as journald keeps them.
func TestJournalMessages(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := j.follow(mtalog.Position{}).begin()
	long := strings.Repeat("x", mtalog.MaxLine)
	odd := []string{"\xff\xfe octets \x00\x01", "two\nlines", "a=b\n\n__CURSOR=s=1\n", "", long, "\n" + long[1:]}
	var entries []entry
	for _, m := range odd {
		entries = append(entries, said(m))
	}
	j.Write(append(entries, said(long+"x"), said("\n"+long), said(strings.Repeat("y\n", 1<<20)), saidLine(1))...)
	f.expect(append(odd, "line 1")...)
	if f.TooLong() != 3 || f.Gaps() != 0 {
		t.Errorf("%d too long, %d gaps", f.TooLong(), f.Gaps())
	}
}

// Only what the MTA's units say is read; others may call themselves what they like.
func TestJournalHasOtherPrograms(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := j.follow(mtalog.Position{}).begin()
	j.Write(
		entry{Unit: "user@1000.service", Program: "postfix/smtp", Message: "forged"},
		entry{Unit: "cron.service", Program: "cron", Message: "job"},
		entry{Program: "kernel", Message: "oops"},
		entry{Unit: "postfix.service", Program: "postfix/smtp", Message: "Red Hat"},
		entry{Unit: "postfix@out.service", Program: "postfix-out/smtp", Message: "another instance"},
		saidLine(1))
	f.expect("Red Hat", "another instance", "line 1")

	for name, tt := range map[string]struct {
		spec mtalog.Journal
		want []string
	}{
		"a unit":                {mtalog.Journal{Units: []string{"postfix@out.service"}}, []string{"another instance"}},
		"a slice":               {mtalog.Journal{Units: []string{"system-postfix.slice"}}, []string{"line 0", "another instance", "line 1"}},
		"two units":             {mtalog.Journal{Units: []string{"postfix.service", "cron.service"}}, []string{"job", "Red Hat"}},
		"a name":                {mtalog.Journal{Identifiers: []string{"postfix/smtp"}}, []string{"line 0", "forged", "Red Hat", "line 1"}},
		"a name in a unit":      {mtalog.Journal{Units: []string{"postfix.service", "cron.service"}, Identifiers: []string{"postfix/smtp"}}, []string{"Red Hat"}},
		"Exim, which is not it": {mtalog.Journal{Kind: mtalog.Exim}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Directory = j.Dir
			if err := tt.spec.Check(); err != nil {
				t.Fatal(err)
			}
			g := &following{t: t, JournalFollower: mtalog.FollowJournal(tt.spec, mtalog.Position{})}
			defer g.Close()
			if g.begin(); !slices.Equal(g.old, tt.want) {
				t.Errorf("%q", g.old)
			}
		})
	}
}

// journald says when it drops lines because a unit says too much.
func TestJournaldDropsLines(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := j.follow(mtalog.Position{}).begin()
	dropped := func(unit, slice string) entry {
		return entry{Unit: "systemd-journald.service", Program: "systemd-journald", Message: "Suppressed 12 messages from " + unit,
			More: "_TRANSPORT=driver\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nN_DROPPED=12\nOBJECT_SYSTEMD_UNIT=" + unit + "\nOBJECT_SYSTEMD_SLICE=" + slice + "\n"}
	}
	j.Write(dropped("cron.service", "system.slice"), dropped("postfixadmin.service", "system.slice"), dropped("postfix@-.service", "system-postfix.slice"), dropped("postfix.service", "system.slice"), saidLine(1))
	f.expect("line 1")
	if f.Gaps() != 2 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

func TestJournalCheck(t *testing.T) {
	for text, bad := range map[string]mtalog.Journal{
		"directory":                {Directory: "var/log/journal"},
		"units: \"--file=x\"":      {Units: []string{"--file=x"}},
		"units: \"postfix*\"":      {Units: []string{"postfix*"}},
		"units: \"postfix\"":       {Units: []string{"postfix"}},
		"units: \"\"":              {Units: []string{""}},
		"identifiers: \"a b\"":     {Identifiers: []string{"a b"}},
		"identifiers: \"\"":        {Identifiers: []string{""}},
		"units: 51":                {Units: slices.Repeat([]string{"a.service"}, 51)},
		"units: \"a\\nb.service\"": {Units: []string{"a\nb.service"}},
	} {
		if err := bad.Check(); fault.CodeOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	good := mtalog.Journal{Kind: mtalog.Postfix, Directory: "/var/log/journal/x", Units: []string{"postfix@mx\\x2dout.service", "session-1.scope"}, Identifiers: []string{"postfix-out/smtp"}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if good.Names() == (mtalog.Journal{Kind: mtalog.Postfix}).Names() {
		t.Error("two journals have one name")
	}
}

// logEntries makes entries of the lines of a log, each as the program would have said it to journald.
func logEntries(t testing.TB, kind mtalog.Kind, name string) (entries []entry) {
	t.Helper()
	for l := range strings.Lines(string(testdata(t, name))) {
		l = strings.TrimSuffix(l, "\n")
		if kind == mtalog.Exim {
			stamp := strings.Fields(l)[:2]
			at, err := time.Parse("2006-01-02 15:04:05", strings.Join(stamp, " ")) // with or without a fraction
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, entry{At: at, Unit: "exim4.service", Program: "exim", Message: l})
			continue
		}
		at, err := time.Parse(time.Stamp, l[:15])
		if err != nil {
			t.Fatal(err)
		}
		tag, message, _ := strings.Cut(strings.SplitN(l[16:], " ", 2)[1], ": ")
		program, _, _ := strings.Cut(tag, "[")
		entries = append(entries, entry{At: at.AddDate(2026, 0, 0), Unit: "postfix@-.service", Program: program, Message: message})
	}
	return entries
}

// The logs of real MTAs give the same through a journal as in a file.
func TestJournalAndFileSayTheSame(t *testing.T) {
	for name, kind := range map[string]mtalog.Kind{"postfix-3.7.log": mtalog.Postfix, "exim-4.96.log": mtalog.Exim, "exim-4.96-all.log": mtalog.Exim} {
		t.Run(name, func(t *testing.T) {
			want := refusals(t, kind, time.UTC, testdata(t, name))
			entries := logEntries(t, kind, name)
			j := newJournal(t, entry{Unit: "cron.service", Program: "cron", Message: "job", At: journaltest.Dawn})
			f := mtalog.FollowJournal(mtalog.Journal{Kind: kind, Directory: j.Dir}, mtalog.Position{})
			defer f.Close()
			p := parser(t, kind, time.UTC)
			var got []mtalog.Refusal
			read := 0
			look := func(e mtalog.Entry, old bool) {
				if read++; old {
					t.Error("the journal was empty")
				}
				if r, refused := p.Entry(e); refused {
					got = append(got, r)
				}
			}
			for !f.Follows() {
				if _, err := f.Read(look); err != nil {
					t.Fatal(err)
				}
			}
			j.Write(entries...)
			for deadline := time.Now().Add(30 * time.Second); read < len(entries); {
				if _, err := f.Read(look); err != nil {
					t.Fatal(err)
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d entries", read, len(entries))
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" || len(got) == 0 {
				t.Errorf("%d refusals, -want +got\n%s", len(got), diff)
			}
		})
	}
}

// The time is the journal's: when it was sent where the kernel says so, else when it came.
func TestJournalTimes(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix, Directory: j.Dir}, mtalog.Position{})
	defer f.Close()
	sent := journaltest.Dawn.Add(-time.Hour)
	message := "4T1abc2xyzz1: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.7.26 no (in reply to end of DATA command))"
	with := func(more string) entry {
		return entry{At: journaltest.Dawn.Add(time.Minute), Unit: "postfix@-.service", Program: "postfix/smtp", Message: message, More: more}
	}
	p := parser(t, mtalog.Postfix, time.UTC)
	var times []time.Time
	look := func(e mtalog.Entry, old bool) {
		if r, refused := p.Entry(e); refused {
			times = append(times, r.At)
		}
	}
	for !f.Follows() {
		if _, err := f.Read(look); err != nil {
			t.Fatal(err)
		}
	}
	j.Write(with(""), with(fmt.Sprintf("_SOURCE_REALTIME_TIMESTAMP=%d\n", sent.UnixMicro())), with("_SOURCE_REALTIME_TIMESTAMP=never\n"))
	for deadline := time.Now().Add(30 * time.Second); len(times) < 3 && time.Now().Before(deadline); {
		if _, err := f.Read(look); err != nil {
			t.Fatal(err)
		}
	}
	if len(times) != 3 || !times[0].Equal(journaltest.Dawn.Add(time.Minute)) || !times[1].Equal(sent) || !times[2].Equal(journaltest.Dawn.Add(time.Minute)) {
		t.Errorf("%v", times)
	}
}
