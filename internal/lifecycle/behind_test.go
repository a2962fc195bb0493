package lifecycle

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
)

func edRecord(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
}

// Keys are remembered from their first look to their last; what is no key, and silence, change nothing.
func TestSeeBehind(t *testing.T) {
	a, b := edRecord(t), edRecord(t)
	r := Record{Purpose: ForDelegated}
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	look := func(hours int, found evidence.Found, txt ...string) {
		r.seeBehind(evidence.Behind{Found: found, Chain: []string{"k1.service.example"}, TXT: txt}, at(hours))
	}
	times := func() (all []int) {
		for _, k := range r.Keys {
			all = append(all, int(k.First.Sub(noon).Hours()), int(k.Last.Sub(noon).Hours()))
		}
		return all
	}
	steps := []struct {
		hours int
		found evidence.Found
		txt   []string
		want  []int
	}{
		{0, evidence.FoundSilent, nil, nil},
		{1, evidence.FoundGone, nil, nil},
		{2, evidence.FoundValues, []string{"v=spf1 -all"}, nil},
		{3, evidence.FoundValues, []string{"v=spf1 -all", a}, []int{3, 3}},
		{4, evidence.FoundValues, []string{a}, []int{3, 4}},
		{5, evidence.FoundSilent, nil, []int{3, 4}},
		{6, evidence.FoundValues, []string{"v=DKIM1; k=ed25519; p="}, []int{3, 4}},
		{7, evidence.FoundValues, []string{"k=ed25519;" + a[len("v=DKIM1; k=ed25519;"):]}, []int{3, 7}}, // the same key in other words
		{8, evidence.FoundValues, []string{b}, []int{3, 7, 8, 8}},
		{9, evidence.FoundValues, []string{a}, []int{3, 7, 8, 8, 9, 9}},
	}
	for _, s := range steps {
		before := slices.Clone(r.Keys)
		kept := r.Keys
		look(s.hours, s.found, s.txt...)
		if got := times(); !slices.Equal(got, s.want) {
			t.Errorf("after %d hours: %v, want %v", s.hours, got, s.want)
		}
		if !slices.Equal(kept, before) {
			t.Error("what a situation shares was written to")
		}
		if s.found != evidence.FoundSilent && (r.Behind.Found != s.found || !r.Behind.At.Equal(at(s.hours))) {
			t.Errorf("after %d hours: %+v", s.hours, r.Behind)
		}
	}
	for hours := 10; hours < 40; hours++ {
		look(hours, evidence.FoundValues, edRecord(t))
	}
	if len(r.Keys) != maxSeenKeys || !r.Keys[len(r.Keys)-1].First.Equal(at(39)) {
		t.Errorf("%d keys, the last since %v", len(r.Keys), r.Keys[len(r.Keys)-1].First)
	}
}

func TestStanding(t *testing.T) {
	sight := func(v evidence.Verdict, cname string, values ...string) evidence.ServerSight {
		return evidence.ServerSight{Verdict: v, CNAME: cname, Values: values}
	}
	for name, tt := range map[string]struct {
		servers []evidence.ServerSight
		found   evidence.Found
		chain   int
	}{
		"nobody":                  {nil, evidence.FoundSilent, 0},
		"silence":                 {[]evidence.ServerSight{sight(evidence.Silent, "")}, evidence.FoundSilent, 0},
		"the second answers":      {[]evidence.ServerSight{sight(evidence.Silent, ""), sight(evidence.Shows, "", "p=")}, evidence.FoundValues, 0},
		"nothing stands there":    {[]evidence.ServerSight{sight(evidence.Differs, "")}, evidence.FoundGone, 0},
		"behind a CNAME of a own": {[]evidence.ServerSight{sight(evidence.Shows, "k.example", "p=")}, evidence.FoundValues, 1},
	} {
		if b := standing(evidence.Sighting{Servers: tt.servers}); b.Found != tt.found || len(b.Chain) != tt.chain {
			t.Errorf("%s: %+v", name, b)
		}
	}
}
