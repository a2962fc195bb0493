package providertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// writers is how many write at once; rounds is how often, because one round rarely meets the moment.
const (
	writers = 4
	rounds  = 8
)

// testRace has several writers take one name. Where the guard is atomic exactly one wins, and what stands is the winner's; a provider
// without that must at least not say Done to two whose values both stand.
func testRace(t *testing.T, s Subject) {
	before := ""
	for round := range rounds {
		values := make([]string, writers)
		outcomes := make([]publisher.Outcome, writers)
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			values[w] = fmt.Sprintf("v=DKIM1; n=%d; p=%d", round, w)
			wg.Go(func() {
				outcomes[w], errs[w] = s.Provider.Set(t.Context(), s.Zone, change("race._domainkey", "TXT", before, values[w]))
			})
		}
		wg.Wait()
		var won []string
		for w := range writers {
			switch {
			case errs[w] == nil && outcomes[w] == publisher.Done:
				won = append(won, values[w])
			case fault.CodeOf(errs[w]) != fault.Conflict && fault.CodeOf(errs[w]) != fault.Unavailable:
				t.Errorf("a loser got %q, %v", outcomes[w], errs[w])
			}
		}
		if s.Provider.Capabilities().Atomic && len(won) != 1 {
			t.Fatalf("round %d: %d writers won: %q", round, len(won), won)
		}
		have := publisher.Values(publisher.OfType(s.get(t, "race._domainkey"), "TXT"))
		if len(have) != 1 {
			t.Fatalf("round %d: there stands %q", round, have)
		}
		if s.Provider.Capabilities().Atomic && have[0] != won[0] {
			t.Fatalf("round %d: %q won, %q stands", round, won[0], have[0])
		}
		before = have[0]
	}
}
