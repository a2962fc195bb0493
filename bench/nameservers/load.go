package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// result is what dnsperf and the kernel say of one measurement.
type result struct {
	perSecond float64
	perCPU    float64 // answers in a second of the server's CPU time
	latency   float64 // mean, in milliseconds
	lost      int
}

// better takes the better of each figure.
func (r result) better(other result) result {
	if r.perSecond < other.perSecond {
		r.perSecond, r.latency, r.lost = other.perSecond, other.latency, other.lost
	}
	r.perCPU = max(r.perCPU, other.perCPU)
	return r
}

// How dnsperf asks: as so many clients, with so many questions under way at once.
const (
	clients   = 20
	underWay  = 200
	perfWords = `Queries per second:\s+([\d.]+)|Queries completed:\s+(\d+)|Queries lost:\s+(\d+)|Average Latency \(s\):\s+([\d.]+)`
)

// measure asks one server for a time.
func measure(ctx context.Context, s *server, file string, seconds int) (r result, err error) {
	before, err := s.cpu()
	if err != nil {
		return r, err
	}
	out, err := exec.CommandContext(ctx, "taskset", "-c", loadCPU, "dnsperf", "-s", "127.0.0.1", "-p", strconv.Itoa(s.port), "-d", file, "-e",
		"-l", strconv.Itoa(seconds), "-c", strconv.Itoa(clients), "-q", strconv.Itoa(underWay), "-T", "1").CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("dnsperf: %w: %s", err, out)
	}
	after, err := s.cpu()
	if err != nil {
		return r, err
	}
	completed := 0.0
	for _, m := range regexp.MustCompile(perfWords).FindAllStringSubmatch(string(out), -1) {
		for i, into := range []*float64{&r.perSecond, &completed, nil, &r.latency} {
			if m[i+1] == "" {
				continue
			}
			v, err := strconv.ParseFloat(m[i+1], 64)
			if err != nil {
				return r, err
			}
			if into == nil {
				r.lost = int(v)
			} else {
				*into = v
			}
		}
	}
	r.latency *= 1000
	if completed == 0 || after <= before {
		return r, fmt.Errorf("nothing was measured: %s", out)
	}
	r.perCPU = completed / (after - before).Seconds()
	return r, nil
}

// loadAverage is that of the last minute, 5 and 15 minutes.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
