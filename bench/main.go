package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wholeRun bounds everything that is measured: what hangs is ended, and says so. buildWithin is for the product's first build on
// a slow machine, before that.
const (
	wholeRun    = 3 * time.Minute
	buildWithin = 10 * time.Minute
)

// processors is set in the environment of the run that is pinned to the first of them: all that it may use, with commas between.
const processors = "POSTSEAL_BENCH_PROCESSORS"

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
	milterRounds := flag.Int("milter-rounds", 5, "rounds of the milter comparison")
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
	binary := filepath.Join(dir, "postseal")
	if !o.skipMilter {
		if err := buildPostseal(ctx, binary); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wholeRun)
	defer cancel()
	if !o.skipLibrary {
		result, err := compareLibraries(ctx, dir, o.rounds, o.budget)
		if err != nil {
			return err
		}
		r.Library = &result
		result.print(os.Stdout)
	}
	if !o.skipMilter {
		result, err := compareMilters(ctx, dir, binary, o.milterRounds)
		if err != nil {
			return err
		}
		r.Milter = &result
		result.print(os.Stdout)
	}
	return nil
}

// pin starts the program again on one processor, so that every thread and child is there from its start. Milters get the last
// processor to themselves if there are several: the MTA's end would only take turns with them.
func pin() error {
	if os.Getenv(processors) != "" {
		return nil
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	var cpus []string
	for i := range 1024 { // as many as the set can name
		if set.IsSet(i) {
			cpus = append(cpus, strconv.Itoa(i))
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
	args := append([]string{"taskset", "-c", cpus[0], self}, os.Args[1:]...)
	return syscall.Exec(taskset, args, append(os.Environ(), processors+"="+strings.Join(cpus, ",")))
}

// on is a command on these processors; "" means where this program runs.
func on(ctx context.Context, cpus, name string, args ...string) *exec.Cmd {
	if cpus != "" {
		name, args = "taskset", append([]string{"-c", cpus, name}, args...)
	}
	return exec.CommandContext(ctx, name, args...)
}

// milterProcessor is the one that milters get.
func milterProcessor() string {
	all := os.Getenv(processors)
	return all[strings.LastIndexByte(all, ',')+1:]
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
