package agent

import (
	"crypto"
	"time"

	"github.com/postseal/postseal/dkim"
)

// bulkOversign are the fields that mail in bulk has oversigned too, so that nobody can add another way to unsubscribe
// (RFC 8058 §4).
var bulkOversign = []string{"List-Unsubscribe", "List-Unsubscribe-Post"}

// canarySigning is the signature of a canary, whatever its assignment says of mail: relaxed, no l=, no x=.
func canarySigning(domain, selector string, key crypto.Signer, now time.Time, oversign string) dkim.Signing {
	return dkim.Signing{Domain: domain, Selector: selector, Key: key, Time: now, Oversign: append(dkim.DefaultOversign(), oversign)}
}

// preparedFor is what stands beside a key in memory: how it signs, and for which entry of a table that was worked out.
type preparedFor struct {
	key  *activeKey
	with *dkim.Prepared
}

// prepared returns a key ready to sign. What can be done once for all messages was done with the first of them; while the key is in
// memory that takes no lock and allocates nothing.
func (a *Agent) prepared(k *activeKey) (*dkim.Prepared, error) {
	key, err := a.keys.Key(k.id(), k.held())
	if err != nil {
		return nil, err
	}
	if p, ok := key.Beside.Load().(*preparedFor); ok && p.key == k {
		return p.with, nil
	}
	with, err := dkim.Prepare(k.with(key))
	if err != nil {
		return nil, err
	}
	key.Beside.Store(&preparedFor{k, with})
	return with, nil
}
