package publisher

import (
	"fmt"
	"strings"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
)

// shown is how many octets of a value a sentence shows: enough to recognise it.
const shown = 80

// ConflictAt is the error of a provider that found something else than it may change. name is absolute.
func ConflictAt(name string, have []libdns.Record) error {
	if len(have) == 0 {
		return fault.New(fault.Conflict, "at %s stands nothing, although our record should", canonical(name)).
			WithHint("somebody removed it; find out who writes this zone")
	}
	return fault.New(fault.Conflict, "at %s stands %s, which is not ours", canonical(name), Describe(have)).
		WithHint("whoever made it must remove it, or a named person must let us take it over; it is not touched until then")
}

// Describe names records for people, long values cut.
func Describe(records []libdns.Record) string {
	var parts []string
	for _, r := range records {
		value := ValueOf(r)
		if len(value) > shown {
			value = value[:shown] + "…"
		}
		if TypeOf(r) == CNAME {
			parts = append(parts, "CNAME "+value)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %q", TypeOf(r), value))
	}
	return strings.Join(parts, ", ")
}
