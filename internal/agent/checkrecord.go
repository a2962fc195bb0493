package agent

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// Resolver answers TXT queries through a recursive server; *net.Resolver and *resolver.Resolver are ones. No such record is a
// *net.DNSError with IsNotFound; everything else is temporary.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

const (
	checkTimeout  = 20 * time.Second // one look-up with its retries
	checkParallel = 8                // look-ups at once: a resolver close by is not flooded by ten thousand new keys
)

// recordCheck is one look-up to make.
type recordCheck struct {
	key  *keyState
	name string
	own  recordSum
}

// checkRecords sees to it that no key signs mail before its record was seen through our own resolver. It is what limits a control
// plane that is wrong, or not ours any more; a DNS that does not answer only keeps the key that signs today in place.
func (a *Agent) checkRecords(ctx context.Context) {
	for {
		due, wait := a.checksDue()
		if len(due) > 0 {
			a.runChecks(ctx, due)
			if err := a.saveFacts(); err != nil {
				a.log.Error("state cannot be kept", "error", err)
			}
			a.rebuild()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.checkKick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// checksDue returns the look-ups that are due and how long it is until the next one.
func (a *Agent) checksDue() ([]recordCheck, time.Duration) {
	wait := a.pace.CheckMax
	if !a.settings.Load().checkRecord {
		return nil, wait
	}
	now := a.now()
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []recordCheck
	for _, k := range f.keys {
		rare := k.rare()
		if !k.named() || rare.refused != "" || !k.has || k.key.Want() != agentapi.WantSign || k.checked {
			continue
		}
		if left := rare.checkNext.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		due = append(due, recordCheck{key: k, name: k.name(), own: k.own})
	}
	if len(due) > 0 {
		wait = 0
	}
	return due, wait
}

func (a *Agent) runChecks(ctx context.Context, due []recordCheck) {
	var wg sync.WaitGroup
	next := make(chan recordCheck)
	for range min(checkParallel, len(due)) {
		wg.Go(func() {
			for c := range next {
				a.runCheck(ctx, c)
			}
		})
	}
	for _, c := range due {
		if ctx.Err() != nil {
			break
		}
		next <- c
	}
	close(next)
	wg.Wait()
}

func (a *Agent) runCheck(ctx context.Context, c recordCheck) {
	lookup, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	txt, err := a.resolver.LookupTXT(lookup, c.name)
	if ctx.Err() != nil {
		return // stopping says nothing about the record
	}
	own, ownErr := a.recordOf(c.key.id)
	if ownErr != nil {
		a.keyFailed(c.key.id, ownErr)
		return
	}
	problem := recordProblem(own, txt, err)
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	k := c.key
	if !k.named() || k.name() != c.name || k.own != c.own {
		return // other wishes came while we asked
	}
	if problem == "" {
		k.checked = true
		if k.more != nil {
			k.more.checkProblem, k.more.checkTries = "", 0
			k.tidy()
		}
		a.log.Info("the record of a key stands", "key", k.id, "name", c.name)
		return
	}
	m := k.note()
	if m.checkProblem != problem {
		a.log.Warn("a key is not used yet", "key", k.id, "name", c.name, "problem", problem, "error", err)
	}
	m.checkProblem = problem
	m.checkNext = a.now().Add(backoff(m.checkTries, a.pace.CheckMin, a.pace.CheckMax))
	m.checkTries++
}

// recordProblem says why what the resolver answered is not the record of the key whose own record is want, "" when it is.
func recordProblem(want string, txt []string, err error) string {
	var notFound *net.DNSError
	switch {
	case errors.As(err, &notFound) && notFound.IsNotFound:
		return "this server's resolver finds no record"
	case err != nil:
		return "this server's resolver cannot look the record up at the moment"
	case len(txt) == 0:
		return "this server's resolver finds no record"
	case len(txt) > 1:
		return fmt.Sprintf("this server's resolver finds %d records where one belongs", len(txt))
	}
	own, err := dkim.ParseKeyRecord(want)
	if err != nil {
		return "its own record cannot be read"
	}
	seen, err := dkim.ParseKeyRecord(txt[0])
	switch {
	case err != nil:
		return "this server's resolver finds a record that is not a key record"
	case seen.Revoked:
		return "this server's resolver finds a revoked record (p= is empty)"
	case seen.Hashes != nil && !slices.Contains(seen.Hashes, "sha256"):
		return "the record allows other hashes than sha256 only"
	case seen.Services != nil && !slices.Contains(seen.Services, "*") && !slices.Contains(seen.Services, "email"):
		return "the record is not for mail"
	}
	public, ok := own.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(seen.PublicKey) {
		return "this server's resolver finds the record of another key"
	}
	return ""
}
