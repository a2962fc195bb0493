package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
// a slow machine, before that. After its own limit a comparison makes no further rounds; the sum leaves a quarter of the run for what was begun.
const (
	wholeRun       = 14 * time.Minute
	buildWithin    = 10 * time.Minute
	signingLimit   = 100 * time.Second
	verifyingLimit = 100 * time.Second
	domainsLimit   = 4 * time.Minute
	libraryLimit   = 100 * time.Second
	reportsLimit   = 100 * time.Second
)

// processors is set in the environment of the run that is pinned to the first of them: all that it may use, with commas between.
const processors = "POSTSEAL_BENCH_PROCESSORS"

// report is what -json writes.
type report struct {
	Go        string         `json:"go"`
	CPU       string         `json:"cpu"`
	Versions  []string       `json:"versions"`
	Seconds   float64        `json:"seconds"` // that the run took
	Library   *libraryResult `json:"library,omitempty"`
	Signing   *milterResult  `json:"milter_signing,omitempty"`
	Verifying *milterResult  `json:"milter_verifying,omitempty"`
	Domains   *domainsResult `json:"domains,omitempty"`
	Reports   *reportResult  `json:"reports,omitempty"`
	Aims      []aim          `json:"aims"`
}

type options struct {
	rounds       int
	budget       time.Duration
	milterRounds int
	domains      int
	skip         map[string]*bool
}

// The parts of the run, each of which can be left out.
const (
	partLibrary   = "library"
	partSigning   = "signing"
	partVerifying = "verifying"
	partDomains   = "domains"
	partReports   = "reports"
)

