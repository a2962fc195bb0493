package agent

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// maxNonce is the longest nonce that fits a header field without folding.
const maxNonce = 200

// signCanary composes the message that proves that this key signs and that its record verifies it.
func (a *Agent) signCanary(k *keyState) {
	key, err := a.keys.Signer(k.id)
	if err != nil {
		a.keyFailed(k.id, err) // the canary comes when the key is back
		return
	}
	nonce := k.rare().canaryWanted
	message, err := a.canary(k, key, nonce)
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	m := k.note()
	m.canaryNonce, m.canary, m.canaryProblem = nonce, message, errorText(err)
	if err != nil {
		a.log.Error("a canary cannot be signed", "key", k.id, "error", err)
	}
}

func (a *Agent) canary(k *keyState, key crypto.Signer, nonce string) ([]byte, error) {
	if len(nonce) > maxNonce || strings.ContainsFunc(nonce, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("the canary's nonce cannot stand in a header field")
	}
	now := a.now()
	var b bytes.Buffer
	domain := k.assignment.Domain
	fmt.Fprintf(&b, "From: Postseal canary <postmaster@%s>\r\nTo: postmaster@%s\r\nSubject: Postseal canary\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n%s: %s\r\n\r\n",
		domain, domain, now.Format(time.RFC1123Z), strings.ToLower(rand.Text()), domain, agentapi.CanaryNonceHeader, nonce)
	fmt.Fprintf(&b, "This message was never sent. It shows that selector %s signs for %s.\r\n", k.key.Selector, domain)
	fields, err := dkim.SignMessage(bytes.NewReader(b.Bytes()), canarySigning(domain, k.key.Selector, key, now, agentapi.CanaryNonceHeader))
	if err != nil {
		return nil, err
	}
	message := append(bytes.Join(fields, nil), b.Bytes()...)
	if len(message) > agentapi.MaxCanary {
		return nil, fmt.Errorf("the canary has %d octets, more than %d", len(message), agentapi.MaxCanary)
	}
	return message, nil
}
