package main

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
)

// A reply is given to whom it is of: an agent that never asked its MTA speaks for itself.
func TestProbeSaysWhoAnswered(t *testing.T) {
	for want, p := range map[string]client.Probe{
		"the agent said": {State: "refused", Reply: "probes are not set up here"},
		"the MTA said":   {State: "submitted", Submitted: time.Unix(1, 0), Reply: "250 queued"},
	} {
		var out strings.Builder
		printProbe(&out, p)
		line := ""
		for l := range strings.Lines(out.String()) {
			if strings.Contains(l, p.Reply) {
				line = l
				break
			}
		}
		if !strings.HasPrefix(line, want) {
			t.Errorf("%q, want it to begin with %q:\n%s", line, want, out.String())
		}
	}
}
