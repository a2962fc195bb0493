package agent

import (
	"math/rand/v2"
	"time"
)

// Pace are the times of everything that is not a message. Demonstrations and tests shorten them; nothing about mail depends on them.
type Pace struct {
	RetryMin time.Duration // first wait after the control plane failed
	RetryMax time.Duration // longest such wait
	PollWait time.Duration // how long one poll may hang; at most agentapi.MaxWait
	PollGap  time.Duration // least time between two polls without news
	Report   time.Duration // reports when nothing happens and the control plane names no time
	CheckMin time.Duration // first wait before a record that was not right is looked up again
	CheckMax time.Duration // longest such wait
	Save     time.Duration // how much counting a power cut may lose
	Follow   time.Duration // how often the MTA's log is looked at
	Renew    time.Duration // how often the certificate's age is looked at
	Grace    time.Duration // how long messages in flight may take at stop
}

// DefaultPace is the pace of production.
func DefaultPace() Pace {
	return Pace{
		RetryMin: time.Second,
		RetryMax: time.Minute,      // a control plane that comes back finds its agents within the minute
		PollWait: 4 * time.Minute,  // below the five minutes after which many firewalls forget a connection
		PollGap:  time.Second,      // an endpoint that answers at once without news is no reason to spin
		Report:   time.Minute,      // counters move in the console while somebody watches
		CheckMin: 5 * time.Second,  // a resolver that was just started
		CheckMax: 10 * time.Minute, // longer than most negative TTLs are worth waiting for twice
		Save:     5 * time.Second,
		Follow:   2 * time.Second, // nobody waits for it, and a look at a log that did not grow costs three system calls
		Renew:    time.Hour,
		Grace:    30 * time.Second, // Postfix hands a message over in one go; systemd waits 90 s
	}
}

// withDefaults fills what is zero.
func (p Pace) withDefaults() Pace {
	d := DefaultPace()
	for _, f := range []struct {
		at        *time.Duration
		otherwise time.Duration
	}{
		{&p.RetryMin, d.RetryMin}, {&p.RetryMax, d.RetryMax}, {&p.PollWait, d.PollWait}, {&p.PollGap, d.PollGap}, {&p.Report, d.Report},
		{&p.CheckMin, d.CheckMin}, {&p.CheckMax, d.CheckMax}, {&p.Save, d.Save}, {&p.Follow, d.Follow}, {&p.Renew, d.Renew}, {&p.Grace, d.Grace},
	} {
		if *f.at <= 0 {
			*f.at = f.otherwise
		}
	}
	return p
}

// backoff doubles from first to last; half of each wait is chance, so that a thousand agents do not come back at once.
func backoff(attempt int, first, last time.Duration) time.Duration {
	wait := first << min(attempt, 20)
	if wait > last || wait <= 0 {
		wait = last
	}
	return wait/2 + rand.N(wait/2+1)
}
