package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestOnlyUntouchedPagesOfTheProgramAreGivenBack(t *testing.T) {
	const smaps = `00400000-00f7c000 r-xp 00000000 08:01 1 /usr/bin/postseal
Rss:                6640 kB
Anonymous:             0 kB
00f7c000-01b46000 r--p 00b7c000 08:01 1 /usr/bin/postseal
Rss:                6632 kB
Anonymous:             0 kB
01b46000-01c00000 r--p 01746000 08:01 1 /usr/bin/postseal
Anonymous:           128 kB
01c00000-01c6f000 rw-p 01746000 08:01 1 /usr/bin/postseal
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 08:01 2 /usr/lib/other/usr/bin/postseal2
Anonymous:             0 kB
2244be800000-2244bf000000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`
	got := programPages(bufio.NewScanner(strings.NewReader(smaps)), "/usr/bin/postseal")
	if len(got) != 2 || got[0] != (mapping{0x400000, 0xf7c000}) || got[1] != (mapping{0xf7c000, 0x1b46000}) {
		t.Errorf("%x", got)
	}
}

// The program goes on after its pages were dropped.
func TestSettleMemory(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil && runtime.GOOS != "linux" {
		t.Skip("no /proc here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := programPages(bufio.NewScanner(f), path); len(got) == 0 {
		t.Error("the program's own pages are not found")
	}
	settleMemory()
	if run(t.Context(), newRoot(), []string{"agent", "--help"}) != 0 {
		t.Error("something is broken afterwards")
	}
}
