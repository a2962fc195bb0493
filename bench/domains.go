package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"time"
)

// The comparison with many domains. Zipf's law: the domain of rank k sends in proportion to k to the power of -zipfExponent.
const (
	manyDomains  = 100_000
	zipfExponent = 1.1
	domainCount  = 400 // messages in a round
	settle       = 10 * time.Second
)

// domainsRow is one milter with one domain and with many.
type domainsRow struct {
	Milter   string  `json:"milter"`
	Start    float64 `json:"start_s"`            // from its start until a message comes back signed
	StartOne float64 `json:"start_one_domain_s"` // the same with one domain
	First    float64 `json:"first_mb"`           // resident memory then
	Loaded   float64 `json:"loaded_mb"`          // resident memory after settle
	After    float64 `json:"after_mb"`           // resident memory after the last message
	Peak     float64 `json:"peak_mb"`
	Zipf     spread  `json:"zipf"`
	Uniform  spread  `json:"uniform"`
	Verified int     `json:"verified"`
}

// spread is many domains against one: CPU seconds per 1,000 messages, and the median of the rounds' ratios.
type spread struct {
	One      float64 `json:"one_domain_cpu_seconds_per_1000"`
	Many     float64 `json:"many_domains_cpu_seconds_per_1000"`
	Slowdown float64 `json:"slowdown"`
}

// domainsResult is the comparison with many domains.
type domainsResult struct {
	Domains int           `json:"domains"`
	Rows    []*domainsRow `json:"rows"`
	Missing []string      `json:"missing"`
}

// manyMilter is a milter that can hold many domains.
type manyMilter struct {
	name string
	// prepare writes what the milter reads at its start; launch starts it. warm is how many messages fill its caches.
	prepare func(ctx context.Context, dir string, keys *manyKeys) (launch func() (*milterServer, error), err error)
	warm    int
}

// compareDomains measures one milter after the other: start, memory, and CPU time against one domain, each time with the same milter beside it that
// has one domain only.
func compareDomains(ctx context.Context, dir string, t tools, domains, rounds int, limit time.Duration) (domainsResult, error) {
	result := domainsResult{Domains: domains}
	one, err := makeKeysIn(dir, 1)
	if err != nil {
		return result, err
	}
	many, err := makeKeysIn(dir, domains)
	if err != nil {
		return result, err
	}
	began := time.Now()
	for _, m := range manyMilters(t) {
		if time.Since(began) > limit {
			result.Missing = append(result.Missing, m.name+": the time was up")
			continue
		}
		row, err := m.measure(ctx, dir, one, many, rounds)
		if err != nil {
			result.Missing = append(result.Missing, fmt.Sprintf("%s: %v", m.name, err))
			continue
		}
		result.Rows = append(result.Rows, row)
	}
	result.Missing = append(result.Missing, "opendkim refile (88 CPU seconds per 1,000 messages and 1.9 GB), dkimpy-milter (reads its tables line by line for each message): left out for their time")
	return result, nil
}

func makeKeysIn(dir string, domains int) (*manyKeys, error) {
	dir, err := os.MkdirTemp(dir, "keys-")
	if err != nil {
		return nil, err
	}
	return makeKeys(dir, domains)
}

func (m *manyMilter) measure(ctx context.Context, dir string, oneKey, manyKeys *manyKeys, rounds int) (row *domainsRow, err error) {
	row = &domainsRow{Milter: m.name}
	dir, err = os.MkdirTemp(dir, "domains-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // rivals run as another user
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // 100,000 files are not kept beside those of the next
	one, seconds, err := m.start(ctx, dir, oneKey)
	if err != nil {
		return nil, fmt.Errorf("with one domain: %w", err)
	}
	defer one.stopAll()
	row.StartOne = seconds
	many, seconds, err := m.start(ctx, dir, manyKeys)
	if err != nil {
		return nil, err
	}
	defer many.stopAll()
	row.Start = seconds
	if row.First, err = many.residentMemory(); err != nil {
		return nil, err
	}
	// What only the start needed may be given back before the memory counts.
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settle):
	}
	if row.Loaded, err = many.residentMemory(); err != nil {
		return nil, err
	}
	d := &domainRounds{one: one, many: many, oneKey: oneKey, manyKeys: manyKeys, row: row, body: makeBody(2<<10, false),
		oneCheck: newChecker(oneKey.lookup), manyCheck: newChecker(manyKeys.lookup)}
	r := mathrand.New(mathrand.NewPCG(3, 4)) // the same domains in every run
	zipf := mathrand.NewZipf(r, zipfExponent, 1, uint64(manyKeys.domains-1))
	// Which domains send most has nothing to do with their places in the tables.
	places := r.Perm(manyKeys.domains)
	if row.Zipf, err = d.spread(ctx, m.warm, rounds, func() int { return places[zipf.Uint64()] }); err != nil {
		return nil, fmt.Errorf("by Zipf's law: %w", err)
	}
	if row.Uniform, err = d.spread(ctx, m.warm, rounds, func() int { return r.IntN(manyKeys.domains) }); err != nil {
		return nil, fmt.Errorf("uniform: %w", err)
	}
	row.After, err = many.residentMemory()
	if err == nil {
		row.Peak, err = many.peakMemory()
	}
	return row, err
}

