package mtalog_test

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

const (
	cursorField = "__CURSOR=s=a4bc6ba30edf43b09289689a6513d901;i=1;b=8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f6;m=186a0;t=6608b015f3000;x=5909077c7c0452a1\n"
	timeField   = "__REALTIME_TIMESTAMP=1795000000000000\n"
	length      = "\x05\x00\x00\x00\x00\x00\x00\x00"
)

var sameEntries = cmp.Options{cmpopts.IgnoreUnexported(mtalog.Entry{}), cmpopts.EquateEmpty()}

func TestExported(t *testing.T) {
	at := time.UnixMicro(1795000000000000)
	for name, tt := range map[string]struct {
		output  string
		want    []string // programs and messages
		at      time.Time
		tooLong int
		bad     string
	}{
		"nothing":                  {},
		"text":                     {output: cursorField + timeField + "SYSLOG_IDENTIFIER=postfix/smtp\nMESSAGE=a=b\n\n", want: []string{"postfix/smtp a=b"}},
		"octets":                   {output: cursorField + timeField + "MESSAGE\n" + length + "a\n\xff\x00b\n\n", want: []string{" a\n\xff\x00b"}},
		"both, and what is not":    {output: cursorField + "__SEQNUM=1\n" + timeField + "OTHER\n" + length + "a\nb\nc\nMESSAGE=m\n\n", want: []string{" m"}},
		"no octets":                {output: cursorField + timeField + "MESSAGE\n\x00\x00\x00\x00\x00\x00\x00\x00\n\n", want: []string{" "}},
		"no message":               {output: cursorField + timeField + "SYSLOG_IDENTIFIER=x\n\n", want: []string{"x "}},
		"two, and nothing between": {output: cursorField + timeField + "SYSLOG_IDENTIFIER=x\nMESSAGE=m\n\n\n" + cursorField + timeField + "MESSAGE=n\n\n", want: []string{"x m", " n"}},
		"a field twice":            {output: cursorField + timeField + "MESSAGE=first\nMESSAGE=second\nSYSLOG_IDENTIFIER=a\nSYSLOG_IDENTIFIER=b\n\n", want: []string{"a first"}},
		"the sender's time":        {output: cursorField + timeField + "_SOURCE_REALTIME_TIMESTAMP=1794999999000000\nMESSAGE=m\n\n", want: []string{" m"}, at: at.Add(-time.Second)},
		"no sender's time":         {output: cursorField + timeField + "_SOURCE_REALTIME_TIMESTAMP=-5\nMESSAGE=m\n\n", want: []string{" m"}},
		"too long":                 {output: cursorField + timeField + "MESSAGE=" + strings.Repeat("x", mtalog.MaxLine+1) + "\n\n", want: []string{" "}, tooLong: 1},
		"an end in the middle":     {output: cursorField + timeField + "MESSAGE=m\n"},
		"no cursor":                {output: timeField + "MESSAGE=m\n\n", bad: "without cursor"},
		"no time":                  {output: cursorField + "MESSAGE=m\n\n", bad: "without cursor or time"},
		"a time that is none":      {output: cursorField + "__REALTIME_TIMESTAMP=99999999999999999999\n", bad: "no time"},
		"a cursor that is none":    {output: "__CURSOR=--file\n", bad: "no cursor"},
		"a cursor too long":        {output: "__CURSOR=" + strings.Repeat("a", 300) + "\n", bad: "no cursor"},
		"a length too large":       {output: "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff", bad: "a value of 18446744073709551615 octets"},
		"a wrong length":           {output: "MESSAGE\n" + length + "123456\n", bad: "does not end with its length"},
		"JSON":                     {output: `{"MESSAGE":"m","__REALTIME_TIMESTAMP":"1795000000000000","SYSLOG_IDENTIFIER":"x"}` + "\n", bad: "a name of more"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{1 << 20, 7, 1} {
				entries, tooLong, err := mtalog.ReadExported([]byte(tt.output), piece)
				if tt.bad != "" {
					if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.bad) || len(err.Error()) > 200 {
						t.Errorf("%v", err)
					}
					continue
				}
				var got []string
				for _, e := range entries {
					got = append(got, string(e.Program)+" "+string(e.Message))
					if want := tt.at; !want.IsZero() && !e.At.Equal(want) || want.IsZero() && !e.At.Equal(at) {
						t.Errorf("at %s", e.At)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || tooLong != tt.tooLong {
					t.Errorf("pieces of %d: %v, %d too long, -want +got\n%s", piece, err, tooLong, diff)
				}
			}
		})
	}
}

