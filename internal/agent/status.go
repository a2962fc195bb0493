package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Status is what `postseal agent status` shows.
type Status struct {
	Server       StatusServer       `json:"server"`
	ControlPlane StatusControlPlane `json:"control_plane"`
	Listeners    []StatusListener   `json:"listeners"`
	Assignments  []StatusAssignment `json:"assignments"`
	// Stored are keys that no instruction names: kept, not used.
	Stored     []StatusKey       `json:"stored"`
	Unsigned   map[string]uint64 `json:"unsigned"`
	EightBit   uint64            `json:"eight_bit"` // signed messages that a conversion to 7 bits would break
	Notes      map[string]uint64 `json:"notes"`     // signed messages about which there is something to know
	Verified   map[string]uint64 `json:"verified"`  // mail of others, by "method/result/reason"; what was done, by "action/…"
	Refusals   []StatusRefusal   `json:"refusals"`  // what receivers refused because of authentication, in the hours that are kept
	MTALog     *StatusMTALog     `json:"mta_log"`   // null = none is followed
	InFlight   int64             `json:"in_flight"`
	Times      []StatusTime      `json:"times"` // of messages, since the start
	Conditions []StatusCondition `json:"conditions"`
}

// StatusServer is who the agent is.
type StatusServer struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Software   string    `json:"software"`
	RenewAfter time.Time `json:"renew_after,omitzero"` // of the certificate
}

// StatusControlPlane is how the agent stands with its control plane.
type StatusControlPlane struct {
	URL               string `json:"url"`
	Installation      string `json:"installation"`
	Epoch             int64  `json:"epoch"`
	Reached           bool   `json:"reached"`             // the last exchange worked
	ContactAgeSeconds int64  `json:"contact_age_seconds"` // since the last answer; -1 = none since the start
	Trouble           string `json:"trouble"`
	Version           int64  `json:"version"` // instructions in force
}

// StatusListener is one milter socket.
type StatusListener struct {
	Address  string `json:"address"`
	Sign     string `json:"sign"`
	Verify   bool   `json:"verify"`
	EightBit bool   `json:"eight_bit"` // 8-bit mail was signed here since the start
}

// StatusAssignment is one domain that may be signed for.
type StatusAssignment struct {
	Domain string `json:"domain"`
	Stream string `json:"stream"`
	NoKey  string `json:"no_key"`
	Signs  bool   `json:"signs"` // at least one key signs its mail
	// Problem is why the assignment itself is refused; "" when it is not.
	Problem string      `json:"problem"`
	Keys    []StatusKey `json:"keys"`
}

// StatusKey is one key.
type StatusKey struct {
	ID               string `json:"id"`
	Selector         string `json:"selector"`
	Algorithm        string `json:"algorithm"`
	Want             string `json:"want"`
	Has              bool   `json:"has"`
	Signing          bool   `json:"signing"`
	Signed           uint64 `json:"signed"`
	SignedAgeSeconds int64  `json:"signed_age_seconds"`
	Problem          string `json:"problem"`
}

// StatusTime is what one step of signing or verifying took.
type StatusTime struct {
	Step             string `json:"step"` // lookup, hash, sign
	Messages         uint64 `json:"messages"`
	MicrosecondsEach int64  `json:"microseconds_each"` // on average
}

