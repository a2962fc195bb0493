package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// put writes a file that has been there for a while.
func put(t testing.TB, path string, content []byte) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
}

// names are those of the files in a folder.
func names(t testing.TB, folder string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

func maildirIn(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// looker is a folder that is looked at when the test says so.
func (r *rig) looker(cfg Folder) *folder {
	r.t.Helper()
	in, err := New(Config{Folders: []Folder{cfg}}, r.needs)
	if err != nil {
		r.t.Fatal(err)
	}
	return in.ways[0].(*folder)
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestFolder(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	f := r.looker(Folder{Kind: Files, Path: dir})
	text := aReport(t, "1", 2)
	put(t, filepath.Join(dir, "one.xml"), text)
	put(t, filepath.Join(dir, "mail.eml"), r.signed(letter("reports@example.org", "x.xml", aReport(t, "2", 2))))
	put(t, filepath.Join(dir, "mbox"), append([]byte("From someone Thu Nov 26 10:00:00 2026\n"), bytes.ReplaceAll(r.signed(letter("reports@example.org", "y.xml", aReport(t, "3", 2))), []byte("\r\n"), []byte("\n"))...))
	put(t, filepath.Join(dir, "unsigned.eml"), letter("reports@example.org", "z.xml", aReport(t, "4", 2)))
	put(t, filepath.Join(dir, "words.txt"), []byte("no report"))
	put(t, filepath.Join(dir, "empty"), nil)
	// These are none of ours.
	put(t, filepath.Join(dir, ".hidden"), text)
	put(t, filepath.Join(dir, "upload.part"), text)
	put(t, filepath.Join(t.TempDir(), "elsewhere.xml"), text)
	outside := filepath.Join(t.TempDir(), "outside.xml")
	put(t, outside, aReport(t, "5", 1))
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link.xml")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big.xml")
	put(t, big, nil)
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Truncate(big, 1<<30), os.Chtimes(big, old, old)); err != nil {
		t.Fatal(err)
	}
	if err := f.look(t.Context()); err != nil || f.bad != nil {
		t.Fatal(err, f.bad)
	}
	same(t, "done", names(t, filepath.Join(dir, "done")), "one.xml", "mail.eml", "mbox", "unsigned.eml")
	same(t, "unread", names(t, filepath.Join(dir, "unread")), "words.txt", "empty", "big.xml")
	same(t, "left", names(t, dir), ".hidden", "upload.part", "link.xml", "pipe")
	trust := map[string]report.Arrival{}
	for _, a := range r.shelf.kept() {
		trust[a.Name] = a
	}
	for name, want := range map[string]report.Trust{"one.xml": report.Given, "mail.eml": report.Verified, "mbox": report.Verified, "unsigned.eml": report.Unverified, "words.txt": report.Given, "empty": report.Given} {
		a, ok := trust[name]
		if !ok || a.Trust != want || a.Way != report.ByFolder || a.Place != dir || a.Verdict == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if len(trust) != 6 {
		t.Errorf("%d were stored", len(trust))
	}
	if s := f.p.status(); s.Counts.Stored != 6 || s.Counts.Unread != 2 || s.Counts.Refused != 1 || s.Counts.Verified != 2 {
		t.Errorf("%+v", s)
	}
	// A second one of the same name does not take the place of the first.
	put(t, filepath.Join(dir, "one.xml"), aReport(t, "6", 1))
	if err := f.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "done", names(t, filepath.Join(dir, "done")), "one.xml", "one~1.xml", "mail.eml", "mbox", "unsigned.eml")
	if got, _ := os.ReadFile(filepath.Join(dir, "done", "one.xml")); !bytes.Equal(got, text) {
		t.Error("the first one was overwritten")
	}
}

// A file that is being written is not taken; one that was written is, after a while or at once by a rename.
func TestFolderWaitsForFilesToSettle(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	r.needs.Now = func() time.Time { return now }
	dir := t.TempDir()
	f := r.looker(Folder{Kind: Files, Path: dir, Doubted: true})
	path := filepath.Join(dir, "a.xml")
	text := aReport(t, "1", 20)
	look := func(pass time.Duration, want int) {
		t.Helper()
		now = now.Add(pass)
		if err := f.look(t.Context()); err != nil || f.bad != nil {
			t.Fatal(err, f.bad)
		}
		if got := len(r.shelf.kept()); got != want {
			t.Fatalf("%d were taken, want %d", got, want)
		}
	}
	for n := range 4 { // it grows at each look
		if err := os.WriteFile(path, text[:len(text)*(n+1)/5], 0o600); err != nil {
			t.Fatal(err)
		}
		look(settleTime-time.Second, 0)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	look(time.Second, 0)
	look(settleTime-time.Second, 0)
	look(time.Second, 1)
	if a := r.shelf.kept()[0]; !bytes.Equal(a.Octets, text) || a.Trust != report.Unverified {
		t.Errorf("%d octets of %d, %s", len(a.Octets), len(text), a.Trust)
	}
	if len(f.seen) != 0 {
		t.Errorf("%d files are remembered", len(f.seen))
	}
	// One that vanishes is forgotten.
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	look(0, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look(0, 1)
	if len(f.seen) != 0 {
		t.Errorf("%d files are remembered", len(f.seen))
	}
}

// Trouble with the storage leaves everything where it is; what cannot be moved is stored once.
func TestFolderLosesNothing(t *testing.T) {
	for _, kind := range []FolderKind{Files, Maildir} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t)
			dir := maildirIn(t)
			from, to := filepath.Join(dir, "new"), filepath.Join(dir, "cur")
			cfg := Folder{Kind: kind, Path: dir}
			if kind == Files {
				cfg.Path = from
				to = filepath.Join(from, "done")
			}
			for i := range 30 {
				put(t, filepath.Join(from, fmt.Sprintf("%d.host", i)), r.signed(letter("reports@example.org", "x.xml", aReport(t, fmt.Sprint(i), 1))))
			}
			f := r.looker(cfg)
			r.shelf.fail(-1, errDown)
			if err := f.look(t.Context()); !errors.Is(err, error(errDown)) || r.shelf.asked() != 1 {
				t.Errorf("%v, asked %d times", err, r.shelf.asked())
			}
			if n := len(names(t, from)); n != 30 {
				t.Errorf("%d are left", n)
			}
			r.shelf.fail(0, nil)
			// The process ends after each few.
			for round := 0; len(names(t, from)) > 0; round++ {
				ctx, cancel := context.WithCancel(t.Context())
				n := 0
				r.shelf.entered = func() {
					if n++; n == 7 {
						cancel()
					}
				}
				_ = r.looker(cfg).look(ctx)
				cancel()
				if round > 30 {
					t.Fatal("it does not get on")
				}
			}
			if got := len(r.shelf.kept()); got != 30 || len(names(t, to)) != 30 {
				t.Errorf("%d are stored, %d are moved", got, len(names(t, to)))
			}
			// A process that ended between storing and moving: the same file again.
			moved := names(t, to)[0]
			if err := os.Rename(filepath.Join(to, moved), filepath.Join(from, "again.host")); err != nil {
				t.Fatal(err)
			}
			r.shelf.entered = nil
			if err := r.looker(cfg).look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(r.shelf.kept()); got != 30 || len(names(t, from)) != 0 {
				t.Errorf("%d are stored", got)
			}
		})
	}
}

