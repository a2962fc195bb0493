package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/lifecycle"
)

// What was found behind a service's record, and the keys with their times, come back as they were written, also after a change.
func testBehind(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	rec := lifecycle.Record{ID: "rec_behind", Domain: testDomain, Purpose: lifecycle.ForDelegated, AssignmentID: "as_3", Name: "s1._domainkey." + testDomain, Type: "CNAME",
		Want: "s1.domainkey.u1.wl.sendgrid.net"}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{rec}}))
	find := func() lifecycle.Record {
		t.Helper()
		for _, r := range get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Records {
			if r.ID == rec.ID {
				return r
			}
		}
		t.Fatal("the record is gone")
		return lifecycle.Record{}
	}
	if r := find(); r.Behind.Found != "" || len(r.Keys) > 0 {
		t.Errorf("a new record: %+v", r)
	}
	rec = find()
	rec.Behind = evidence.Behind{At: at, Found: evidence.FoundGone, Chain: []string{rec.Want, "x.gone.example"}, TXT: []string{"v=DKIM1; p="}, Unregistered: "gone.example"}
	rec.Keys = []lifecycle.SeenKey{{Fingerprint: "aa", Type: "rsa", Bits: 1024, First: at.Add(-time.Hour), Last: at}, {Fingerprint: "bb", Type: "ed25519", Bits: 256, First: at, Last: at}}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{rec}}))
	if got := find(); !reflect.DeepEqual(got.Behind, rec.Behind) || !reflect.DeepEqual(got.Keys, rec.Keys) {
		t.Errorf("wrote %+v and %+v, read %+v and %+v", rec.Behind, rec.Keys, got.Behind, got.Keys)
	}
}
