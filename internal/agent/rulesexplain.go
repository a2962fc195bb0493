package agent

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// Question is what a mail server would tell the agent of a message.
type Question struct {
	Outbound bool              // it comes in at a listener with sign: outbound
	Listener string            // {daemon_name}
	Client   netip.Addr        // invalid when unknown
	Login    string            // {auth_authen}
	Sender   string            // of the envelope; "" for none
	Macros   map[string]string // others, "{name}"
}

// Explanation is what the agent would do with a message, and why.
type Explanation struct {
	Ours          bool                 `json:"ours"`
	Domain        string               `json:"domain"` // that decides: the author's, or what a rule says
	Rule          int                  `json:"rule"`   // number of the rule that matched, from 1; 0 for none
	Stream        string               `json:"stream"` // that the message names; "" for none
	StreamUnknown bool                 `json:"stream_unknown"`
	Signatures    []ExplainedSignature `json:"signatures"`   // from the top
	AlsoMissing   int                  `json:"also_missing"` // further signatures that are left out
	Outcome       string               `json:"outcome"`      // signed, passed, deferred, refused
	Reason        string               `json:"reason"`       // why it is not signed
	Keys          []ExplainedKey       `json:"keys"`         // of the domain and stream, those that do not sign
}

// ExplainedSignature is one signature that would be made.
type ExplainedSignature struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
}

// ExplainedKey is a key that does not sign.
type ExplainedKey struct {
	Domain   string `json:"domain"`
	Stream   string `json:"stream"`
	Selector string `json:"selector"`
	Why      string `json:"why"`
}

// The outcomes of an Explanation.
const (
	OutcomeSigned   = "signed"
	OutcomePassed   = "passed"
	OutcomeDeferred = "deferred"
	OutcomeRefused  = "refused"
)

// Explain answers from what the agent last saved, whether or not one runs; nothing is changed and no key is opened. Of the message only
// the header is read; what in its octets would keep it from being signed is not looked for. Errors are faults: a configuration with a
// mistake, a state directory that this user cannot read or that knows no instructions yet, a message without a header.
func Explain(cfg Config, q Question, message io.Reader) (Explanation, error) {
	set, err := compile(cfg)
	if err == nil {
		err = set.openLogins()
	}
	if err != nil {
		return Explanation{}, err
	}
	m := &subject{envelope: envelope{outboundListener: q.Outbound, login: q.Login, daemonName: q.Listener, client: q.Client, from: q.Sender}}
	macro := func(name string) string { return q.Macros[name] }
	m.envelope.ourMacro = set.ourMacro(macro)
	if err := m.read(set, message); err != nil {
		return Explanation{}, err
	}
	for _, name := range set.rules.macros {
		m.seen.macros = append(m.seen.macros, macro(name))
	}
	m.seen.streamed = macro(set.stream.macro)
	if !ours(set, m.envelope) {
		return Explanation{Outcome: OutcomePassed}, nil
	}
	f, err := savedState(set)
	if err != nil {
		return Explanation{}, err
	}
	t := f.table(set.checkRecord)
	return f.explain(set, t, m, choose(set, t, m)), nil
}

func (f *fleetState) explain(set *settings, t *Table, m *subject, c choice) Explanation {
	e := Explanation{Ours: true, Domain: c.domain, Rule: c.rule, StreamUnknown: c.streamUnknown, AlsoMissing: c.alsoMissing, Outcome: OutcomeSigned, Reason: string(c.reason)}
	var r *rule
	if c.rule > 0 {
		r = &set.rules.rules[c.rule-1]
	}
	e.Stream = m.stream(r)
	switch {
	case c.reason == signed:
		for _, k := range c.signing {
			e.Signatures = append(e.Signatures, ExplainedSignature{k.of.Domain, k.selector})
		}
	case c.reject:
		e.Outcome = OutcomeRefused
	case c.noKey == agentapi.NoKeyTempfail:
		e.Outcome = OutcomeDeferred
	default:
		e.Outcome = OutcomePassed
	}
	active := map[string]bool{}
	t.active(active)
	for _, as := range f.wanted.Assignments {
		if as.Domain != c.domain && !isOrBelow(c.domain, as.Domain) {
			continue
		}
		for _, k := range as.keys {
			if !active[k.id] {
				e.Keys = append(e.Keys, ExplainedKey{as.Domain, as.Stream, k.key.Selector, k.idle(set.checkRecord)})
			}
		}
	}
	return e
}

// idle says why a key does not sign.
func (k *keyState) idle(checkRecord bool) string {
	switch {
	case k.problem() != "":
		return k.problem()
	case k.key.Want() != agentapi.WantSign:
		return fmt.Sprintf("the control plane wants: %s", k.key.Want())
	case !k.has:
		return "its file is not on this server"
	case checkRecord && !k.checked:
		return "its record was not seen in DNS yet"
	}
	return "one of higher rank signs"
}

// savedState is what an agent would know at its start, but for what only the keys themselves tell.
func savedState(set *settings) (*fleetState, error) {
	f := &fleetState{keys: map[string]*keyState{}, lost: map[string]recordSum{}, conditions: map[string]string{}}
	files, err := os.ReadDir(filepath.Join(set.StateDirectory, dirKeys))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, file := range files {
		if id, ok := strings.CutSuffix(file.Name(), ".key"); ok {
			f.keys[id] = &keyState{id: id, has: true}
		}
	}
	var later map[string]savedKeyFacts
	if err == nil {
		later, err = f.readFacts(set.StateDirectory)
	}
	ok := false
	if err == nil {
		ok, err = f.readInstructions(set.StateDirectory)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.Wrap(fault.Denied, err, "the state directory %s is not for this user", set.StateDirectory).WithHint("ask as root or as the agent's user")
	case err != nil:
		return nil, err
	case !ok:
		return nil, fault.New(fault.NotFound, "%s knows no instructions of a control plane", set.StateDirectory).WithHint("join this server first: postseal agent join; or name the agent's configuration with --config")
	}
	f.remember(later)
	return f, nil
}

// read takes the header of a message, with lines ended by LF or CRLF.
func (m *subject) read(set *settings, message io.Reader) error {
	var field strings.Builder
	lines := bufio.NewScanner(io.LimitReader(message, maxHeaderBytes))
	lines.Buffer(nil, maxHeaderBytes)
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line != "" && (line[0] == ' ' || line[0] == '\t') {
			field.WriteString("\n" + line)
			continue
		}
		if err := m.take(set, field.String()); err != nil {
			return err
		}
		field.Reset()
		if line == "" {
			break
		}
		field.WriteString(line)
	}
	if err := cmp.Or(lines.Err(), m.take(set, field.String())); err != nil {
		return fault.Wrap(fault.Invalid, err, "the message cannot be read")
	}
	return nil
}

// take is what a session does with one field, as far as it decides.
func (m *subject) take(set *settings, field string) error {
	if field == "" {
		return nil
	}
	name, value, ok := strings.Cut(field, ":")
	if !ok || !validFieldName([]byte(name)) {
		return fault.New(fault.Invalid, "%.100q is not a header field", field).WithHint("the message begins with its header, and an empty line ends that")
	}
	if strings.EqualFold(name, "From") && len(m.author.from) < 2 {
		m.author.from = append(m.author.from, value)
	}
	m.seen.field(set, []byte(name), []byte(value))
	return nil
}