// StatusRefusal is what one receiver refuses of one domain, with one code.
type StatusRefusal struct {
	Domain    string    `json:"domain"` // "" = not known
	Receiver  string    `json:"receiver"`
	Code      string    `json:"code"`
	Cause     string    `json:"cause"`
	Permanent bool      `json:"permanent"`
	Messages  uint64    `json:"messages"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Text      string    `json:"text"` // a sample
}

// StatusMTALog is how the MTA's log is followed.
type StatusMTALog struct {
	File    string `json:"file"` // "" = the journal
	Journal bool   `json:"journal"`
	Kind    string `json:"kind"`
	Lines   uint64 `json:"lines"`    // read since the start
	TooLong uint64 `json:"too_long"` // passed over because of their length
	Gaps    uint64 `json:"gaps"`     // how often lines may have been missed: the log was rotated and compressed, or the journal vacuumed, meanwhile
	Missed  uint64 `json:"missed"`   // refusals that were not counted, because there were too many different ones
}

// StatusCondition is something that a person should know.
type StatusCondition struct {
	Word    string `json:"word"`
	Message string `json:"message"`
}

// Status returns the state as of now.
func (a *Agent) Status() Status {
	s := Status{Unsigned: a.counters.reasonTotals(), Notes: a.counters.noteTotals(), Verified: a.counters.verdicts.totals(), EightBit: a.counters.warned.Load(), InFlight: a.slots.Load()}
	s.Server.Software = software()
	s.Refusals, s.MTALog = a.refusals.status()
	s.Times = append(a.counters.times.status("sign", "sign"), a.counters.verdicts.times.status("verify", "check")...)
	if a.identities != nil {
		id := a.identities.current()
		s.Server.ID, s.Server.Name, s.Server.RenewAfter, s.ControlPlane.URL = id.ServerID, id.ServerName, renewalTime(id.credential), id.URL
	}
	a.mu.Lock()
	for _, sock := range a.sockets {
		s.Listeners = append(s.Listeners, StatusListener{Address: sock.addr.String(), Sign: sock.spec.Load().signWord(), Verify: sock.spec.Load().verify, EightBit: sock.eightBit.Load()})
	}
	a.mu.Unlock()

	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &s.ControlPlane
	c.Installation, c.Epoch, c.Version, c.Trouble = f.facts.Installation, f.facts.Epoch, f.applied, f.trouble
	c.Reached, c.ContactAgeSeconds = f.trouble == "" && !f.contact.IsZero(), -1
	if !f.contact.IsZero() {
		c.ContactAgeSeconds = int64(max(0, a.now().Sub(f.contact)) / time.Second)
	}
	inUse := a.tables.inUse()
	for _, as := range f.wanted.Assignments {
		row := StatusAssignment{Domain: as.Domain, Stream: as.Stream, NoKey: string(as.noKey()), Problem: as.problem()}
		for _, k := range as.keys {
			row.Keys = append(row.Keys, a.statusKey(k, inUse[k.id]))
			row.Signs = row.Signs || inUse[k.id]
		}
		s.Assignments = append(s.Assignments, row)
	}
	for _, id := range slices.Sorted(maps.Keys(f.keys)) {
		if k := f.keys[id]; !k.named() {
			s.Stored = append(s.Stored, a.statusKey(k, inUse[id]))
		}
	}
	for _, word := range slices.Sorted(maps.Keys(f.conditions)) {
		s.Conditions = append(s.Conditions, StatusCondition{word, f.conditions[word]})
	}
	return s
}

func (a *Agent) statusKey(k *keyState, inUse bool) StatusKey {
	count := a.counters.seen(k.id)
	s := StatusKey{ID: k.id, Selector: k.key.Selector, Algorithm: k.key.Algorithm(), Want: string(k.key.Want()), Has: k.has, Signing: inUse, Signed: count.signed.Load(), SignedAgeSeconds: -1, Problem: k.problem()}
	if age, ok := a.counters.age(count); ok {
		s.SignedAgeSeconds = int64(age / time.Second)
	}
	return s
}

// statusTimeout bounds one answer on the status socket.
const statusTimeout = 5 * time.Second

// maxStatus bounds what is read of an answer.
const maxStatus = 64 << 20

// openStatus opens the status socket, for the agent's user and group. It answers each connection with one JSON document and reads nothing.
func (a *Agent) openStatus(ctx context.Context) (net.Listener, error) {
	path := a.settings.Load().statusPath()
	if path == "" {
		return nil, nil
	}
	return openListener(ctx, listenSpec{network: "unix", address: path, mode: defaultSocketMode})
}

func (a *Agent) serveStatus(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				a.log.Error("the status socket stopped", "error", err)
			}
			return
		}
		_ = conn.SetDeadline(time.Now().Add(statusTimeout))
		_ = json.NewEncoder(conn).Encode(a.Status())
		_ = conn.Close()
	}
}

// ReadStatus asks the agent that runs with this configuration; fault.Unavailable when none does.
func ReadStatus(ctx context.Context, cfg Config) (Status, error) {
	set, err := compile(cfg)
	if err != nil {
		return Status{}, err
	}
	path := set.statusPath()
	if path == "" {
		return Status{}, fault.New(fault.Invalid, "status_socket is off in the configuration")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, os.ErrPermission):
		return Status{}, fault.Wrap(fault.Denied, err, "the status socket %s is not for this user", path).WithHint("run it as root or as the agent's user")
	case err != nil:
		return Status{}, fault.Wrap(fault.Unavailable, err, "no agent runs here: nobody answers at %s", path).WithHint("systemctl status postseal-agent")
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(statusTimeout))
	content, err := io.ReadAll(io.LimitReader(conn, maxStatus))
	if err != nil {
		return Status{}, fault.Wrap(fault.Unavailable, err, "the agent's status was cut short")
	}
	var s Status
	if err := json.NewDecoder(strings.NewReader(string(content))).Decode(&s); err != nil {
		return Status{}, fault.Wrap(fault.Unavailable, err, "the agent's status cannot be read")
	}
	return s, nil
}
