package agent

import (
	"bytes"
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

// headerOf splits a complete field into the name and value that the milter protocol wants: no final line end, LF at the folds is
// made by the protocol library. Without spaced the MTA adds the blank after the colon itself.
func headerOf(field []byte, spaced bool) (name, value string) {
	n, v, _ := bytes.Cut(bytes.TrimSuffix(field, []byte("\r\n")), []byte(":"))
	if !spaced {
		v = bytes.TrimPrefix(v, []byte(" "))
	}
	return string(n), string(v)
}
