package api

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// seen is a look at one name on one server.
func seen(name, expected string, v evidence.Verdict) evidence.Sighting {
	return evidence.Sighting{Name: name, Type: "TXT", Expected: expected, At: now.Add(-time.Minute), Zone: "example.org",
		Servers: []evidence.ServerSight{{Server: "ns1.example.org", Verdict: v, Detail: "NXDOMAIN"}}}
}

// active is a key in use for a month.
func active(id, assignment, selector string, v evidence.Verdict) lifecycle.Key {
	const value = "v=DKIM1; k=rsa; p=AAAA"
	from := now.Add(-30 * 24 * time.Hour)
	k := lifecycle.Key{ID: id, Domain: "example.org", AssignmentID: assignment, Selector: selector, Algorithm: "rsa2048", State: lifecycle.Active, Value: value,
		Created: from, Propagated: from, Proven: from, Activated: from, Signing: from, RotateAfter: now.Add(150 * 24 * time.Hour),
		Holders: []lifecycle.Holding{{ServerID: "srv_1", Want: lifecycle.WantSign, Rank: 1, Acked: lifecycle.WantSign, Has: true, Value: value, Signing: true, Signed: 70,
			LastSigned: now.Add(-time.Hour), CanaryVerified: from, Reported: now.Add(-time.Minute)}}}
	k.Record = lifecycle.Record{ID: "rec_" + id, Domain: "example.org", Name: k.Name(), Type: "TXT", Want: value, Written: value, AgreedSince: from, FirstAgreed: from,
		Last: seen(k.Name(), value, v)}
	return k
}

func situation() lifecycle.Situation {
	return lifecycle.Situation{
		Now:    now,
		Domain: inventory.Domain{Name: "example.org", Mode: inventory.Managed, Policy: inventory.DefaultPolicy()},
		Signers: map[string]inventory.Signer{
			"srv_1": {ID: "srv_1", Kind: inventory.KindServer, Name: "mx1", Label: "mx1"},
			"srv_2": {ID: "srv_2", Kind: inventory.KindServer, Name: "mx2", Label: "mx2"},
			"svc_1": {ID: "svc_1", Kind: inventory.KindService, Name: "a-service"},
		},
		Assignments: []inventory.Assignment{
			{ID: "as_3", Domain: "example.org", SignerID: "svc_1", Stream: "default", Class: inventory.ClassForeign,
				Records: []inventory.ServiceRecord{{Selector: "g", Type: "TXT", Value: "v=DKIM1; p=G"}}},
			{ID: "as_1", Domain: "example.org", SignerID: "srv_1", Stream: "default", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}},
			{ID: "as_2", Domain: "example.org", SignerID: "srv_2", Stream: "default", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}},
		},
		Keys: []lifecycle.Key{active("key_1", "as_1", "one", evidence.Shows)},
		Records: []lifecycle.Record{{ID: "rec_g", Domain: "example.org", Purpose: lifecycle.ForForeign, AssignmentID: "as_3", Name: "g._domainkey.example.org", Type: "TXT",
			Want: "v=DKIM1; p=G", Pending: true, Last: seen("g._domainkey.example.org", "v=DKIM1; p=G", evidence.Differs)}},
	}
}

func TestStatusOfADomain(t *testing.T) {
	got := domainStatus(situation())
	if len(got.Rows) != 3 {
		t.Fatalf("%d rows", len(got.Rows))
	}
	want := client.StatusRow{
		Signer: "mx1", SignerKind: "server", Stream: "default", Class: "managed", AssignmentID: "as_1",
		Selector: "one", KeyID: "key_1", Algorithm: "rsa2048", State: "active", RecordName: "one._domainkey.example.org", DNS: "agrees",
		LastCanary: now.Add(-30 * 24 * time.Hour), LastSignature: now.Add(-time.Hour), Signed: 70, Created: now.Add(-30 * 24 * time.Hour), AgeSeconds: 30 * 24 * 3600,
		Next: "generate", NextAt: now.Add(150 * 24 * time.Hour), Reason: got.Rows[0].Reason,
	}
	if !strings.Contains(want.Reason, "signing") {
		t.Errorf("the reason is %q", want.Reason)
	}
	if d := cmp.Diff(want, got.Rows[0]); d != "" {
		t.Errorf("the key in use (-want +got):\n%s", d)
	}
	if r := got.Rows[1]; r.Signer != "mx2" || r.State != "none" || r.DNS != "none" || r.Next != "generate" || r.Reason == "" {
		t.Errorf("the signer without a key: %+v", r)
	}
	if r := got.Rows[2]; r.Signer != "a-service" || r.Selector != "g" || r.Class != "foreign" || r.State != "wanted" || r.DNS != "pending" ||
		!strings.Contains(r.Reason, "person") || !strings.Contains(r.DNSDetail, "ns1.example.org") {
		t.Errorf("the service's record: %+v", r)
	}
}

func TestStatusSaysWhatIsWrong(t *testing.T) {
	s := situation()
	s.Keys[0] = active("key_1", "as_1", "one", evidence.Differs)
	row := domainStatus(s).Rows[0]
	if row.DNS != "differs" || !row.Blocked || !strings.Contains(row.DNSDetail, "NXDOMAIN") || !strings.Contains(row.Reason, "ns1.example.org") {
		t.Errorf("%+v", row)
	}
	s.Keys[0] = active("key_1", "as_1", "one", evidence.Silent)
	if row := domainStatus(s).Rows[0]; row.DNS != "silent" {
		t.Errorf("%+v", row)
	}
	s.Controls.Waivers = []inventory.Waiver{{Domain: "example.org", Server: "ns1.example.org", Until: now.Add(-time.Hour)}}
	if row := domainStatus(s).Rows[0]; row.DNS != "silent" {
		t.Errorf("a waiver that has ended still counts: %+v", row)
	}
}

// What was seen before Postseal changed a record says nothing about it.
func TestStatusOfWhatWasChangedSince(t *testing.T) {
	s := situation()
	s.Records[0].Want, s.Records[0].Pending, s.Records[0].WrittenAt = "", false, now
	s.Records[0].Last = seen("g._domainkey.example.org", "", evidence.Differs)
	s.Records[0].Last.Servers[0].Values = []string{"v=DKIM1; p=G"}
	s.Assignments[0].Records = nil
	row := domainStatus(s).Rows[2]
	if row.DNS != "unseen" || row.State != "leaving" || !strings.Contains(row.Reason, "Postseal has removed it") {
		t.Errorf("%+v", row)
	}
}

func TestStatusOfWhatIsLeaving(t *testing.T) {
	s := situation()
	s.Assignments[1].Ended, s.Assignments[1].EndedBy = now.Add(-time.Hour), "ann"
	s.Assignments[2].Ended, s.Assignments[2].EndedBy = now.Add(-time.Hour), "ann"
	rows := domainStatus(s).Rows
	if len(rows) != 2 || !rows[0].Ended || rows[0].Next != "retire" {
		t.Errorf("an ended signer without keys has a row, or one with a key has none: %+v", rows)
	}
	s.Domain.Mode = inventory.Observed
	for _, row := range domainStatus(s).Rows {
		if !strings.Contains(row.Reason, "observed") {
			t.Errorf("nothing says that the domain is only observed: %+v", row)
		}
	}
}
