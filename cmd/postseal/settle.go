package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// An agent that holds little collects after half as much garbage as Go does by itself: a signed message leaves two kilobytes, and a
// collection of so little takes half a millisecond. With many keys it takes fifty, and messages leave more, because keys are read for them.
const (
	smallHeap      = 16 << 20
	smallGCPercent = 50
)

// collectOften says so to a small heap, where the environment does not say otherwise.
func collectOften() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc < smallHeap && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(smallGCPercent)
	}
}

// settleAgain is when memory is given back a second time: by then the first report and the first look at all keys are over.
const settleAgain = 5 * time.Second

// settle makes a process small that has just started and is to run for long. It returns when that is done, or when done is closed.
func settle(done <-chan struct{}) {
	settleMemory()
	collectOften()
	again := time.NewTimer(settleAgain)
	defer again.Stop()
	select {
	case <-done:
	case <-again.C:
		settleMemory()
	}
}

// settleMemory gives back what only the start needed: garbage, and the pages of the program itself. One binary with all faces touches
// many pages of code and tables while its packages initialise, and the kernel counts them to this process for good; what the
// agent goes on to use comes back from the page cache at once. Wherever that does not work nothing changes.
func settleMemory() {
	debug.FreeOSMemory()
	program, err := os.Executable()
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range programPages(bufio.NewScanner(f), program) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.start, m.end-m.start, syscall.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// programPages reads /proc/self/smaps and returns the mappings of a file that are as they are in the file: not writable, and without a
// page of their own. The latter leaves out what a loader has relocated, which would be lost.
func programPages(smaps *bufio.Scanner, path string) []mapping {
	var out []mapping
	var at mapping
	for smaps.Scan() {
		line := smaps.Text()
		var m mapping
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &m.start, &m.end, &rights); n == 3 {
			at = mapping{}
			if (rights == "r-xp" || rights == "r--p") && strings.HasSuffix(line, " "+path) {
				at = m
			}
		} else if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok && at.end > at.start && strings.TrimSpace(rest) == "0 kB" {
			out = append(out, at)
		}
	}
	return out
}
