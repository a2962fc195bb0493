package main

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// oursLibrary is the name of our library in the tables.
const oursLibrary = "postseal"

// maxCount bounds the operations of one round of one cell; the fastest takes 40 µs, so the time budget ends it first.
const maxCount = 20_000

// bareFactor is how many more operations fit a round when RSA costs nothing.
const bareFactor = 4

// libraryRow is one line of the library comparison: medians over the rounds.
type libraryRow struct {
	Operation string  `json:"operation"` // sign or verify
	Message   string  `json:"message"`
	Library   string  `json:"library"`
	PerSecond float64 `json:"per_second"` // of CPU time
	Micros    float64 `json:"cpu_us"`
	// Above is what is left without the RSA operation and without SHA-256 of the body. For the Go libraries' signatures it is taken
	// with a key that answers at once, as the RSA operation wavers by more than the rest; otherwise the floor is subtracted.
	Above    float64 `json:"above_floor_us"`
	HasFloor bool    `json:"has_floor"` // false where neither Go's nor OpenSSL's RSA is what runs
	Allocs   float64 `json:"allocs"`    // Go only
	Ratio    float64 `json:"ratio"`     // this library's CPU time by ours, median of the rounds' ratios
	Verified int     `json:"verified"`  // signatures that another implementation verified, or verdicts of pass
}

// cell is one library with one operation on one message.
type cell struct {
	p        peer
	m        *message // what is signed or verified
	row      libraryRow
	count    int
	micros   []float64
	bareSide peer      // the same library with a key that answers at once; nil where there is none
	bare     []float64 // with a key that answers at once
	allocs   []float64
	dropped  bool
}

// bareSigner is a library that can sign with any crypto.Signer. What it makes with ours is no signature and is counted nowhere.
type bareSigner interface {
	withKey(key crypto.Signer) (peer, error)
}

// instantKey answers at once, with an old answer.
type instantKey struct {
	crypto.Signer
	answer []byte
}

func (k instantKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.answer, nil }

// libraryResult is the whole comparison.
type libraryResult struct {
	Rows    []libraryRow       `json:"rows"`
	Floor   map[string]float64 `json:"floor_us"`
	Missing []string           `json:"missing"`
}

