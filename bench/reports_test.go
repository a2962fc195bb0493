package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestMain lets this program be the process that measures another one, and a reader.
func TestMain(m *testing.M) {
	if mine, err := childWork(os.Args[1:]); mine {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The readers that are written in Go find what was written, packed or not, in a file and in a folder.
func TestReadersFindWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	var want found
	for i := range 3 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d.xml%s", i, []string{"", ".gz", ".gz"}[i])))
		if err != nil {
			t.Fatal(err)
		}
		var out io.WriteCloser = f
		if i > 0 {
			out = gzip.NewWriter(f)
		}
		want.add(writeReport(out, i, i+5))
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if want.rows != 18 {
		t.Fatalf("%d rows were written", want.rows)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := readers(t.TempDir(), self, "")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, by := range all {
		if by.prints {
			continue
		}
		out, used, err := measured(t.Context(), self, by.command(dir))
		if err != nil {
			t.Fatalf("%s: %v", by.name, err)
		}
		if got, err := by.counts(out); err != nil || got != want {
			t.Errorf("%s found %+v, want %+v, %v", by.name, got, want, err)
		}
		if used.CPU <= 0 || used.Memory < 1 {
			t.Errorf("%s took %v and %.1f MB", by.name, used.CPU, used.Memory)
		}
		ran++
	}
	if ran < 2 {
		t.Errorf("%d readers ran", ran)
	}
}

// The memory of whoever measures is not taken for that of what is measured.
func TestMeasuredIsTheirs(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 200<<20)
	for i := 0; i < len(large); i += 4096 {
		large[i] = 1
	}
	_, used, err := measured(t.Context(), self, []string{"true"})
	if err != nil || used.Memory > 100 || large[len(large)-4096] != 1 {
		t.Errorf("%.1f MB, %v", used.Memory, err)
	}
	if _, _, err := measured(t.Context(), self, []string{"false"}); err == nil {
		t.Error("a program that fails is taken for one that does not")
	}
}

func TestCountsOfPrograms(t *testing.T) {
	cat := "dmarc-cat 0.15.0,parallel/j1 by Ollivier Robert\n\nReporting by: Test Inc. — postmaster@test\n\nReports(2):\nIP          Count   From      RFrom     RDKIM   RSPF     \n192.168.1.1 5       test.net  test2.net pass    pass     \n10.1.1.1    2       test2.net test2.net fail    softfail \n\n"
	for what, c := range map[string]struct {
		counts func([]byte) (found, error)
		out    string
		want   found
		good   bool
	}{
		"dmarc-cat":               {catCounts, cat, found{2, 7}, true},
		"dmarc-cat without table": {catCounts, "Error: bad filename\n", found{}, false},
		"csv":                     {csvCounts, "file,count,\"a\nb\"\nx,3,y\n\"x,y\",4,z\n", found{2, 7}, true},
		"csv without counts":      {csvCounts, "file\nx\n", found{}, false},
		"nothing":                 {csvCounts, "", found{}, false},
		"two numbers":             {twoNumbers, "2 7\n", found{2, 7}, true},
		"one number":              {twoNumbers, "2\n", found{}, false},
	} {
		got, err := c.counts([]byte(c.out))
		if (err == nil) != c.good || c.good && got != c.want {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}
