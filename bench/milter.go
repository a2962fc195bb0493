package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How many connections an MTA keeps busy, and how many for the memory.
const (
	milterConnections = 8
	memoryConnections = 32
)

// oursMilter is the name of our agent in the tables.
const oursMilter = "postseal agent"

// startWithin bounds each wait for a program to be ready. The slowest is rspamd, which compiles expressions for ten seconds at its first start and
// reads 100,000 lines, on a machine that may be busy.
const startWithin = 90 * time.Second

// milterServer is a milter that signs or verifies.
type milterServer struct {
	name   string
	socket string
	*program
	helpers []*program // stopped with it, measured never
	lookup  func(name string) ([]string, error)
	share   int      // it gets one in so many of a round's messages: 1, or more for the slow
	also    []string // what its Authentication-Results has to say beside dkim
	bad     error    // why it takes part no more
}

func (m *milterServer) stopAll() {
	if m.program != nil {
		m.stop()
	}
	for _, h := range m.helpers {
		h.stop()
	}
}

// await asks again and again whether something is so, as long as the program runs.
func (m *milterServer) await(ctx context.Context, what string, ok func() bool) error {
	err := until(ctx, startWithin, m.name+" "+what, func() bool { return m.ended() || ok() })
	if m.ended() {
		err = fmt.Errorf("%s ended instead of being ready", m.name)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(m.log.String()))
	}
	return nil
}

// awaitSigning waits until a message of this domain comes back with a signature.
func (m *milterServer) awaitSigning(ctx context.Context, domain string) error {
	probe := newMessage("probe", domain, headerOf(domain), []byte("probe\r\n"))
	return m.await(ctx, "signs", func() bool {
		answers, _, err := m.pass(ctx, ownClient, []*message{probe}, 1)
		return err == nil && signatureIn(answers[0]) != nil
	})
}

// pass sends messages over so many connections and returns what the milter inserted into each, and the CPU time that it took.
func (m *milterServer) pass(ctx context.Context, client string, msgs []*message, connections int) (answers [][]field, used time.Duration, err error) {
	var clients []*milterClient
	for range connections {
		c, err := dialMilter(m.socket, client)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", m.name, err)
		}
		defer c.close()
		clients = append(clients, c)
	}
	before, err := m.cpu()
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", m.name, err)
	}
	answers = make([][]field, len(msgs))
	errs := make([]error, connections)
	var next atomic.Int64
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(msgs) && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				if answers[n], errs[i] = c.send(msgs[n]); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	after, err := m.cpu()
	if err := errors.Join(append(errs, err, ctx.Err())...); err != nil {
		return nil, 0, fmt.Errorf("%s, %s, after %d of %d messages and %s of CPU time: %w", m.name, msgs[0].name, min(int(next.Load()), len(msgs)), len(msgs), after-before, err)
	}
	return answers, after - before, nil
}

// milterRow is one milter with one message: medians over the rounds.
type milterRow struct {
	Milter  string  `json:"milter"`
	Message string  `json:"message"`
	PerThou float64 `json:"cpu_seconds_per_1000"`
	Ratio   float64 `json:"ratio"` // this milter's CPU time by ours, median of the rounds' ratios; then the least and the most; 0 without ours
	Least   float64 `json:"ratio_least"`
	Most    float64 `json:"ratio_most"`
	Counted int     `json:"counted"` // signatures that another implementation verified, or verdicts that are right
	seconds []float64
}

// milterMemory is one milter's peak resident memory in MB, from its start to the end of the work named.
type milterMemory struct {
	Milter    string  `json:"milter"`
	Processes int     `json:"processes"` // that it is of
	Start     float64 `json:"started_mb"`
	Eight     float64 `json:"after_8_connections_mb"`
	Many      float64 `json:"after_32_connections_of_1_mib_mb"`
}

// milterResult is one comparison of milters.
type milterResult struct {
	Rows    []*milterRow    `json:"rows"`
	Memory  []*milterMemory `json:"memory"`
	Missing []string        `json:"missing"`
}

// contest is a comparison of milters that all do the same.
type contest struct {
	client  string
	counts  map[string]int // messages in a round, by the message's name
	servers []*milterServer
	// judge says whether what the milter inserted into count messages is right.
	judge  func(s *milterServer, m *message, answers [][]field) error
	result milterResult
}

