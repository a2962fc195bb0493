package intake

import (
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// Status is how one way in fares. Counts are those since the process began.
type Status struct {
	Way         report.Way
	Place       string    // the address, the mailbox, the folder
	Up          bool      // the listener listens, the mailbox is open, the folder could be read
	LastSuccess time.Time // when something was stored, or there was nothing to store; zero = never
	LastInput   time.Time // when something was stored
	LastError   time.Time // zero = never; before LastSuccess = it has passed
	Error       string    // the last one, with its hint
	Counts      Counts
}

// Counts are of inputs, but for Octets and Connections.
type Counts struct {
	Stored   uint64 // the storage has it, whatever is in it
	Unread   uint64 // of them: without a report that can be read
	Again    uint64 // of them: the same octets had been there before
	Verified uint64 // of them: the mail comes from whom it says
	Probes   uint64
	Octets   uint64 // of what was stored

	Refused  uint64 // will never be taken: unknown addresses by SMTP, what is too large, probes that nobody waits for
	Deferred uint64 // stays where it is for now: the storage is not available, too much at once
	OverRate uint64 // of them: the sender sends more than its quota

	Connections uint64 // SMTP: accepted; mailboxes: opened
	Busy        uint64 // SMTP: connections that were turned away
}

// progress gathers the Status of one way. It is safe for concurrent use.
type progress struct {
	now func() time.Time

	mu sync.Mutex
	s  Status
}

func newProgress(way report.Way, place string, now func() time.Time) *progress {
	return &progress{now: now, s: Status{Way: way, Place: place}}
}

func (p *progress) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.s
}

func (p *progress) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.s.Counts)
}

func (p *progress) up(up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.Up = up
}

// well notes that all went well, with or without an input.
func (p *progress) well(input bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.LastSuccess = p.now()
	if input {
		p.s.LastInput = p.s.LastSuccess
	}
}

// trouble notes an error.
func (p *progress) trouble(err error) {
	message, hint := fault.Show(err)
	if hint != "" {
		message += " (" + hint + ")"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.LastError, p.s.Error = p.now(), oneLine(message)
}
