package mtalog

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Limits of a journal that is followed.
const (
	warmEntries = 500                   // entries before the position that are read again for who sent what
	warmOctets  = 1 << 20               // and what is kept of them at most, the latest first
	warmTime    = time.Minute           // how long journalctl may take for them, or to say that there are none
	quiet       = 50 * time.Millisecond // without an entry: what was there is read
	lookTime    = time.Second           // of one Read, so that its caller can stop in between
	retryFirst  = time.Second           // before journalctl is started again; doubled each time
	retryLast   = time.Minute           // longest such wait
	steady      = 10 * time.Second      // a journalctl that follows for so long works
)

// JournalFollower reads a journal as it grows, with one journalctl at a time. It is for one goroutine. Nothing is started before the first Read.
type JournalFollower struct {
	journal Journal
	cursor  string // of the last entry that was handed out; "" = none yet
	beside  bool   // it is that of an entry of others: the MTA had none yet
	late    bool   // there was no journal when it was looked for: the next one is new from its beginning on

	child    *child
	started  time.Time
	asked    question
	past     []pastEntry // what came before the cursor, the latest first
	pastSize int
	seen     bool // the entry with the cursor was found in the past
	repeat   bool // the next entry may be the one with the cursor, which was handed out
	missed   bool // that the entry with this cursor is gone was counted
	out      exported
	words    ending // of an answer for people

	trouble  error // since the last start that worked
	failures int
	retry    time.Time

	buffer  []byte
	tooLong uint64
	gaps    uint64
}

// question is what the journalctl that runs was asked for.
type question uint8

const (
	forPast   question = iota // what lies before the position
	forFuture                 // what follows, and comes
	forSight                  // whether there is a journal that may be seen, and where it ends, when nothing was found
)

// pastEntry is an Entry that lives on.
type pastEntry struct {
	at               time.Time
	program, message string
}

// FollowJournal makes a JournalFollower that goes on at a position, or begins at the end of the journal when that is zero.
func FollowJournal(j Journal, from Position) *JournalFollower {
	f := &JournalFollower{journal: j, buffer: make([]byte, readSize)}
	switch {
	case isCursor(from.Cursor):
		f.cursor, f.beside = from.Cursor, from.Beside
	case from.Cursor != "":
		f.gaps++
	}
	return f
}

// Position is where a later JournalFollower should go on: after the last entry that was handed out.
func (f *JournalFollower) Position() Position { return Position{Cursor: f.cursor, Beside: f.beside} }

// TooLong is how many entries were passed over because of their length.
func (f *JournalFollower) TooLong() uint64 { return f.tooLong }

// Gaps is how often entries may have been missed: the one where reading stopped was gone, or journald said that it dropped some.
func (f *JournalFollower) Gaps() uint64 { return f.gaps }

// Close ends journalctl.
func (f *JournalFollower) Close() {
	if f.child != nil {
		f.child.kill()
		f.child = nil
	}
}

// Read hands out the entries that came since the last Read; e is valid during the call. old marks those before the position, which are there to learn from. more says
// that there may be more to read at once. Errors: fault.NotFound (there is no journalctl, or no journal), fault.Denied (it may not be read), fault.Unavailable
// (journalctl ended) and fault.Invalid (it says what is not understood). A later Read tries again, and until one works they all return the error.
func (f *JournalFollower) Read(each func(e Entry, old bool)) (more bool, err error) {
	start := time.Now()
	if f.child == nil {
		if start.Before(f.retry) {
			return false, f.trouble
		}
		if err := f.begin(forPast); err != nil {
			return false, f.fail(err)
		}
	}
	for budget := maxRead; budget > 0; {
		now := time.Now()
		if now.Sub(start) > lookTime {
			return true, f.trouble
		}
		n, err := f.child.read(f.buffer, now.Add(quiet))
		budget -= n
		if f.asked == forSight {
			f.words.take(f.buffer[:n])
		} else if bad := f.out.take(f.buffer[:n], func(e Entry) { f.take(e, each) }); bad != nil {
			return false, f.fail(bad)
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, f.wait(now)
		case errors.Is(err, io.EOF):
			if err := f.ended(each); err != nil {
				return false, f.fail(err)
			}
		default:
			return false, f.fail(fault.Wrap(fault.Unavailable, err, "the output of %s cannot be read", journalProgram))
		}
	}
	return true, f.trouble
}

// begin starts journalctl with a question.
func (f *JournalFollower) begin(q question) error {
	var args []string
	switch q {
	case forPast:
		args = f.journal.past(f.cursor)
		f.past, f.pastSize, f.seen = nil, 0, false
	case forFuture:
		args = f.journal.future(f.cursor)
		f.repeat = f.cursor != "" && !f.beside
	case forSight:
		args = f.journal.sight()
	}
	child, err := startChild(args)
	if err != nil {
		return err
	}
	f.child, f.asked, f.started, f.out, f.words = child, q, time.Now(), exported{}, ending{}
	return nil
}