func main() {
	if mine, err := childWork(os.Args[1:]); mine {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of the comparisons of libraries and of readers of reports; the median counts")
	flag.DurationVar(&o.budget, "budget", 150*time.Millisecond, "CPU time of one library with one message in one round")
	flag.IntVar(&o.milterRounds, "milter-rounds", 5, "rounds of the comparisons of milters")
	flag.IntVar(&o.domains, "domains", manyDomains, "how many domains the comparison with many has")
	o.skip = map[string]*bool{
		partLibrary:   flag.Bool("skip-library", false, "leave the libraries out"),
		partSigning:   flag.Bool("skip-signing", false, "leave the signing milters out"),
		partVerifying: flag.Bool("skip-verifying", false, "leave the verifying milters out"),
		partDomains:   flag.Bool("skip-domains", false, "leave the comparison with many domains out"),
		partReports:   flag.Bool("skip-reports", false, "leave the readers of reports out"),
	}
	jsonFile := flag.String("json", "", "write the figures to this file too")
	markdownFile := flag.String("markdown", "", "write the tables to this file too, ready for docs/benchmarks.md")
	flag.Parse()
	if err := pin(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: not pinned to one core, CPU time is still what counts:", err)
	}
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &report{Go: runtime.Version(), CPU: cpuModel(), Versions: versions(ctx)}
	err := run(ctx, r, o)
	if *jsonFile != "" {
		text, jsonErr := json.MarshalIndent(r, "", "  ")
		err = errors.Join(err, jsonErr, os.WriteFile(*jsonFile, append(text, '\n'), 0o644))
	}
	if *markdownFile != "" {
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s\n\n", r.where())
		for _, g := range r.grids() {
			g.markdown(&b)
		}
		err = errors.Join(err, os.WriteFile(*markdownFile, b.Bytes(), 0o644))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// childWork does the work of a process that this program started of itself; mine is false when it is none.
func childWork(args []string) (mine bool, err error) {
	switch {
	case len(args) > 1 && args[0] == measureCommand:
		return true, measureHere(args[1:])
	case len(args) == 3 && args[0] == readReportsCommand:
		return true, readReports(args[1], args[2])
	}
	return false, nil
}

// tools are what the parts share: the product, and what rspamd compiles at its first start, which takes it ten seconds.
type tools struct{ postseal, rspamdCache string }

// run makes one part after the other. A part that fails does not keep the next one from running.
func run(ctx context.Context, r *report, o options) (err error) {
	dir, err := os.MkdirTemp("", "postseal-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Rivals run as another user and have to reach their own folders.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	fmt.Println(r.where())
	t := tools{postseal: filepath.Join(dir, "postseal"), rspamdCache: filepath.Join(dir, "rspamd-cache")}
	if err := os.Mkdir(t.rspamdCache, 0o755); err != nil {
		return err
	}
	if !*o.skip[partSigning] || !*o.skip[partVerifying] || !*o.skip[partDomains] || !*o.skip[partReports] {
		if err := buildPostseal(ctx, t.postseal); err != nil {
			return err
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, wholeRun)
	defer cancel()
	var failed []error
	part := func(name string, work func(dir string) ([]*grid, error)) {
		if *o.skip[name] || ctx.Err() != nil {
			return
		}
		dir := filepath.Join(dir, name)
		err := os.Mkdir(dir, 0o711)
		if err == nil {
			var grids []*grid
			grids, err = work(dir)
			for _, g := range grids {
				g.text(os.Stdout)
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		fmt.Printf("\n%s: %s so far\n", name, time.Since(began).Round(time.Second))
	}
	part(partLibrary, func(dir string) ([]*grid, error) {
		result, err := compareLibraries(ctx, dir, o.rounds, o.budget, libraryLimit)
		r.Library = &result
		return result.grids(), err
	})
	part(partSigning, func(dir string) ([]*grid, error) {
		result, err := compareSigning(ctx, dir, t, o.milterRounds, signingLimit)
		r.Signing = &result
		return result.grids("signing"), err
	})
	part(partVerifying, func(dir string) ([]*grid, error) {
		result, err := compareVerifying(ctx, dir, t, o.milterRounds, verifyingLimit)
		r.Verifying = &result
		return result.grids("verifying"), err
	})
	part(partDomains, func(dir string) ([]*grid, error) {
		result, err := compareDomains(ctx, dir, t, o.domains, o.milterRounds, domainsLimit)
		r.Domains = &result
		return result.grids(), err
	})
	part(partReports, func(dir string) ([]*grid, error) {
		result, err := compareReports(ctx, dir, t, o.rounds, reportsLimit)
		r.Reports = &result
		return result.grids(), err
	})
	r.Seconds = time.Since(began).Seconds()
	r.Aims = r.aims()
	aimsGrid(r.Aims).text(os.Stdout)
	return errors.Join(append(failed, ctx.Err())...)
}

// where says on what the figures were taken.
func (r *report) where() string {
	return fmt.Sprintf("%s, %d processors, %s; %s", r.CPU, len(strings.Split(os.Getenv(processors), ",")), r.Go, strings.Join(r.Versions, ", "))
}

// grids are all tables, the aims last.
func (r *report) grids() (out []*grid) {
	if r.Library != nil {
		out = append(out, r.Library.grids()...)
	}
	if r.Signing != nil {
		out = append(out, r.Signing.grids("signing")...)
	}
	if r.Verifying != nil {
		out = append(out, r.Verifying.grids("verifying")...)
	}
	if r.Domains != nil {
		out = append(out, r.Domains.grids()...)
	}
	if r.Reports != nil {
		out = append(out, r.Reports.grids()...)
	}
	return append(out, aimsGrid(r.Aims))
}

// versions are those of the rivals, where Debian's package manager knows them.
func versions(ctx context.Context) (out []string) {
	text, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Package} ${Version}\n", "opendkim", "libopendkim11", "libssl3", "libmail-dkim-perl", "python3-dkim", "rspamd", "dkimpy-milter", "dmarc-cat", "python3").Output()
	if err != nil && len(text) == 0 {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if name, version, _ := strings.Cut(strings.TrimSpace(line), " "); version != "" {
			out = append(out, name+" "+version)
		}
	}
	return out
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
