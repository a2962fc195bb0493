package audit

import (
	"slices"
	"testing"
	"time"
)

func TestLifeRules(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	for what, c := range map[string]struct {
		life Life
		want []string
	}{
		"all is well": {Life{Keys: []KeyLife{{Name: "k", State: "active", Since: ago(100), Users: []string{"mx1"}, Signed: now}}, Signers: []SignerLife{{Name: "mx1", Since: ago(100), Stands: true}},
			Clocks: []Clock{{"mx1", 5 * time.Minute}}}, nil},
		"a new signer":             {Life{Signers: []SignerLife{{Name: "mx1", Since: ago(1)}}}, nil},
		"a signer without a key":   {Life{Signers: []SignerLife{{Name: "mx1", Since: ago(2)}}}, []string{"error DKIM-L02 mx1 for example.org"}},
		"on its way for two days":  {Life{Keys: []KeyLife{{Name: "k", State: "published", Since: ago(2), OnWay: true}}}, nil},
		"on its way for four days": {Life{Keys: []KeyLife{{Name: "k", State: "published", Since: ago(4), OnWay: true}}}, []string{"warning DKIM-L11 k"}},
		"blocked for four days":    {Life{Keys: []KeyLife{{Name: "k", State: "active", Since: ago(4), Stuck: true}}}, []string{"warning DKIM-L11 k"}},
		"a standby key":            {Life{Keys: []KeyLife{{Name: "k", State: "proven", Since: ago(400)}}}, nil},
		"revoked and used":         {Life{Keys: []KeyLife{{Name: "k", State: "revoked", Since: ago(1), Users: []string{"mx1"}}}}, []string{"error DKIM-L01 k"}},
		"signed after removal":     {Life{Keys: []KeyLife{{Name: "k", State: "removed", Since: ago(5), Signed: ago(1)}}}, []string{"error DKIM-L01 k"}},
		"signed before it":         {Life{Keys: []KeyLife{{Name: "k", State: "removed", Since: ago(5), Signed: ago(50)}}}, nil},
		"retired for a month":      {Life{Keys: []KeyLife{{Name: "k", State: "retired", Since: ago(90), Ended: ago(30)}}}, nil},
		"retired for a quarter":    {Life{Keys: []KeyLife{{Name: "k", State: "retired", Since: ago(90), Ended: ago(90)}}}, []string{"info DKIM-L10 k"}},
		"retired and still used":   {Life{Keys: []KeyLife{{Name: "k", State: "retired", Since: ago(90), Users: []string{"mx1"}}}}, nil}, // the planner waits
		"clocks":                   {Life{Clocks: []Clock{{"mx1", 6 * time.Minute}, {"mx2", -6 * time.Minute}}}, []string{"error DKIM-L13 mx1", "error DKIM-L13 mx2"}},
	} {
		o := &observation{a: New(Deps{Now: func() time.Time { return now }}), q: Query{Domain: "example.org", Life: c.life}}
		o.life()
		var got []string
		for _, f := range o.findings {
			got = append(got, string(f.Severity)+" "+f.ID+" "+f.Subject)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
