package lifecycle

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/inventory"
)

const reportName = "example.com._report._dmarc.reports.example.net"

// reports is a situation in which reports go to reports.example.net; ours says whether that is a domain of ours.
func reports(s *scene, ours bool) *scene {
	s.Domain.DMARC = "v=DMARC1; p=none; rua=mailto:d@reports.example.net"
	if ours {
		s.ReportsTo = map[string]inventory.Destination{"reports.example.net": {Domain: "example.net", Publisher: "other"}}
	}
	return s
}

func TestReportRecords(t *testing.T) {
	everywhere := func(v string) []string { return []string{v, v} }
	r := func(ours bool, want, written string, shown []string, f ...func(*Record)) func(*scene) {
		return func(s *scene) {
			reports(s, ours).record("r1", reportName, want, written, shown, append([]func(*Record){func(r *Record) {
				r.Purpose = ForReport
				if ours {
					r.Publisher = "other"
				}
			}}, f...)...)
		}
	}
	const ours, yes = "v=DMARC1;", "v=DMARC1"
	for _, c := range []planCase{
		{name: "ours, and it does not stand", setup: r(true, ours, "", everywhere("")), steps: []string{"publish r1"}},
		{name: "ours, and it stands", setup: r(true, ours, ours, everywhere(ours)), says: []string{"stands on every authoritative server"}},
		{name: "ours, and a wildcard answers", setup: r(true, yes, "", everywhere(yes)), says: []string{"stands on every authoritative server"}},
		{name: "ours, and something else stands there", setup: r(true, ours, "", everywhere("v=spf1 -all")), says: []string{"left alone"}, block: true},
		{name: "ours, and wanted no more", setup: func(s *scene) { r(true, "", ours, everywhere(ours))(s); s.Domain.DMARC = "" }, steps: []string{"remove r1"}},
		{name: "a wildcard's, and wanted no more", setup: func(s *scene) { r(true, "", "", everywhere(yes))(s); s.Domain.DMARC = "" }, steps: []string{"end r1"}},
		{name: "a stranger's, and missing", setup: r(false, ours, "", everywhere("")), says: []string{"ask the destination for " + reportName + ` TXT "v=DMARC1;"`}, block: true},
		{name: "a stranger's, and it stands", setup: r(false, yes, "", everywhere(yes)), says: []string{"others publish it"}},
		{name: "a stranger's now, and what we wrote was changed", setup: r(false, ours, ours, everywhere("v=spf1 -all"), func(r *Record) { r.Publisher = "other" }),
			says: []string{"not ours to publish"}, never: []string{"adopt"}, block: true},
	} {
		c.run(t)
	}
}

func TestReportRecordIsWanted(t *testing.T) {
	s := reports(newScene(), true)
	s.ReportsTo["reports.example.net"] = inventory.Destination{Domain: "example.net", Publisher: "other", Repair: true}
	fresh := WantedRecords(s.Situation)
	if len(fresh) != 2 || fresh[1].Name != reportName || fresh[1].Publisher != "other" || fresh[1].Want != inventory.ReportValue || fresh[1].Purpose != ForReport || fresh[0].Publisher != "" {
		t.Fatalf("%+v", fresh)
	}
	if !s.repairs(&fresh[1]) || s.repairs(&fresh[0]) { // the policy of the zone that the record lies in
		t.Error("whose word counts for repairs")
	}

	// What answers already is what is wanted, until it does not answer any more.
	seen := fresh[1]
	seen.ID = "r1"
	look(&seen, noon, "v=DMARC1; rua=mailto:x@reports.example.net", "v=DMARC1; rua=mailto:x@reports.example.net")
	s.Records = []Record{seen}
	if got := WantedRecords(s.Situation)[0]; got.Want != "v=DMARC1; rua=mailto:x@reports.example.net" {
		t.Errorf("wanted: %+v", got)
	}
	for _, other := range [][]string{{"", ""}, {"v=spf1 -all", "v=spf1 -all"}, {"v=DMARC1", ""}} {
		s.Records[0].Want = "v=DMARC1"
		look(&s.Records[0], noon, other...)
		if got := WantedRecords(s.Situation)[0]; got.Want != inventory.ReportValue {
			t.Errorf("%q: wanted %q", other, got.Want)
		}
	}

	// Another publisher is asked anew; a destination that leaves us keeps the name of the one who wrote.
	s.Records[0].Written, s.Records[0].Pending = inventory.ReportValue, true
	s.ReportsTo["reports.example.net"] = inventory.Destination{Domain: "example.net", Publisher: "third"}
	if got := WantedRecords(s.Situation)[0]; got.Publisher != "third" || got.Pending {
		t.Errorf("moved: %+v", got)
	}
	s.ReportsTo = nil
	if got := WantedRecords(s.Situation)[0]; got.Publisher != "other" || !s.Watched(&got) {
		t.Errorf("left: %+v", got)
	}
}

func TestReportMissingIsFound(t *testing.T) {
	s := reports(newScene(), false)
	record := func(shown ...string) *Record {
		r := Record{Domain: "example.com", Purpose: ForReport, Name: reportName, Type: "TXT", Want: inventory.ReportValue}
		look(&r, noon, shown...)
		return &r
	}
	has := func(all []Finding) bool {
		return slices.ContainsFunc(all, func(f Finding) bool {
			return f.ID == ReportMissingFinding && f.Subject == reportName && strings.Contains(f.Fix, `"v=DMARC1;"`)
		})
	}
	if open, _ := s.findingsOf(record("", ""), nil); !has(open) || len(open) != 1 {
		t.Errorf("missing: %+v", open)
	}
	if open, _ := s.findingsOf(record("v=spf1", "v=spf1"), nil); !has(open) || len(open) != 1 { // not LIFE-01: we want nothing there ourselves
		t.Errorf("something else: %+v", open)
	}
	for name, r := range map[string]*Record{"stands": record(inventory.ReportValue, inventory.ReportValue), "silent": record(silentServer, silentServer)} {
		if open, resolved := s.findingsOf(r, nil); len(open) > 0 || !has(resolved) {
			t.Errorf("%s: %+v", name, open)
		}
	}
	gone := record("", "")
	gone.Gone = noon
	if open, resolved := s.findingsOf(gone, nil); len(open) > 0 || !has(resolved) {
		t.Errorf("gone: %+v", open)
	}
	stranger := record("v=spf1", "v=spf1")
	if err := stranger.Adoptable("v=spf1"); err == nil || !strings.Contains(err.Error(), "does not write") {
		t.Errorf("a stranger's record was taken over: %v", err)
	}
}
