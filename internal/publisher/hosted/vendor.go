package hosted

import (
	"context"
	"strings"
	"time"
)

// Zone is a zone as a vendor knows it.
type Zone struct {
	Name string // lower case, no trailing dot
	ID   string // the vendor's handle: an id, or the name again
}

// Record is one record as a vendor holds it.
type Record struct {
	Type string
	// Value is what is compared: a TXT record's joined octets, a CNAME's absolute target in any case with or without trailing
	// dot, anything recognisable for other types.
	Value string
	TTL   time.Duration
	ID    string // the vendor's handle of the record, or of the set (an entity tag); "" = none
	Raw   string // Value as the vendor wrote it, for vendors that want it back; "" = not needed
}

// Write is a record set on its way.
type Write struct {
	Name string // absolute, lower case, no trailing dot
	Type string // TXT or CNAME
	// Have is what was read of this type a moment ago, all of it what the caller expects or wants: nothing else may be changed or removed.
	Have []Record
	// Want is what shall stand afterwards; ID and Raw are empty. The target of a CNAME has no trailing dot. Empty = nothing.
	Want []Record
}

// Vendor is one API. Implementations are safe for concurrent use; writes to one zone come one at a time.
type Vendor interface {
	// FindZone returns the vendor's handle of exactly this zone. fault.NotFound: the vendor, or the credential, does not have it.
	FindZone(ctx context.Context, name string) (id string, err error)
	// At returns all records at exactly the absolute name, of every type. None is no error; fault.NotFound means that the zone is not there (any more).
	At(ctx context.Context, zone Zone, name string) ([]Record, error)
	// Write makes the record set go from w.Have to w.Want. Where the API has a condition for it, w.Have is the condition and fault.Conflict says
	// that it is not met. Any error may mean that it was carried out, or half: what stands is read afterwards.
	Write(ctx context.Context, zone Zone, w Write) error
}

// Relative returns an absolute name relative to the zone; apex is what the vendor calls the zone itself.
func (z Zone) Relative(name, apex string) string {
	if name == z.Name {
		return apex
	}
	return strings.TrimSuffix(name, "."+z.Name)
}

// Absolute returns the absolute name of what a vendor wrote relative to the zone, lower case without trailing dot. "" and "@" are the zone itself.
func (z Zone) Absolute(name string) string {
	if name == "" || name == "@" {
		return z.Name
	}
	return canonical(name) + "." + z.Name
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Seconds is a TTL as APIs write it.
func Seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// TTLOf returns the TTL of what shall stand, in seconds.
func (w Write) TTLOf() int {
	var ttl time.Duration
	for _, r := range w.Want {
		ttl = max(ttl, r.TTL)
	}
	return int(ttl / time.Second)
}