// take takes one entry.
func (f *JournalFollower) take(e Entry, each func(Entry, bool)) {
	if f.asked == forPast {
		f.remember(e)
		return
	}
	if f.repeat {
		f.repeat = false
		if sameEntry(e.Cursor, f.cursor) {
			return
		}
		f.lost()
	}
	f.cursor, f.beside, f.missed = e.Cursor, false, false
	f.works()
	switch {
	case e.dropped:
		if f.journal.has(e.unit, e.slice) {
			f.gaps++
		}
	case e.tooLong:
		f.tooLong++
	default:
		each(e, false)
	}
}

// remember keeps an entry of the past until all of them are there, which come in the wrong order.
func (f *JournalFollower) remember(e Entry) {
	if f.pastSize == 0 { // the latest: it shows where we are
		f.seen = sameEntry(e.Cursor, f.cursor)
		if f.cursor == "" && !f.late {
			f.cursor, f.seen = e.Cursor, true
		}
	}
	if f.pastSize += len(e.Program) + len(e.Message) + 1; f.pastSize <= warmOctets && !e.tooLong && !e.dropped {
		f.past = append(f.past, pastEntry{e.At, string(e.Program), string(e.Message)})
	}
}

// ended goes on with the next question. A journalctl that follows has no reason to end.
func (f *JournalFollower) ended(each func(Entry, bool)) error {
	child := f.child
	f.child = nil
	err := child.wait()
	switch {
	case err != nil && f.cursor != "" && strings.Contains(child.said.String(), "seek to cursor: Invalid argument"):
		// It means nothing to this journalctl, and will not.
		f.lost()
		f.cursor, f.beside, f.missed = "", false, false
		return f.begin(forPast)
	case err != nil:
		return err
	case f.asked == forFuture:
		return child.trouble(nil)
	case f.asked == forSight:
		if err := child.blind(); err != nil {
			f.late = f.late || f.cursor == "" && fault.CodeOf(err) == fault.NotFound
			return err
		}
		if f.cursor == "" && !f.late {
			// Where others are: what the MTA says from now on comes after it, also when it does so between two runs of this process.
			f.cursor = f.words.cursor()
			f.beside = f.cursor != ""
		}
		return f.begin(forFuture)
	case !f.out.whole():
		return notExported("it ends in an entry")
	}
	for _, e := range slices.Backward(f.past) {
		each(Entry{At: e.at, Program: []byte(e.program), Message: []byte(e.message)}, true)
	}
	f.past = nil
	if f.cursor != "" && !f.seen && !f.beside {
		f.lost()
	}
	if f.pastSize == 0 {
		return f.begin(forSight)
	}
	return f.begin(forFuture)
}

// lost counts a gap, once for each entry that is gone.
func (f *JournalFollower) lost() {
	if !f.missed {
		f.gaps++
		f.missed = true
	}
}

// wait is called when nothing comes.
func (f *JournalFollower) wait(now time.Time) error {
	switch age := now.Sub(f.started); {
	case f.asked == forFuture && age > steady:
		f.works()
	case f.asked != forFuture && age > warmTime:
		return f.fail(fault.New(fault.Unavailable, "%s has found nothing within %s", journalProgram, warmTime))
	}
	return f.trouble
}

// works notes that journalctl does what it should.
func (f *JournalFollower) works() { f.trouble, f.failures, f.late = nil, 0, false }

// fail notes that it does not, and when to try again.
func (f *JournalFollower) fail(err error) error {
	f.Close()
	f.trouble = err
	f.retry = time.Now().Add(min(retryFirst<<min(f.failures, 10), retryLast))
	f.failures++
	return err
}

// sameEntry reports whether two cursors are those of one entry. Sequence numbers, at the beginning, change when journald writes what it held in memory to the disk;
// boot, clocks and content do not.
func sameEntry(a, b string) bool {
	return a != "" && fromBoot(a) == fromBoot(b)
}

func fromBoot(cursor string) string {
	if at := strings.Index(cursor, ";b="); at >= 0 {
		return cursor[at:]
	}
	return cursor
}

// ending keeps the end of a text.
type ending struct{ text []byte }

func (e *ending) take(part []byte) {
	const most = 2 * maxCursor
	if e.text = append(e.text, part...); len(e.text) > most {
		e.text = append(e.text[:0], e.text[len(e.text)-most:]...)
	}
}

// cursor reads the last line of what journalctl writes with --show-cursor; "" = it is none. A message cannot claim to be that line, which comes after it.
func (e *ending) cursor() string {
	text := strings.TrimSuffix(string(e.text), "\n")
	cursor, found := strings.CutPrefix(text[strings.LastIndexByte(text, '\n')+1:], "-- cursor: ")
	if !found || !isCursor(cursor) {
		return ""
	}
	return cursor
}