// enter adds a milter, or the reason why it takes no part.
func (c *contest) enter(name string, s *milterServer, err error) {
	if err != nil {
		c.result.Missing = append(c.result.Missing, fmt.Sprintf("%s: %v", name, err))
		return
	}
	s.share = max(s.share, 1)
	c.servers = append(c.servers, s)
}

func (c *contest) stopAll() {
	for _, s := range c.servers {
		s.stopAll()
	}
}

// drop takes a milter that failed out of the rest of the comparison.
func (c *contest) drop(s *milterServer, err error) {
	s.quit() // a Go program writes down what each goroutine waits for
	s.bad = err
	c.result.Missing = append(c.result.Missing, fmt.Sprintf("%s from here on: %v", s.name, err))
	fmt.Fprintf(os.Stderr, "bench: %s: %v; what it wrote:\n%s\n", s.name, err, s.log.String())
}

// turn is one milter's turn with one message.
func (c *contest) turn(ctx context.Context, s *milterServer, m *message, row *milterRow, connections, count int) {
	if s.bad != nil {
		return
	}
	answers, used, err := s.pass(ctx, c.client, slices.Repeat([]*message{m}, count), connections)
	if err == nil {
		if err = c.judge(s, m, answers); err != nil {
			err = fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if err != nil {
		c.drop(s, err)
		return
	}
	row.Counted += count
	row.seconds = append(row.seconds, used.Seconds()*1000/float64(count))
}

// run lets the milters take turns, and then takes their memory. After the limit it goes on with fewer rounds than were asked for.
func (c *contest) run(ctx context.Context, msgs []*message, rounds int, limit time.Duration) {
	for _, s := range c.servers {
		memory := &milterMemory{Milter: s.name}
		var err error
		if memory.Start, err = s.peakMemory(); err != nil {
			c.drop(s, err)
		}
		c.result.Memory = append(c.result.Memory, memory)
	}
	began := time.Now()
	for i, m := range msgs {
		rows := make([]*milterRow, len(c.servers))
		for i, s := range c.servers {
			rows[i] = &milterRow{Milter: s.name, Message: m.name}
			// What is allocated and read once belongs to no message.
			c.turn(ctx, s, m, rows[i], milterConnections, 2*milterConnections)
			rows[i].seconds, rows[i].Counted = nil, 0
		}
		for round := range max(rounds, 1) {
			if round > 0 && time.Since(began) > limit*time.Duration(i+1)/time.Duration(len(msgs)) {
				c.result.Missing = append(c.result.Missing, fmt.Sprintf("rounds %d to %d of %s: the time was up", round+1, rounds, m.name))
				break
			}
			for i, s := range c.servers {
				c.turn(ctx, s, m, rows[i], milterConnections, max(c.counts[m.name]/s.share, milterConnections))
			}
		}
		c.settle(rows)
	}
	for i, s := range c.servers {
		c.memory(ctx, s, c.result.Memory[i], msgs[len(msgs)-1])
	}
	for _, s := range c.servers {
		if s.bad == nil && ctx.Err() != nil {
			c.drop(s, ctx.Err())
		}
	}
}

// settle turns the rounds of one message into its rows.
func (c *contest) settle(rows []*milterRow) {
	var ours []float64
	for _, r := range rows {
		if r.Milter == oursMilter {
			ours = r.seconds
		}
	}
	for _, r := range rows {
		if len(r.seconds) == 0 {
			continue
		}
		r.PerThou = median(r.seconds)
		if all := ratios(r.seconds, ours); len(all) > 0 {
			r.Ratio, r.Least, r.Most = median(all), slices.Min(all), slices.Max(all)
		}
		c.result.Rows = append(c.result.Rows, r)
	}
}

// memory notes the peak so far, then sends the largest message over many connections at once.
func (c *contest) memory(ctx context.Context, s *milterServer, row *milterMemory, m *message) {
	if s.bad != nil {
		return
	}
	var err error
	if row.Eight, err = s.peakMemory(); err != nil {
		c.drop(s, err)
		return
	}
	c.turn(ctx, s, m, &milterRow{}, memoryConnections, 4*memoryConnections)
	if s.bad != nil {
		return
	}
	row.Processes = len(s.tree())
	if row.Many, err = s.peakMemory(); err != nil {
		c.drop(s, err)
	}
}
