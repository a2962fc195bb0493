// Command nameservers compares the built-in name server with Knot and NSD, in one run on one machine: the same zone of key records, the same
// questions, asked by dnsperf over loopback. Each server has one processor and dnsperf another one. It prints the questions answered in a
// second, in a second of the server's CPU time, the ratio to Knot, and the latency.
//
//	go run -mod=mod ./nameservers -seconds 20 -markdown FILE
//
// Nothing counts before all servers gave the same answers to a sample of the questions.
//
// Files: main.go (the run), zone.go (what is served and asked), server.go (the servers), load.go (dnsperf), table.go (the table).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// The two things that resolvers ask for: keys that are there, and names that are not.
var workloads = []string{"hits", "NXDOMAIN"}

// serveWord as the first argument makes this program the built-in name server.
const serveWord = "serve-zone"

func main() {
	if len(os.Args) > 2 && os.Args[1] == serveWord {
		if err := serveZone(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	seconds := flag.Int("seconds", 10, "how long each server gets each kind of question in each round")
	rounds := flag.Int("rounds", 2, "rounds; the best figure of each server counts, because disturbances only slow down")
	records := flag.Int("records", 10_000, "how many keys the zone has")
	markdown := flag.String("markdown", "", "write the table to this file too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *seconds, *rounds, *records, *markdown); err != nil {
		fmt.Fprintln(os.Stderr, "nameservers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, seconds, rounds, records int, markdown string) error {
	if runtime.NumCPU() < 2 {
		return fmt.Errorf("two processors are needed: one for the servers, one for dnsperf")
	}
	dir, err := os.MkdirTemp("", "postseal-nameservers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	questions, err := writeQuestions(dir, records)
	if err != nil {
		return err
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, begin := range []func(context.Context, string, int) (*server, error){startOurs, startKnot, startNSD} {
		s, err := begin(ctx, dir, records)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	if err := sameAnswers(servers, records); err != nil {
		return err
	}
	best := map[[2]string]result{}
	before := loadAverage()
	for round := range rounds {
		for _, kind := range workloads {
			for i := range servers {
				s := servers[(i+round)%len(servers)]
				r, err := measure(ctx, s, questions[kind], seconds)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, kind, err)
				}
				fmt.Printf("round %d: %-10s %-9s %8.0f/s  %8.0f per CPU second  %.3f ms  lost %d\n", round+1, s.name, kind, r.perSecond, r.perCPU, r.latency, r.lost)
				at := [2]string{s.name, kind}
				best[at] = best[at].better(r)
			}
		}
	}
	return report(servers, best, fmt.Sprintf("load average %s before the run", before), seconds, records, markdown)
}
