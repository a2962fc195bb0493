package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// How many connections an MTA keeps busy, and how many for the memory.
const (
	milterConnections = 8
	memoryConnections = 32
)

// perRound is how many messages one round sends: about half a second of CPU time, so that ticks of ten milliseconds are 2 %.
var perRound = map[string]int{"2 KiB": 480, "50 KiB": 400, "1 MiB base64": 160}

// milterRow is one milter with one message: medians over the rounds.
type milterRow struct {
	Milter   string  `json:"milter"`
	Message  string  `json:"message"`
	PerThou  float64 `json:"cpu_seconds_per_1000"`
	Ratio    float64 `json:"ratio"` // this milter's CPU time by ours, median of the rounds' ratios; then the least and the most
	Least    float64 `json:"ratio_least"`
	Most     float64 `json:"ratio_most"`
	Verified int     `json:"verified"`
	seconds  []float64
}

// milterMemory is one milter's peak resident memory in MB, from its start to the end of the work named.
type milterMemory struct {
	Milter string  `json:"milter"`
	Start  float64 `json:"started_mb"`
	Eight  float64 `json:"after_8_connections_mb"`
	Many   float64 `json:"after_32_connections_of_1_mib_mb"`
}

// milterResult is the milter comparison.
type milterResult struct {
	Rows    []*milterRow    `json:"rows"`
	Memory  []*milterMemory `json:"memory"`
	Missing []string        `json:"missing"`
}

// compareMilters starts the milters and lets them sign in turn, over Unix sockets.
func compareMilters(ctx context.Context, dir, binary string, rounds int) (milterResult, error) {
	result := milterResult{Missing: []string{"rspamd and dkimpy-milter: not part of this version", "verifying: the agent's milter does not verify yet"}}
	msgs, err := messages(dir)
	if err != nil {
		return result, err
	}
	us, err := startPostseal(ctx, dir, binary)
	if err != nil {
		return result, err
	}
	defer us.stopAll()
	servers := []*milterServer{us}
	if peer, err := startOpenDKIM(ctx, dir); err != nil {
		result.Missing = append(result.Missing, fmt.Sprintf("opendkim: %v", err))
	} else {
		defer peer.stopAll()
		servers = append(servers, peer)
	}
	checks := map[*milterServer]*checker{}
	for _, s := range servers {
		checks[s] = newChecker(s.lookup)
		start, err := s.peakMemory()
		if err != nil {
			return result, err
		}
		result.Memory = append(result.Memory, &milterMemory{Milter: s.name, Start: start})
	}
	for _, m := range msgs {
		count := perRound[m.name]
		if count == 0 {
			continue
		}
		rows := make([]*milterRow, len(servers))
		for i, s := range servers {
			rows[i] = &milterRow{Milter: s.name, Message: m.name}
			// What is allocated and read once belongs to no message.
			if err := s.round(ctx, m, checks[s], rows[i], milterConnections, 2*milterConnections); err != nil {
				return result, err
			}
			rows[i].seconds = nil
		}
		for range max(rounds, 1) {
			for i, s := range servers {
				if err := s.round(ctx, m, checks[s], rows[i], milterConnections, count); err != nil {
					return result, err
				}
			}
		}
		for _, r := range rows {
			r.PerThou = median(r.seconds)
			all := ratios(r.seconds, rows[0].seconds)
			r.Ratio, r.Least, r.Most = median(all), slices.Min(all), slices.Max(all)
		}
		result.Rows = append(result.Rows, rows...)
	}
	return result, result.measureMemory(ctx, servers, checks, msgs[2])
}

// measureMemory notes the peak so far, then sends 1 MiB over many connections at once.
func (r *milterResult) measureMemory(ctx context.Context, servers []*milterServer, checks map[*milterServer]*checker, m *message) (err error) {
	for i, s := range servers {
		if r.Memory[i].Eight, err = s.peakMemory(); err != nil {
			return err
		}
		if err := s.round(ctx, m, checks[s], &milterRow{}, memoryConnections, 4*memoryConnections); err != nil {
			return err
		}
		if r.Memory[i].Many, err = s.peakMemory(); err != nil {
			return err
		}
	}
	return nil
}

// round sends count messages over so many connections, takes the milter's CPU time, and then verifies every signature.
func (s *milterServer) round(ctx context.Context, m *message, check *checker, row *milterRow, connections, count int) error {
	var clients []*milterClient
	for range connections {
		c, err := dialMilter(s.socket)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer c.close()
		clients = append(clients, c)
	}
	before, err := s.cpu()
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	signatures := make([][]byte, count)
	errs := make([]error, connections)
	var next atomic.Int64
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < count && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				if signatures[n], errs[i] = c.send(m); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	after, err := s.cpu()
	if err := errors.Join(append(errs, err, ctx.Err())...); err != nil {
		s.quit() // a Go program writes down what each goroutine waits for
		return fmt.Errorf("%s, %s, after %d of %d messages and %s of CPU time: %w\n%s", s.name, m.name, min(int(next.Load()), count), count, after-before, err, s.log.String())
	}
	for i, signature := range signatures {
		if signature == nil {
			return fmt.Errorf("%s did not sign message %d of %s", s.name, i, m.name)
		}
	}
	if err := check.check(m, s.name == "postseal agent", signatures); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	row.Verified += count
	row.seconds = append(row.seconds, (after-before).Seconds()*1000/float64(count))
	return nil
}

// print writes the milter comparison.
func (r *milterResult) print(w io.Writer) {
	fmt.Fprintf(w, "\nMILTER, signing  over a Unix socket, %d connections; CPU seconds of the milter's process per 1,000 messages, median of interleaved rounds\n\n", milterConnections)
	t := newTable(w)
	fmt.Fprintf(t, "message\tmilter\tCPU s per 1,000\tverified\tby postseal's, round by round\t\n")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%d\t%.2f× (%.2f–%.2f)\t\n", row.Message, row.Milter, row.PerThou, row.Verified, row.Ratio, row.Least, row.Most)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\npeak resident memory, MB\n\n")
	t = newTable(w)
	fmt.Fprintf(t, "milter\tstarted\t%d connections\t%d connections of 1 MiB\t\n", milterConnections, memoryConnections)
	for _, m := range r.Memory {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t\n", m.Milter, m.Start, m.Eight, m.Many)
	}
	_ = t.Flush()
	for _, m := range r.Missing {
		fmt.Fprintf(w, "not measured: %s\n", m)
	}
}
