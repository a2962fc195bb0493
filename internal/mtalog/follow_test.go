package mtalog_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

// log is a log in a folder of its own, and who writes it.
type log struct {
	t    testing.TB
	path string
	file *os.File
}

func newLog(t testing.TB, lines ...string) *log {
	t.Helper()
	l := &log{t: t, path: filepath.Join(t.TempDir(), "mail.log")}
	l.open()
	l.write(lines...)
	t.Cleanup(func() { _ = l.file.Close() })
	return l
}

func (l *log) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// open is what a syslog daemon does when it is told of a rotation.
func (l *log) open() {
	l.t.Helper()
	if l.file != nil {
		_ = l.file.Close()
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	l.check(err)
	l.file = f
}

func (l *log) write(lines ...string) {
	l.t.Helper()
	for _, line := range lines {
		_, err := io.WriteString(l.file, line+"\n")
		l.check(err)
	}
}

func (l *log) part(text string) {
	l.t.Helper()
	_, err := io.WriteString(l.file, text)
	l.check(err)
}

// move is a rotation by rename; whoever writes goes on in the old file.
func (l *log) move(suffix string) {
	l.t.Helper()
	l.check(os.Rename(l.path, l.path+suffix))
}

// copyTruncate is logrotate's way for those who cannot be told.
func (l *log) copyTruncate(suffix string) {
	l.t.Helper()
	content, err := os.ReadFile(l.path)
	l.check(err)
	l.check(os.WriteFile(l.path+suffix, content, 0o640))
	l.check(os.Truncate(l.path, 0))
}

// read reads until there is no more, and returns the new lines.
func read(t testing.TB, f *mtalog.Follower) (fresh, old []string) {
	t.Helper()
	for {
		more, err := f.Read(func(line []byte, before bool) {
			if before {
				old = append(old, string(line))
			} else {
				fresh = append(fresh, string(line))
			}
		})
		if err != nil && fault.CodeOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		if !more {
			return fresh, old
		}
	}
}

func expect(t testing.TB, f *mtalog.Follower, want ...string) {
	t.Helper()
	if got, _ := read(t, f); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Lines that tell a file from others by their time, as those of a log do.
func line(n int) string { return fmt.Sprintf("Nov 27 10:%02d:%02d mx1 line %d", n/60%60, n%60, n) }

func TestFirstTimeBeginsAtTheEnd(t *testing.T) {
	l := newLog(t, line(1), line(2))
	l.part("Nov 27 begun")
	f := mtalog.Follow(l.path, mtalog.Position{})
	defer f.Close()
	fresh, old := read(t, f)
	if len(fresh) > 0 || !slices.Equal(old, []string{line(1), line(2)}) {
		t.Errorf("fresh %q, old %q", fresh, old)
	}
	l.write(" before", line(3))
	expect(t, f, "Nov 27 begun before", line(3))
	expect(t, f)
}

func TestGoesOnAfterARestart(t *testing.T) {
	l := newLog(t, line(1))
	f := mtalog.Follow(l.path, mtalog.Position{})
	expect(t, f)
	l.write(line(2))
	l.part("Nov 27 10:00:03 half")
	expect(t, f, line(2))
	at := f.Position()
	f.Close()
	l.write(" a line", line(4))
	f = mtalog.Follow(l.path, at)
	defer f.Close()
	fresh, old := read(t, f)
	if !slices.Equal(fresh, []string{"Nov 27 10:00:03 half a line", line(4)}) || !slices.Equal(old, []string{line(1), line(2)}) {
		t.Errorf("fresh %q, old %q", fresh, old)
	}
	if f.Gaps() != 0 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

// A rotation at every moment of the writer's and the reader's work loses and repeats nothing.
func TestRotation(t *testing.T) {
	tests := map[string]func(l *log, look func(...string)){
		"moved, the new one written to at once": func(l *log, look func(...string)) {
			l.write(line(2))
			l.move(".1")
			l.open()
			l.write(line(3))
			look(line(2), line(3))
		},
		"moved, the writer goes on in the old one": func(l *log, look func(...string)) {
			l.move(".1")
			l.write(line(2))
			look(line(2))
			l.write(line(3))
			look(line(3))
			l.open()
			l.write(line(4))
			look(line(4))
		},
		"moved, made anew at once, and told later": func(l *log, look func(...string)) {
			l.move(".1")
			l.check(os.WriteFile(l.path, nil, 0o640))
			l.write(line(2)) // still into the old one
			look(line(2))
			l.write(line(3))
			l.open()
			l.write(line(4))
			look(line(3), line(4))
		},
		"moved with a line unfinished": func(l *log, look func(...string)) {
			l.part(line(2))
			look()
			l.move(".1")
			l.open()
			l.write(line(3))
			look(line(2), line(3))
		},
		"moved and gone": func(l *log, look func(...string)) {
			l.write(line(2))
			l.move(".1")
			l.check(os.Remove(l.path + ".1"))
			l.open()
			l.write(line(3))
			look(line(2), line(3))
		},
		"twice": func(l *log, look func(...string)) {
			l.write(line(2))
			look(line(2))
			l.move(".1")
			l.open()
			l.write(line(3))
			look(line(3))
			l.move(".2")
			l.open()
			l.write(line(4))
			look(line(4))
		},
		"copied and emptied": func(l *log, look func(...string)) {
			l.write(line(2))
			look(line(2))
			l.copyTruncate(".1")
			look()
			l.write(line(3))
			look(line(3))
		},
		"copied and emptied with lines unread": func(l *log, look func(...string)) {
			l.write(line(2), line(3))
			l.copyTruncate(".1")
			l.write(line(4))
			look(line(2), line(3), line(4))
		},
		"emptied and longer than before": func(l *log, look func(...string)) {
			l.write(line(2))
			look(line(2))
			l.write(line(3))
			l.copyTruncate("-20261127")
			l.write(line(4), line(5), line(6), line(7), line(8))
			look(line(3), line(4), line(5), line(6), line(7), line(8))
		},
		"emptied with a line unfinished": func(l *log, look func(...string)) {
			l.part("Nov 27 10:00:02 half")
			look()
			l.write(" a line")
			l.copyTruncate(".1")
			l.write(line(3))
			look("Nov 27 10:00:02 half a line", line(3))
		},
		"copied before the last line was read": func(l *log, look func(...string)) {
			l.write(line(2))
			content, err := os.ReadFile(l.path)
			l.check(err)
			l.check(os.WriteFile(l.path+".1", content, 0o640))
			l.write(line(3)) // between copy and truncation: not in the copy
			look(line(2), line(3))
			l.check(os.Truncate(l.path, 0))
			l.write(line(4))
			look(line(4))
		},
	}
	for name, do := range tests {
		for _, restart := range []bool{false, true} {
			if restart && name == "moved and gone" {
				continue // what was unread is nowhere
			}
			t.Run(fmt.Sprintf("%s, restart %v", name, restart), func(t *testing.T) {
				l := newLog(t, line(0), line(1))
				f := mtalog.Follow(l.path, mtalog.Position{})
				defer func() { f.Close() }()
				expect(t, f)
				do(l, func(want ...string) {
					t.Helper()
					if restart {
						at := f.Position()
						f.Close()
						f = mtalog.Follow(l.path, at)
					}
					expect(t, f, want...)
				})
				if f.Gaps() != 0 {
					t.Errorf("%d gaps", f.Gaps())
				}
			})
		}
	}
}

// Whatever writer, rotation, reader and restarts do one after another: every line comes once, in its order.
func TestRotationAtRandom(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 5))
		l := newLog(t, line(0))
		f := mtalog.Follow(l.path, mtalog.Position{})
		expect(t, f)
		var got []string
		look := func() { fresh, _ := read(t, f); got = append(got, fresh...) }
		written, rotations, moved := 0, 0, false
		var trace []string
		for range 120 {
			step := random.IntN(10)
			trace = append(trace, fmt.Sprint(step))
			switch {
			case step < 5:
				written++
				l.write(line(written))
			case step < 8:
				look()
			case step < 9:
				if !moved { // one that is down for two rotations misses what lay between
					at := f.Position()
					f.Close()
					f = mtalog.Follow(l.path, at)
					look()
				}
			case moved:
				l.open()
				written++
				l.write(line(written))
				moved = false
				look()
			case random.IntN(2) == 0:
				rotations++
				l.move(fmt.Sprintf(".%d", rotations))
				moved = true
			default:
				rotations++
				l.copyTruncate(fmt.Sprintf(".%d", rotations))
				written++
				l.write(line(written))
				look()
			}
		}
		if moved {
			l.open()
			written++
			l.write(line(written))
		}
		look()
		var want []string
		for n := 1; n <= written; n++ {
			want = append(want, line(n))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %q, want lines 1 to %d; %s", seed, got, written, trace)
		}
		f.Close()
	}
}