// One file that cannot be read does not keep the others.
func TestFolderGoesOnBehindABadFile(t *testing.T) {
	r := newRig(t)
	dir := maildirIn(t)
	for i := range 3 {
		put(t, filepath.Join(dir, "new", fmt.Sprint(i)), letter("reports@example.org", "x.xml", aReport(t, fmt.Sprint(i), 1)))
	}
	full := true
	r.needs.Quota = quotaFunc(func(string, int, time.Time) time.Duration {
		if full {
			full = false
			return time.Minute
		}
		return 0
	})
	r.shelf.fail(1, fault.New(fault.Invalid, "never that one"))
	f := r.looker(Folder{Kind: Maildir, Path: dir})
	if err := f.look(t.Context()); err != nil || f.bad == nil {
		t.Fatal(err, f.bad)
	}
	if len(r.shelf.kept()) != 1 || len(names(t, filepath.Join(dir, "new"))) != 1 {
		t.Errorf("%d are stored, %v are left", len(r.shelf.kept()), names(t, filepath.Join(dir, "new")))
	}
	flagged := 0
	for _, name := range names(t, filepath.Join(dir, "cur")) {
		if strings.HasSuffix(name, ":2,FS") {
			flagged++
		}
	}
	if flagged != 1 {
		t.Error(names(t, filepath.Join(dir, "cur")))
	}
}

