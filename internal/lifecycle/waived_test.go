package lifecycle

import (
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

func TestAWaiverNamesAServerWithOrWithoutItsAddress(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		waiver, server string
		waived         bool
	}{
		{"ns2.example.com (192.0.2.2:53)", "ns2.example.com (192.0.2.2:53)", true},
		{"ns2.example.com", "ns2.example.com (192.0.2.2:53)", true},
		{"ns2.example.com", "ns2.example.com (192.0.2.3:53)", true},
		{"ns2.example.com (192.0.2.2:53)", "ns2.example.com (192.0.2.3:53)", false},
		{"ns2.example", "ns2.example.com (192.0.2.2:53)", false},
		{"ns3.example.com", "ns2.example.com (192.0.2.2:53)", false},
		{"192.0.2.2:53", "192.0.2.2:53", true},
	} {
		s := Situation{Now: now, Domain: inventory.Domain{Name: "example.com"}, Controls: inventory.Controls{Waivers: []inventory.Waiver{
			{Domain: "example.com", Server: tc.waiver, Until: now.Add(time.Hour), By: "ann"}}}}
		if got := s.waived(tc.server); got != tc.waived {
			t.Errorf("a waiver of %q for %q: %v", tc.waiver, tc.server, got)
		}
	}
}
