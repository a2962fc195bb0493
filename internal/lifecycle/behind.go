package lifecycle

import (
	"context"
	"slices"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/evidence"
)

// maxSeenKeys is how many keys are remembered of a service's record: a service that changes its key every five days, the fastest that
// is known, leaves the trace of some weeks.
const maxSeenKeys = 12

// SeenKey is a public key that was seen at the end of a service's record, from its first look to its last.
type SeenKey struct {
	Fingerprint string    `json:"fingerprint"` // dkim.KeyRecord.Fingerprint
	Type        string    `json:"type"`        // rsa or ed25519
	Bits        int       `json:"bits"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
}

// BehindLooker follows a name to where its CNAMEs end.
type BehindLooker interface {
	Behind(ctx context.Context, name string) evidence.Behind
}

// ServiceRules judge what is seen of a service's record. This package knows no services: who knows them fills it.
type ServiceRules interface {
	// Judge says which findings a record gives now, and which of its findings no longer hold.
	Judge(s *Situation, r *Record) (open, resolved []Finding)
}

// ofService reports whether the key of a record is an outside service's.
func (r *Record) ofService() bool { return r.Purpose == ForForeign || r.Purpose == ForDelegated }

// seeBehind keeps what stands where a record ends. Silence keeps what was known.
func (r *Record) seeBehind(b evidence.Behind, at time.Time) {
	if b.Found == "" || b.Found == evidence.FoundSilent {
		return
	}
	b.At = at
	r.Behind = b
	for _, txt := range b.TXT {
		key, err := dkim.ParseKeyRecord(txt)
		if err != nil || key.Revoked {
			continue
		}
		now := SeenKey{Fingerprint: key.Fingerprint(), Type: key.Type, Bits: key.Bits, First: at, Last: at}
		r.Keys = slices.Clone(r.Keys)
		if n := len(r.Keys); n > 0 && r.Keys[n-1].Fingerprint == now.Fingerprint {
			r.Keys[n-1].Last = at
		} else {
			r.Keys = append(r.Keys, now)
		}
		r.Keys = r.Keys[max(0, len(r.Keys)-maxSeenKeys):]
		return // of several records at one name nobody knows which counts; the first is the same at each look
	}
}

// standing turns a look at a TXT record into what stands there.
func standing(s evidence.Sighting) evidence.Behind {
	b := evidence.Behind{Found: evidence.FoundSilent}
	for _, server := range s.Servers {
		if server.Verdict == evidence.Silent {
			continue
		}
		if server.CNAME != "" {
			b.Chain = []string{server.CNAME}
		}
		b.Found, b.TXT = evidence.FoundGone, server.Values
		if len(server.Values) > 0 {
			b.Found = evidence.FoundValues
		}
		break
	}
	return b
}