// Which program says it counts as much as what it says, and the time is not taken from the text.
func TestEntries(t *testing.T) {
	const (
		postfixArrival = "4T1abc2xyzz1: from=<ann@Example.ORG>, size=274, nrcpt=1 (queue active)"
		postfixFailure = "4T1abc2xyzz1: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.7.23, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.7.23 SPF fail (in reply to end of DATA command))"
		eximArrival    = "2020-01-01 10:00:00 1xX5RE-00000004A1a-0w12 <= ann@Example.ORG U=root P=local S=320"
		eximFailure    = "1xX5RE-00000004A1a-0w12 ** bob@example.net R=dnslookup T=remote_smtp H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<bob@example.net>: 550 5.7.23 SPF fail"
	)
	at := tick(10, 0, 1)
	for name, tt := range map[string]struct {
		kind             mtalog.Kind
		program, message string
		found            bool
	}{
		"Postfix":                  {mtalog.Postfix, "postfix/smtp", postfixFailure, true},
		"Postfix's LMTP":           {mtalog.Postfix, "postfix/lmtp", postfixFailure, true},
		"a service of its own":     {mtalog.Postfix, "postfix/relay/smtp", postfixFailure, true},
		"Postfix's other programs": {mtalog.Postfix, "postfix/local", postfixFailure, false},
		"no program of Postfix":    {mtalog.Postfix, "smtp", postfixFailure, false},
		"no name":                  {mtalog.Postfix, "", postfixFailure, false},
		"a name with its number":   {mtalog.Postfix, "postfix/smtp[18]", postfixFailure, false},
		"a whole line":             {mtalog.Postfix, "postfix/smtp", "Nov 27 10:00:01 mx1 postfix/smtp[18]: " + postfixFailure, false},
		"Exim":                     {mtalog.Exim, "exim", "2020-01-01 10:00:01 " + eximFailure, true},
		"Debian's Exim":            {mtalog.Exim, "exim4", "2020-01-01 10:00:01.123 +0100 [123] " + eximFailure, true},
		"without syslog_timestamp": {mtalog.Exim, "exim", eximFailure, true},
		"the first piece":          {mtalog.Exim, "exim", "[1/2] 2020-01-01 10:00:01 " + eximFailure, true},
		"the second piece":         {mtalog.Exim, "exim", "[2/2] " + eximFailure, false},
		"not Exim":                 {mtalog.Exim, "sendmail", eximFailure, false},
		"another MTA":              {mtalog.Exim, "postfix/smtp", postfixFailure, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := parser(t, tt.kind, time.UTC)
			for _, e := range []mtalog.Entry{{At: at, Program: []byte("postfix/qmgr"), Message: []byte(postfixArrival)}, {At: at, Program: []byte("exim"), Message: []byte(eximArrival)}} {
				if _, ok := p.Entry(e); ok {
					t.Errorf("%s is a refusal", e.Message)
				}
			}
			r, ok := p.Entry(mtalog.Entry{At: at, Program: []byte(tt.program), Message: []byte(tt.message)})
			want := mtalog.Refusal{At: at, Queue: r.Queue, Host: "mx.example.net", Receiver: "example.net", Code: "5.7.23", Cause: mtalog.SPF, Text: "SPF fail", Permanent: true, Envelope: "example.org"}
			if ok != tt.found || ok && !cmp.Equal(r, want) {
				t.Errorf("%v\n%s", ok, cmp.Diff(want, r))
			}
		})
	}
}

func FuzzJournalEntry(f *testing.F) {
	for _, output := range []string{
		cursorField + timeField + "SYSLOG_IDENTIFIER=postfix/smtp\nMESSAGE=m\n\n",
		cursorField + timeField + "SYSLOG_IDENTIFIER=exim\nMESSAGE\n" + length + "a\n\xff\x00b\n\n" + cursorField + timeField + "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nOBJECT_SYSTEMD_UNIT=postfix.service\n\n",
		cursorField + timeField + "SYSLOG_IDENTIFIER=postfix/smtp\nMESSAGE=4T1abc2xyzz1: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.7.26 no)\n\n",
		cursorField + timeField + "SYSLOG_IDENTIFIER=exim4\nMESSAGE=[1/2] 2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 ** bob@example.net R=r T=t H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<bob@example.net>: 550 5.7.23 SPF fail\n\n",
	} {
		f.Add([]byte(output), uint16(7))
	}
	f.Fuzz(func(t *testing.T, output []byte, piece uint16) {
		whole, _, err := mtalog.ReadExported(output, len(output)+1)
		pieces, _, errPieces := mtalog.ReadExported(output, int(piece)+1)
		if (err == nil) != (errPieces == nil) || !cmp.Equal(whole, pieces, sameEntries) {
			t.Errorf("not the same in pieces of %d: %v, %v\n%s", piece+1, err, errPieces, cmp.Diff(whole, pieces, sameEntries))
		}
		for _, kind := range mtalog.Kinds() {
			p := parser(t, kind, cet)
			for _, e := range whole {
				if e.Cursor == "" || strings.HasPrefix(e.Cursor, "-") || e.At.IsZero() || len(e.Message) > mtalog.MaxLine || len(e.Program) > mtalog.MaxLine {
					t.Fatalf("%+v", e)
				}
				if r, ok := p.Entry(e); ok && (r.Cause == "" || r.Code == "" || r.Queue == "" || !r.At.Equal(e.At) || len(r.Text) > mtalog.MaxText) {
					t.Errorf("%s: %+v", kind, r)
				}
			}
		}
	})
}