// compareLibraries runs all cells in turn, rounds times, so that what else the machine does meets all alike.
func compareLibraries(ctx context.Context, dir string, rounds int, budget, limit time.Duration) (libraryResult, error) {
	var result libraryResult
	key, err := makeKey(dir)
	if err != nil {
		return result, err
	}
	msgs, err := messages(dir)
	if err != nil {
		return result, err
	}
	us, err := newOurs(key.private, key.record)
	if err != nil {
		return result, err
	}
	others, missing := children(ctx, dir, key)
	result.Missing = missing
	peers := []peer{us, goMsgauth{key.private, key.record}}
	var ssl *child
	for _, c := range others {
		defer c.stop()
		peers = append(peers, c)
		if c.label == "libopendkim" {
			ssl = c
		}
	}
	check := newChecker(func(string) ([]string, error) { return []string{key.record}, nil })
	cells, err := makeCells(dir, key, peers, msgs, check)
	if err != nil {
		return result, err
	}
	var floors []floor
	began := time.Now()
	for round := range max(rounds, 1) {
		if round > 0 && time.Since(began) > limit {
			result.Missing = append(result.Missing, fmt.Sprintf("rounds %d to %d: the time was up", round+1, rounds))
			break
		}
		f, err := measureFloor(key, msgs, ssl, budget)
		if err != nil {
			return result, fmt.Errorf("measure the floor: %w", err)
		}
		floors = append(floors, f)
		for _, c := range cells {
			if c.dropped || ctx.Err() != nil {
				continue
			}
			if err := c.round(check, budget); err != nil {
				if c.p == peer(us) {
					return result, err
				}
				c.dropped = true
				result.Missing = append(result.Missing, fmt.Sprintf("%s %s of %s: %v", c.row.Library, c.row.Operation, c.row.Message, err))
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return result, fmt.Errorf("the library comparison took too long: %w", err)
	}
	result.fill(cells, floors)
	return result, nil
}

// makeCells pairs every library with every message, and signs the messages that are verified: ours for all others, go-msgauth's
// for us.
func makeCells(dir string, key *keyPair, peers []peer, msgs []*message, check *checker) (cells []*cell, err error) {
	answer := make([]byte, key.private.Size())
	instant := instantKey{key.private, answer}
	for _, m := range msgs {
		toVerify := map[bool]*message{}
		for _, oursSigned := range []bool{true, false} {
			signer := peers[1]
			if oursSigned {
				signer = peers[0]
			}
			s, _, err := signer.sign(m, 1)
			if err != nil {
				return nil, err
			}
			if err := check.check(m, oursSigned, s); err != nil {
				return nil, err
			}
			v := &message{name: m.name, raw: bytes.Join([][]byte{s[0], m.raw}, nil), body: m.body}
			v.path = filepath.Join(dir, fmt.Sprintf("signed-%t-%s", oursSigned, filepath.Base(m.path)))
			if err := os.WriteFile(v.path, v.raw, 0o600); err != nil {
				return nil, err
			}
			toVerify[oursSigned] = v
		}
		for i, p := range peers {
			sign := &cell{p: p, m: m, row: libraryRow{Operation: "sign", Message: m.name, Library: p.name()}}
			if b, ok := p.(bareSigner); ok {
				if sign.bareSide, err = b.withKey(instant); err != nil {
					return nil, err
				}
			}
			cells = append(cells, sign, &cell{p: p, m: toVerify[i != 0], row: libraryRow{Operation: "verify", Message: m.name, Library: p.name()}})
			if err := notFooled(dir, p, toVerify[i != 0]); err != nil {
				return nil, err
			}
		}
	}
	return cells, nil
}

// notFooled makes sure that a verifier looks at all of the body: with its last letter changed the message must not pass.
func notFooled(dir string, p peer, m *message) error {
	bad := &message{name: m.name, raw: bytes.Clone(m.raw), path: filepath.Join(dir, "changed.eml")}
	bad.raw[len(bad.raw)-3] ^= 1
	bad.body = bad.raw[len(bad.raw)-len(m.body):]
	if err := os.WriteFile(bad.path, bad.raw, 0o600); err != nil {
		return err
	}
	if _, err := p.verify(bad, 1); err == nil {
		return fmt.Errorf("%s verifies %s with a changed body", p.name(), m.name)
	}
	return nil
}

// round measures one cell once; its first round begins with a few operations that warm it up and tell how many fit the budget.
func (c *cell) round(check *checker, budget time.Duration) error {
	if c.count == 0 {
		const warm = 3
		used, _, err := c.run(check, warm)
		if err != nil {
			return err
		}
		c.count = min(max(int(budget*warm/max(used.cpu, time.Microsecond)), warm), maxCount)
	}
	used, passed, err := c.run(check, c.count)
	if err != nil {
		return err
	}
	c.row.Verified += passed
	if c.bareSide != nil {
		// As many again would be over too soon to be measured at 2 KiB.
		count := c.count * bareFactor
		_, used, err := c.bareSide.sign(c.m, count)
		if err != nil {
			return err
		}
		c.bare = append(c.bare, float64(used.cpu.Nanoseconds())/1e3/float64(count))
	}
	c.micros = append(c.micros, float64(used.cpu.Nanoseconds())/1e3/float64(c.count))
	c.allocs = append(c.allocs, float64(used.allocs)/float64(c.count))
	return nil
}

func (c *cell) run(check *checker, count int) (used cost, passed int, err error) {
	if c.row.Operation == "verify" {
		used, err = c.p.verify(c.m, count)
		return used, count, err
	}
	signatures, used, err := c.p.sign(c.m, count)
	if err != nil {
		return used, 0, err
	}
	if len(signatures) != count {
		return used, 0, fmt.Errorf("%s made %d signatures instead of %d", c.p.name(), len(signatures), count)
	}
	_, oursSigned := c.p.(*ours)
	return used, count, check.check(c.m, oursSigned, signatures)
}

// fill turns the rounds into rows.
func (r *libraryResult) fill(cells []*cell, floors []floor) {
	us := func(get func(floor) time.Duration) float64 {
		var all []float64
		for _, f := range floors {
			all = append(all, float64(get(f).Nanoseconds())/1e3)
		}
		return median(all)
	}
	r.Floor = map[string]float64{
		"RSA-2048 sign, Go": us(func(f floor) time.Duration { return f.goSign }), "RSA-2048 verify, Go": us(func(f floor) time.Duration { return f.goVerify }),
		"RSA-2048 sign, OpenSSL": us(func(f floor) time.Duration { return f.sslSign }), "RSA-2048 verify, OpenSSL": us(func(f floor) time.Duration { return f.sslVerify }),
	}
	for _, c := range cells {
		if c.dropped || len(c.micros) == 0 {
			continue
		}
		sha := us(func(f floor) time.Duration { return f.sha[c.row.Message] })
		r.Floor["SHA-256, "+c.row.Message] = sha
		whose := "Go"
		if _, isChild := c.p.(*child); isChild {
			whose = "OpenSSL"
		}
		rsa := r.Floor["RSA-2048 "+c.row.Operation+", "+whose]
		c.row.Micros = median(c.micros)
		c.row.PerSecond = 1e6 / c.row.Micros
		c.row.Above, c.row.HasFloor = c.row.Micros-rsa-sha, rsa > 0 && c.row.Library != "dkimpy" // dkimpy's RSA is Python
		if len(c.bare) > 0 {
			c.row.Above = median(c.bare) - sha
		}
		c.row.Allocs = median(c.allocs)
		c.row.Ratio = ratioToOurs(c, cells)
		r.Rows = append(r.Rows, c.row)
	}
}

// ratioToOurs compares round by round: what slows the machine down slows neighbours in time alike.
func ratioToOurs(c *cell, cells []*cell) float64 {
	i := slices.IndexFunc(cells, func(x *cell) bool {
		_, us := x.p.(*ours)
		return us && x.row.Operation == c.row.Operation && x.row.Message == c.row.Message
	})
	return median(ratios(c.micros, cells[i].micros))
}

// ratios divides round by round.
func ratios(theirs, ours []float64) (out []float64) {
	for round := range min(len(theirs), len(ours)) {
		out = append(out, theirs[round]/ours[round])
	}
	return out
}

// median of a list, the upper one of two in the middle; 0 of none.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
