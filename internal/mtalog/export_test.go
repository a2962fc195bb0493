package mtalog

// ChildPID is the id of the journalctl that runs; 0 = none.
func (f *JournalFollower) ChildPID() int {
	if f.child == nil {
		return 0
	}
	return f.child.cmd.Process.Pid
}

// Follows reports whether journalctl runs and waits for what comes.
func (f *JournalFollower) Follows() bool { return f.child != nil && f.asked == forFuture }

// HangUp closes the pipe, as the kernel does when a process is killed.
func (f *JournalFollower) HangUp() { _ = f.child.out.Close() }

// ReadExported reads the output of journalctl in pieces of a size and returns its entries with their texts copied.
func ReadExported(output []byte, piece int) (entries []Entry, tooLong int, err error) {
	var x exported
	for len(output) > 0 && err == nil {
		n := min(piece, len(output))
		err = x.take(output[:n], func(e Entry) {
			if e.tooLong {
				tooLong++
			}
			e.Program, e.Message, e.unit = []byte(string(e.Program)), []byte(string(e.Message)), []byte(string(e.unit))
			e.slice = []byte(string(e.slice))
			entries = append(entries, e)
		})
		output = output[n:]
	}
	return entries, tooLong, err
}

// NewExported returns a function that reads the output of journalctl as it comes.
func NewExported() func([]byte, func(Entry)) error { return new(exported).take }

// Limits that tests look at.
const (
	MaxLine     = maxLine
	WarmEntries = warmEntries
)