func TestLostLinesAreNoticed(t *testing.T) {
	l := newLog(t, line(0))
	f := mtalog.Follow(l.path, mtalog.Position{})
	expect(t, f)
	at := f.Position()
	f.Close()
	l.write(line(1))
	l.move(".1")
	l.check(os.Remove(l.path + ".1")) // compressed
	l.open()
	l.write(line(2))
	f = mtalog.Follow(l.path, at)
	defer f.Close()
	expect(t, f, line(2))
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
	l.check(os.Truncate(l.path, 0))
	l.write(line(3))
	expect(t, f, line(3))
	if f.Gaps() != 2 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

func TestLongLines(t *testing.T) {
	l := newLog(t)
	f := mtalog.Follow(l.path, mtalog.Position{})
	defer f.Close()
	expect(t, f)
	l.write(line(1), strings.Repeat("x", 1<<20), line(2), strings.Repeat("y", 20<<10), line(3), strings.Repeat("\x00", 100<<10)+line(4), line(5))
	expect(t, f, line(1), line(2), line(3), line(5))
	if f.TooLong() != 3 {
		t.Errorf("%d lines", f.TooLong())
	}
	l.part(strings.Repeat("z", 100<<10))
	expect(t, f)
	at := f.Position()
	l.write("zz", line(6))
	expect(t, f, line(6))
	g := mtalog.Follow(l.path, at) // in the middle of the long line
	defer g.Close()
	if fresh, _ := read(t, g); !slices.Contains(fresh, line(6)) {
		t.Errorf("%q", fresh)
	}
}

func TestLogsThatAreNone(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fault.Code{filepath.Join(dir, "none"): fault.NotFound, dir: fault.Invalid, pipe: fault.Invalid, "/dev/null": fault.Invalid} {
		f := mtalog.Follow(path, mtalog.Position{})
		if _, err := f.Read(func([]byte, bool) {}); fault.CodeOf(err) != want {
			t.Errorf("%s: %v", path, err)
		}
		f.Close()
	}
	// One that comes later is read from its beginning on: it is new.
	path := filepath.Join(dir, "late")
	f := mtalog.Follow(path, mtalog.Position{})
	defer f.Close()
	expect(t, f)
	if err := os.WriteFile(path, []byte(line(1)+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	expect(t, f, line(1))
}

func TestTheFileIsGoneForAWhile(t *testing.T) {
	l := newLog(t, line(0))
	f := mtalog.Follow(l.path, mtalog.Position{})
	defer f.Close()
	expect(t, f)
	l.move(".1")
	if _, err := f.Read(func([]byte, bool) {}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	l.write(line(1))
	l.open()
	l.write(line(2))
	expect(t, f, line(1), line(2))
}

func TestMuchAtOnceIsReadInPieces(t *testing.T) {
	l := newLog(t)
	f := mtalog.Follow(l.path, mtalog.Position{})
	defer f.Close()
	expect(t, f)
	l.part(strings.Repeat(line(1)+"\n", 9<<20/len(line(1))))
	n := 0
	more, err := f.Read(func([]byte, bool) { n++ })
	if !more || err != nil {
		t.Fatalf("more %v, %v", more, err)
	}
	if more, err = f.Read(func([]byte, bool) { n++ }); more || err != nil || n != 9<<20/len(line(1)) {
		t.Errorf("%d lines, more %v, %v", n, more, err)
	}
}
