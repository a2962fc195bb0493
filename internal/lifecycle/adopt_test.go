package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
)

func TestAdoptable(t *testing.T) {
	shows := func(values ...string) evidence.ServerSight {
		return evidence.ServerSight{Verdict: evidence.Differs, Values: values}
	}
	sighting := func(servers ...evidence.ServerSight) evidence.Sighting {
		return evidence.Sighting{Type: "TXT", Expected: "ours", At: time.Now(), Servers: servers}
	}
	for name, c := range map[string]struct {
		r    Record
		seen string
		says string // "" = it can be taken over
	}{
		"theirs":              {Record{Want: "ours", Last: sighting(shows("theirs"), shows("theirs"))}, "theirs", ""},
		"one server is away":  {Record{Want: "ours", Last: sighting(shows("theirs"), evidence.ServerSight{Verdict: evidence.Silent})}, "theirs", ""},
		"removed":             {Record{Want: "ours", Written: "ours", Last: sighting(shows())}, "", ""},
		"changed":             {Record{Want: "ours", Written: "ours", Last: sighting(shows("theirs"))}, "theirs", ""},
		"changed meanwhile":   {Record{Want: "ours", Last: sighting(shows("another"))}, "theirs", `stands "another" by now`},
		"servers differ":      {Record{Want: "ours", Last: sighting(shows("theirs"), shows("another"))}, "theirs", "differ"},
		"two records":         {Record{Want: "ours", Last: sighting(shows("theirs", "another"))}, "theirs", "several records"},
		"an alias":            {Record{Want: "ours", Last: sighting(evidence.ServerSight{Verdict: evidence.Differs, CNAME: "x"})}, "", "several records"},
		"never looked":        {Record{Want: "ours"}, "theirs", "nobody has looked"},
		"another wish":        {Record{Want: "newer", Last: sighting(shows("theirs"))}, "theirs", "nobody has looked"},
		"ours already":        {Record{Want: "newer", Written: "theirs", Last: evidence.Sighting{Expected: "newer", At: time.Now(), Servers: []evidence.ServerSight{shows("theirs")}}}, "theirs", "already"},
		"not wanted any more": {Record{Last: evidence.Sighting{At: time.Now(), Servers: []evidence.ServerSight{shows("theirs")}}}, "theirs", "nothing is wanted"},
		"a key's first name":  {Record{KeyID: "key_1", Want: "ours", Last: sighting(shows("theirs"))}, "theirs", "never carried"},
		"a key's record":      {Record{KeyID: "key_1", Want: "ours", Written: "ours", FirstAgreed: time.Now(), Last: sighting(shows("theirs"))}, "theirs", ""},
		"a person is asked":   {Record{Want: "ours", Pending: true, Last: sighting(shows("theirs"))}, "theirs", "waits for a person"},
	} {
		err := c.r.Adoptable(c.seen)
		if c.says == "" && err != nil || c.says != "" && (fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
