package agent

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// Limits of one message. What goes beyond is not signed and passes by the assignment's no_key.
const (
	maxHeaderBytes  = 256 << 10 // Postfix itself keeps 100 kB per field; reference/standards.md A15
	maxHeaderFields = 1000      // Postfix and its peers stop mail in loops at 50 to 100 Received fields
)

// message is one message of ours on its way through the milter. It keeps the header block until its end, because the keys are
// known only when the last From field has been seen, and nothing of the body.
type message struct {
	set    *settings
	spaced bool // header values come with the blank after the colon
	light  bool // over the limit of messages: only From is kept

	block  []byte // header fields as they will be sent, one after the other
	ends   []int  // end of each field in block
	author author
	lost   bool   // a field could not be looked at, and may have been the From field
	reason Reason // why it will not be signed; the first reason stands

	queueID string
	table   *Table // held until done
	choice  choice
	signer  *dkim.Signer
	body    bodyScan
}

// header takes one field as the MTA passed it.
func (m *message) header(name, value string) {
	if len(m.author.from) < 2 && equalFold(name, "From") {
		// One octet too many makes it unparsable, which it is.
		m.author.from = append(m.author.from, strings.Clone(value[:min(len(value), maxFrom+1)]))
	}
	switch name {
	case oversizedField:
		m.lost = true
		m.fail(ReasonHeaderTooLarge)
	case malformedField:
		m.lost = true
		m.fail(ReasonHeaderSyntax)
	}
	if m.reason != signed || m.light {
		return
	}
	switch {
	case len(m.ends) == maxHeaderFields:
		m.fail(ReasonTooManyFields)
		return
	case len(m.block)+len(name)+len(value) > maxHeaderBytes:
		m.fail(ReasonHeaderTooLarge)
		return
	}
	block, reason := appendField(m.block, name, value, m.spaced, m.set.signLong)
	if reason == signed && len(block) > maxHeaderBytes { // folds take an octet more than the MTA passed
		reason = ReasonHeaderTooLarge
	}
	if reason != signed {
		m.fail(reason)
		return
	}
	m.block = block
	m.ends = append(m.ends, len(block))
}

// fail notes why the message cannot be signed and lets go of what was kept for it.
func (m *message) fail(r Reason) {
	if m.reason == signed {
		m.reason = r
	}
	m.block, m.ends, m.signer = nil, nil, nil
}

// endOfHeaders chooses the keys and starts to sign. It returns the cause for the log where there is one.
func (m *message) endOfHeaders(a *Agent) error {
	if m.light {
		m.fail(ReasonOverload)
	}
	m.table = a.tables.acquire()
	m.choice = choose(m.table, m.set.allowed, m.author)
	switch m.choice.reason {
	case signed:
	case ReasonNoKey:
		m.fail(ReasonNoKey)
	case ReasonFromMissing:
		if m.lost {
			break
		}
		fallthrough
	default:
		// What is wrong with the author says more than what is wrong with some octets.
		m.reason = m.choice.reason
	}
	if m.reason != signed {
		m.fail(m.reason)
		return nil
	}
	now := a.now()
	var signings []dkim.Signing
	var oversign []string
	if m.choice.bulk {
		oversign = bulkOversign
	}
	for _, k := range m.choice.signing {
		key, err := a.keys.Signer(k.id)
		if err != nil {
			m.fail(ReasonKeyUnavailable)
			a.keyFailed(k.id, err)
			return fmt.Errorf("key %s: %w", k.id, err)
		}
		signings = append(signings, a.signing(k.domain, k.selector, key, now, oversign))
	}
	signer, err := dkim.NewSigner(signings...)
	if err != nil {
		m.fail(ReasonSignFailed)
		return err
	}
	start := 0
	for _, end := range m.ends {
		if err := signer.Header(m.block[start:end]); err != nil {
			m.fail(ReasonHeaderSyntax)
			return err
		}
		start = end
	}
	m.signer, m.block, m.ends = signer, nil, nil
	m.body.allowAny = m.set.signLong
	return nil
}

// bodyChunk takes the next octets of the body.
func (m *message) bodyChunk(chunk []byte) {
	if m.reason != signed || m.signer == nil {
		return
	}
	if r := m.body.scan(chunk); r != signed {
		m.fail(r)
		return
	}
	m.signer.Body(chunk)
}

// finish returns the signatures, the one for the top first, or the reason why there are none.
func (m *message) finish() ([][]byte, error) {
	if m.reason == signed {
		if r := m.body.end(); r != signed {
			m.fail(r)
		}
	}
	if m.reason != signed {
		return nil, nil
	}
	fields, err := m.signer.Finish()
	if err != nil {
		m.fail(ReasonSignFailed)
		return nil, err
	}
	return fields, nil
}

// deferred reports whether a message that was not signed is to come again later.
func (m *message) deferred() bool {
	return m.reason != signed && m.choice.noKey == agentapi.NoKeyTempfail
}

// equalFold compares field names; they are US-ASCII, and other letters that fold to it do not count.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x |= 0x20
		}
		if 'A' <= y && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}