// start prepares and starts a milter, and takes the time until it signs.
func (m *manyMilter) start(ctx context.Context, dir string, keys *manyKeys) (*milterServer, float64, error) {
	launch, err := m.prepare(ctx, dir, keys)
	if err != nil {
		return nil, 0, fmt.Errorf("prepare: %w", err)
	}
	began := time.Now()
	s, err := launch()
	if err != nil {
		return nil, 0, err
	}
	if err := s.awaitSigning(ctx, keys.domain(keys.domains-1)); err != nil {
		s.stopAll()
		return nil, 0, err
	}
	return s, time.Since(began).Seconds(), nil
}

// domainRounds lets a milter with one domain and one with many take turns.
type domainRounds struct {
	one, many           *milterServer
	oneKey, manyKeys    *manyKeys
	oneCheck, manyCheck *checker
	row                 *domainsRow
	body                []byte
}

func (d *domainRounds) spread(ctx context.Context, warm, rounds int, next func() int) (spread, error) {
	var oneSeconds, manySeconds []float64
	first := func() int { return 0 }
	if _, err := d.turn(ctx, d.one, d.oneKey, nil, domainCount, first); err != nil {
		return spread{}, err
	}
	if _, err := d.turn(ctx, d.many, d.manyKeys, nil, warm, next); err != nil {
		return spread{}, err
	}
	for range max(rounds, 1) {
		o, err := d.turn(ctx, d.one, d.oneKey, d.oneCheck, domainCount, first)
		if err != nil {
			return spread{}, err
		}
		m, err := d.turn(ctx, d.many, d.manyKeys, d.manyCheck, domainCount, next)
		if err != nil {
			return spread{}, err
		}
		oneSeconds, manySeconds = append(oneSeconds, o), append(manySeconds, m)
	}
	return spread{One: median(oneSeconds), Many: median(manySeconds), Slowdown: median(ratios(manySeconds, oneSeconds))}, nil
}

// turn sends messages of the domains that next names; CPU seconds per 1,000. Without a checker it only warms up.
func (d *domainRounds) turn(ctx context.Context, s *milterServer, keys *manyKeys, check *checker, count int, next func() int) (float64, error) {
	msgs := make([]*message, count)
	made := map[int]*message{}
	for i := range msgs {
		n := next()
		if made[n] == nil {
			name := keys.domain(n)
			made[n] = newMessage("2 KiB of "+name, name, headerOf(name), d.body)
		}
		msgs[i] = made[n]
	}
	answers, used, err := s.pass(ctx, ownClient, msgs, milterConnections)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, lastLines(s.log.String()))
	}
	if check != nil {
		for i, inserted := range answers {
			signature := signatureIn(inserted)
			if signature == nil {
				return 0, fmt.Errorf("%s is not signed", msgs[i].name)
			}
			if err := check.check(msgs[i], s.name == oursMilter, [][]byte{signature}); err != nil {
				return 0, err
			}
		}
		d.row.Verified += count
	}
	return used.Seconds() * 1000 / float64(count), nil
}

// ours finds our row.
func (r *domainsResult) ours() *domainsRow {
	i := slices.IndexFunc(r.Rows, func(x *domainsRow) bool { return x.Milter == oursMilter })
	if i < 0 {
		return nil
	}
	return r.Rows[i]
}
