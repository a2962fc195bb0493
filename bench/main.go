package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wholeRun bounds everything: what hangs is ended, and says so.
const wholeRun = 3 * time.Minute

// pinnedTo is set in the environment of the run that is pinned; its value is the processor that milters get.
const pinnedTo = "POSTSEAL_BENCH_MILTER_CPU"

// report is what -json writes.
type report struct {
	Go      string         `json:"go"`
	CPU     string         `json:"cpu"`
	Library *libraryResult `json:"library,omitempty"`
	Milter  *milterResult  `json:"milter,omitempty"`
}

func main() {
	rounds := flag.Int("rounds", 5, "rounds of the library comparison; the median counts")
	budget := flag.Duration("budget", 150*time.Millisecond, "CPU time of one library with one message in one round")
	milterRounds := flag.Int("milter-rounds", 3, "rounds of the milter comparison")
	skipLibrary := flag.Bool("skip-library", false, "leave the library comparison out")
	skipMilter := flag.Bool("skip-milter", false, "leave the milter comparison out")
	jsonFile := flag.String("json", "", "write the figures to this file too")
	flag.Parse()
	if err := pin(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: not pinned to one core, CPU time is still what counts:", err)
	}
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wholeRun)
	defer cancel()
	r := report{Go: runtime.Version(), CPU: cpuModel()}
	if err := run(ctx, &r, options{*rounds, *budget, *milterRounds, *skipLibrary, *skipMilter}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *jsonFile != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(*jsonFile, append(text, '\n'), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

type options struct {
	rounds                  int
	budget                  time.Duration
	milterRounds            int
	skipLibrary, skipMilter bool
}

func run(ctx context.Context, r *report, o options) error {
	dir, err := os.MkdirTemp("", "postseal-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Printf("%s, %s\n", r.CPU, r.Go)
	if !o.skipLibrary {
		result, err := compareLibraries(ctx, dir, o.rounds, o.budget)
		if err != nil {
			return err
		}
		r.Library = &result
		result.print(os.Stdout)
	}
	if !o.skipMilter {
		result, err := compareMilters(ctx, dir, o.milterRounds)
		if err != nil {
			return err
		}
		r.Milter = &result
		result.print(os.Stdout)
	}
	return nil
}

// pin starts the program again on one processor, so that every thread and child is there from its start. Milters get another
// processor if there is one: their own, as the MTA's end would only take turns with them.
func pin() error {
	if os.Getenv(pinnedTo) != "" {
		return nil
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	var cpus []int
	for i := range 1024 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"taskset", "-c", strconv.Itoa(cpus[0]), self}, os.Args[1:]...)
	return syscall.Exec(taskset, args, append(os.Environ(), pinnedTo+"="+strconv.Itoa(cpus[len(cpus)-1])))
}

// cpuModel is what the processor calls itself.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
