package store

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

// Only what a person was shown, and what still stands at the newest look, is given away; the old value is in the journal.
func testTakingOver(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	const name = "_dmarc." + testDomain
	look := evidence.Sighting{Name: name, Type: "TXT", Expected: "ours", At: time.Now(), Servers: []evidence.ServerSight{
		{Server: "ns1", Verdict: evidence.Differs, Values: []string{"theirs"}}, {Server: "ns2", Verdict: evidence.Differs, Values: []string{"theirs"}}}}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{{ID: "rec_1", Domain: testDomain, Purpose: lifecycle.ForDMARC, Name: name, Type: "TXT", Want: "ours", Last: look}}}))
	record := func() lifecycle.Record {
		t.Helper()
		return get[[]lifecycle.Record](t)(s.Records(ctx, RecordFilter{Name: name, Limit: 1}))[0]
	}
	before := record()
	for _, refused := range []struct {
		id, seen string
		code     fault.Code
	}{{"rec_9", "theirs", fault.NotFound}, {"rec_1", "what stood before", fault.Conflict}, {"rec_1", "", fault.Conflict}} {
		if err := s.AdoptRecord(ctx, refused.id, refused.seen, "ann", "why"); fault.CodeOf(err) != refused.code {
			t.Errorf("%s %q: %v", refused.id, refused.seen, err)
		}
	}
	if now := record(); now.Revision != before.Revision || now.Written != "" {
		t.Errorf("a refusal changed the record: %+v", now)
	}
	if err := s.DisownRecord(ctx, "rec_1", "ann", "why"); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("given back before it was ours: %v", err)
	}
	must(t, s.AdoptRecord(ctx, "rec_1", "theirs", "ann", "we have it now"))
	now := record()
	if now.Written != "theirs" || now.Adopted != "ann" || now.Revision == before.Revision || now.Want != "ours" {
		t.Errorf("adopted: %+v", now)
	}
	event := get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 1}))[0]
	if event.Step != "adopt" || event.Actor != "ann" || !strings.Contains(event.Why, `"theirs"`) || !strings.Contains(string(event.Detail), `"old":"theirs"`) {
		t.Errorf("event %+v %s", event, event.Detail)
	}
	if err := s.AdoptRecord(ctx, "rec_1", "theirs", "ann", "again"); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("adopted twice: %v", err)
	}
	// A planner that worked on what it knew before does not write over the word.
	before.Want = "other"
	if err := s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{before}}); err == nil {
		t.Error("an older plan was written over it")
	}
	must(t, s.DisownRecord(ctx, "rec_1", "bob", "not ours after all"))
	if now := record(); now.Written != "" || now.Adopted != "" {
		t.Errorf("given back: %+v", now)
	}
}
