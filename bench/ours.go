package main

import (
	"context"
	"crypto"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/postseal/postseal/dkim"
)

// ours is this library as the agent uses it: the key prepared once, a Signer and a Verifier kept and reset.
type ours struct {
	prepared *dkim.Prepared
	signer   *dkim.Signer
	verifier *dkim.Verifier
}

// oneRecord answers every question with the same record: looking up keys is not what is measured.
type oneRecord []string

func (r oneRecord) LookupTXT(context.Context, string) ([]string, error) { return r, nil }

func newOurs(key crypto.Signer, record string) (*ours, error) {
	prepared, err := dkim.Prepare(dkim.Signing{Domain: domain, Selector: selector, Key: key, Headers: signed, Oversign: []string{}})
	if err != nil {
		return nil, err
	}
	signer, err := dkim.NewSigner()
	if err != nil {
		return nil, err
	}
	return &ours{prepared: prepared, signer: signer, verifier: dkim.NewVerifier(dkim.VerifyOptions{Resolver: oneRecord{record}})}, nil
}

func (*ours) withKey(key crypto.Signer) (peer, error) { return newOurs(key, "") }

func (*ours) name() string { return oursLibrary }

func (o *ours) sign(m *message, count int) ([][]byte, cost, error) {
	out, fields := make([][]byte, 0, count), m.fields()
	used, err := measure(func() error {
		for range count {
			if err := o.signer.Reset(); err != nil {
				return err
			}
			for _, f := range fields {
				if err := o.signer.Header(f); err != nil {
					return err
				}
			}
			o.signer.Use(time.Now(), o.prepared)
			chunks(m.body, o.signer.Body)
			made, err := o.signer.Finish()
			if err != nil {
				return err
			}
			out = append(out, made[0])
		}
		return nil
	})
	return out, used, err
}

func (o *ours) verify(m *message, count int) (cost, error) {
	// The message's own fields are split before the clock runs, as a milter gets them split.
	fields := splitFields(m)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	return measure(func() error {
		for range count {
			o.verifier.Reset()
			for _, f := range fields {
				if err := o.verifier.Header(f); err != nil {
					return err
				}
			}
			o.verifier.EndOfHeaders()
			chunks(m.body, o.verifier.Body)
			if r := o.verifier.Finish(ctx); len(r) != 1 || r[0].Result != dkim.Pass {
				return fmt.Errorf("postseal does not verify: %+v", r)
			}
		}
		return nil
	})
}

// chunks hands a body over in the pieces of a milter.
func chunks(body []byte, to func([]byte)) {
	for len(body) > 0 {
		n := min(len(body), chunkBytes)
		to(body[:n])
		body = body[n:]
	}
}

// splitFields cuts the header of a message into fields.
func splitFields(m *message) (out [][]byte) {
	header := m.raw[:len(m.raw)-len(m.body)-2]
	for start, i := 0, 1; i < len(header); i++ {
		if header[i-1] == '\r' && header[i] == '\n' && (i+1 == len(header) || header[i+1] != ' ' && header[i+1] != '\t') {
			out = append(out, header[start:i+1])
			start = i + 1
		}
	}
	return out
}

// measure takes this process's CPU time, garbage collection included, and its allocations.
func measure(work func() error) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := cpuTime()
	err := work()
	used := cpuTime() - begin
	runtime.ReadMemStats(&after)
	return cost{cpu: used, allocs: after.Mallocs - before.Mallocs}, err
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