func TestMaildir(t *testing.T) {
	r := newRig(t)
	dir := maildirIn(t)
	mail := func(id string) []byte {
		return bytes.ReplaceAll(r.signed(letter("reports@example.org", id+".xml", aReport(t, id, 1))), []byte("\r\n"), []byte("\n"))
	}
	put(t, filepath.Join(dir, "new", "1.host"), mail("1"))
	put(t, filepath.Join(dir, "new", "2.host:2,R"), mail("2"))
	put(t, filepath.Join(dir, "cur", "3.host:2,"), mail("3"))
	put(t, filepath.Join(dir, "cur", "4.host:2,F"), []byte("Subject: no report\n\nwords\n"))
	put(t, filepath.Join(dir, "cur", "5.host:2,S"), mail("5"))
	put(t, filepath.Join(dir, "cur", "6.host:2,T"), mail("6"))
	put(t, filepath.Join(dir, "tmp", "7.host"), mail("7"))
	if err := os.Symlink(filepath.Join(dir, "tmp", "7.host"), filepath.Join(dir, "new", "8.host")); err != nil {
		t.Fatal(err)
	}
	_, stop := r.start(Config{Folders: []Folder{{Kind: Maildir, Path: dir, Poll: minFolderPoll}}})
	await(t, "all are taken", func() bool { return len(r.shelf.kept()) == 4 })
	put(t, filepath.Join(dir, "new", "9.host"), mail("9"))
	await(t, "the new one is moved", func() bool { return slices.Contains(names(t, filepath.Join(dir, "cur")), "9.host:2,S") })
	stop()
	same(t, "cur", names(t, filepath.Join(dir, "cur")), "1.host:2,S", "2.host:2,RS", "3.host:2,S", "4.host:2,FS", "5.host:2,S", "6.host:2,T", "9.host:2,S")
	same(t, "new", names(t, filepath.Join(dir, "new")), "8.host")
	for _, a := range r.shelf.kept() {
		if want := a.Sender == "reporter.example"; (a.Trust == report.Verified) != want || a.Way != report.ByFolder {
			t.Errorf("%+v", a)
		}
	}
}

func TestFolderThatIsNone(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, nil)
	for _, f := range []Folder{{Kind: Files, Path: "relative"}, {Kind: "mbox", Path: file}, {Kind: Files, Path: t.TempDir(), Poll: time.Microsecond}} {
		if _, err := New(Config{Folders: []Folder{f}}, r.needs); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// A folder that is not there keeps nobody from starting, says so, and is taken when it comes.
func TestFolderThatComesLater(t *testing.T) {
	r := newRig(t)
	late, file := filepath.Join(t.TempDir(), "late"), filepath.Join(t.TempDir(), "file")
	put(t, file, nil)
	in, _ := r.start(Config{Folders: []Folder{{Kind: Files, Path: late, Poll: minFolderPoll}, {Kind: Files, Path: file, Poll: minFolderPoll}, {Kind: Maildir, Path: t.TempDir(), Poll: minFolderPoll}}})
	await(t, "all say what is wrong", func() bool {
		return !slices.ContainsFunc(in.Status(), func(s Status) bool { return s.Up || !strings.Contains(s.Error, "make it, and let the account") })
	})
	if err := os.Mkdir(late, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(late, "r.xml"), []byte("<feedback/>"))
	await(t, "it is taken", func() bool { return in.Status()[0].Up && len(r.shelf.kept()) == 1 })
}
