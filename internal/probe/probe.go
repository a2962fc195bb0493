package probe

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// State is where a probe is.
type State string

const (
	Asked     State = "asked"     // the agent, or a person, has not sent it yet
	Submitted State = "submitted" // the server's MTA took it
	Arrived   State = "arrived"
	Refused   State = "refused" // the MTA, or the agent itself, did not take it
	Lost      State = "lost"    // it did not arrive in time; it still may
)

// Ended reports whether nobody waits for a probe any more.
func (s State) Ended() bool { return s == Arrived || s == Refused || s == Lost }

// Path is what is proven: mail of a domain through a server, or from a service.
type Path struct {
	Domain   string
	SignerID string // a server's or a service's id, never a pool's: a pool has no MTA
	Signer   string // its name, for people
	Service  bool   // a person sends the message from its console
}

// Name is how people call the path.
func (p Path) Name() string {
	if p.Service {
		return "service " + p.Signer
	}
	return p.Signer
}

// Why says what asked for a probe.
type Why string

const (
	ByPerson   Why = "person"
	BySchedule Why = "schedule"
	ByRotation Why = "rotation" // another key signs since the last one
)

// Probe is one message that is on its way, or was.
type Probe struct {
	ID string
	Path
	TokenHash string // hex SHA-256 of the token
	// To is the address with the token; it stands here only while a server's agent has to be told.
	To    string
	Why   Why
	By    string // the person
	Asked time.Time
	// Wanted are the selectors that signed for the path when it was asked for.
	Wanted    []string
	State     State
	Submitted time.Time
	Reply     string // what the MTA answered, or why nothing was sent
	NotSetUp  bool   // refused because the agent has no way to submit probes
	Ended     time.Time
	Mail      *Mail    // what arrived
	Verdict   *Verdict // nil until it arrived
	Revision  int64    // for compare and swap
}

// The times of a probe.
const (
	// TakeWithin is how long an agent may take to submit it: an agent that is there answers within seconds, and one that restarts within minutes.
	TakeWithin = 15 * time.Minute
	// ArriveWithin is how long mail may take after the MTA took it: greylisting and a first retry are within the hour.
	ArriveWithin = time.Hour
	// SendWithin is how long a person may take to send a message from a service's console.
	SendWithin = 24 * time.Hour
	// LateAfter is when a mail that arrives is said to be late: something held it back.
	LateAfter = 10 * time.Minute
	// Keep is how long ended probes are kept: a rotation's worth of evidence.
	Keep = 200 * 24 * time.Hour
	// KeepScheduled is the same for those of the schedule: there is one each day for every path, and the newer ones say the same.
	KeepScheduled = 14 * 24 * time.Hour
)

// Deadline is until when a probe that has not ended is waited for.
func (p *Probe) Deadline() time.Time {
	switch {
	case p.Service:
		return p.Asked.Add(SendWithin)
	case p.State == Asked:
		return p.Asked.Add(TakeWithin)
	}
	return p.Submitted.Add(ArriveWithin)
}

// newToken makes the secret part of an address: 130 random bits in lower-case base32.
func newToken() string { return strings.ToLower(rand.Text()) }

// HashToken is how a token is kept. It has too many bits to be guessed, so a plain hash is enough.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