// What an entry costs that says nothing of interest: the text of its cursor.
func TestJournalAllocations(t *testing.T) {
	var output bytes.Buffer
	for range 100 {
		output.WriteString(cursorField + timeField + "SYSLOG_IDENTIFIER=postfix/qmgr\nMESSAGE=9AE729C42D4: removed\n\n")
	}
	read := mtalog.NewExported()
	p := parser(t, mtalog.Postfix, time.UTC)
	if n := testing.AllocsPerRun(20, func() {
		if err := read(output.Bytes(), func(e mtalog.Entry) { p.Entry(e) }); err != nil {
			t.Fatal(err)
		}
	}); n > 101 {
		t.Errorf("%v allocations for 100 entries", n)
	}
}

// BenchmarkJournalEntry is our share of reading a journal: the output of journalctl to refusals.
func BenchmarkJournalEntry(b *testing.B) {
	output, entries := exportedCorpus(b, 100)
	read := mtalog.NewExported()
	p := parser(b, mtalog.Postfix, time.UTC)
	b.ReportAllocs()
	b.SetBytes(int64(len(output)))
	for b.Loop() {
		if err := read(output, func(e mtalog.Entry) { p.Entry(e) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkJournal reads a real journal from its first entry on; BenchmarkJournalctl has journalctl alone do so.
func BenchmarkJournal(b *testing.B) {
	j, entries := corpusJournal(b)
	p := parser(b, mtalog.Postfix, time.UTC)
	own, its := processorTime(b, syscall.RUSAGE_SELF), processorTime(b, syscall.RUSAGE_CHILDREN)
	for b.Loop() {
		f := mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix, Directory: j.Dir}, mtalog.Position{Cursor: j.first()})
		for n := 0; n < entries-1; {
			if _, err := f.Read(func(e mtalog.Entry, old bool) {
				if p.Entry(e); !old {
					n++
				}
			}); err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
	}
	own, its = processorTime(b, syscall.RUSAGE_SELF)-own, processorTime(b, syscall.RUSAGE_CHILDREN)-its
	b.ReportMetric(100*float64(its)/float64(own+its), "%journalctl")
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// processorTime is what this process or its children have taken so far.
func processorTime(b *testing.B, who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkJournalctl(b *testing.B) {
	j, entries := corpusJournal(b)
	for b.Loop() {
		cmd := exec.Command("journalctl", "--directory="+j.Dir, "--output=export", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SOURCE_REALTIME_TIMESTAMP,MESSAGE_ID,OBJECT_SYSTEMD_UNIT,OBJECT_SYSTEMD_SLICE",
			"_SYSTEMD_UNIT=postfix.service", "+", "_SYSTEMD_SLICE=system-postfix.slice", "+", "_TRANSPORT=driver", "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e")
		cmd.Stdout = io.Discard
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// corpusJournal is a journal of the lines of a real Postfix, many times over.
func corpusJournal(b *testing.B) (*journal, int) {
	j := newJournal(b)
	var all []entry
	for len(all) < 50_000 {
		all = append(all, logEntries(b, mtalog.Postfix, "postfix-3.7.log")...)
	}
	for i := range all {
		all[i].At = time.Time{}
	}
	j.Write(all...)
	return j, len(all)
}

// exportedCorpus is what journalctl writes of them.
func exportedCorpus(b *testing.B, times int) (output []byte, entries int) {
	j := newJournal(b)
	for range times {
		all := logEntries(b, mtalog.Postfix, "postfix-3.7.log")
		entries += len(all)
		j.Write(all...)
	}
	output, err := exec.Command("journalctl", "--directory="+j.Dir, "--output=export", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SOURCE_REALTIME_TIMESTAMP,MESSAGE_ID,OBJECT_SYSTEMD_UNIT,OBJECT_SYSTEMD_SLICE").Output()
	if err != nil {
		b.Fatal(err)
	}
	return output, entries
}

// first is the cursor of the first entry.
func (j *journal) first() string {
	j.t.Helper()
	output, err := exec.Command("sh", "-c", `journalctl --directory="$1" --output=export --output-fields=MESSAGE | head -n 1`, "sh", j.Dir).Output()
	if err != nil {
		j.t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(output), "__CURSOR="))
}
