package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// journalled checks that the newest event is this step, by this person.
func (b *bench) journalled(t *testing.T, step, by string) {
	t.Helper()
	entries, err := b.admin(t).Journal(t.Context(), client.JournalQuery{Limit: 1})
	must(t, err)
	if e := entries.Entries[0]; e.Step != step || e.Actor != by || e.Kind != "event" || e.Why == "" {
		t.Errorf("the journal ends with %+v, want %s by %s", e, step, by)
	}
}

func TestHoldAndFreeze(t *testing.T) {
	b := newBench(t, nil)
	c := b.as(t, b.tokens[access.Operator])
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	must(t, c.Hold(t.Context(), "Example.ORG.", client.HoldRequest{Reason: "moving", Until: until}))
	b.journalled(t, "hold", "operator-ann")
	s, err := c.Status(t.Context(), "example.org")
	must(t, err)
	if h := s.Domains[0].Hold; h == nil || h.By != "operator-ann" || !h.Until.Equal(until) || h.Reason != "moving" {
		t.Errorf("hold %+v", h)
	}
	if row := s.Domains[0].Rows[0]; !strings.Contains(row.Reason, "moving") {
		t.Errorf("the hold is not in the reason: %+v", row)
	}
	must(t, c.Release(t.Context(), "example.org"))
	b.journalled(t, "release", "operator-ann")
	wantCode(t, c.Release(t.Context(), "example.org"), fault.NotFound)

	must(t, c.Freeze(t.Context(), client.HoldRequest{Reason: "holidays"}))
	b.journalled(t, "freeze", "operator-ann")
	f, err := c.ShowFreeze(t.Context())
	must(t, err)
	if f.Freeze == nil || f.Freeze.Reason != "holidays" {
		t.Errorf("freeze %+v", f.Freeze)
	}
	must(t, c.Thaw(t.Context()))
	b.journalled(t, "thaw", "operator-ann")
	wantCode(t, c.Thaw(t.Context()), fault.NotFound)
	if f, err := c.ShowFreeze(t.Context()); err != nil || f.Freeze != nil {
		t.Errorf("after the thaw: %+v %v", f.Freeze, err)
	}
}

func TestRotate(t *testing.T) {
	b := newBench(t, nil)
	c := b.as(t, b.tokens[access.Operator])
	got, err := c.Rotate(t.Context(), "example.org", "")
	must(t, err)
	if strings.Join(got.Signers, " ") != "mx1 mx2" {
		t.Errorf("rotates %v", got.Signers)
	}
	b.journalled(t, "rotate", "operator-ann")
	got, err = c.Rotate(t.Context(), "example.org", "mx2")
	must(t, err)
	if strings.Join(got.Signers, " ") != "mx2" {
		t.Errorf("rotates %v", got.Signers)
	}
	s, err := b.store.Situation(t.Context(), "example.org")
	must(t, err)
	for _, a := range s.Assignments {
		if s.Signers[a.SignerID].Name == "mx2" && (a.RotateBy != "operator-ann" || a.RotateRequested.IsZero()) {
			t.Errorf("mx2: %+v", a)
		}
	}
	for signer, code := range map[string]fault.Code{"sendgrid": fault.Conflict, "mx9": fault.NotFound, "web": fault.NotFound} {
		if _, err := c.Rotate(t.Context(), "example.org", signer); fault.CodeOf(err) != code {
			t.Errorf("%s: %v", signer, err)
		}
	}
	_, err = c.Rotate(t.Context(), "watched.example", "")
	wantCode(t, err, fault.Conflict)
}

func TestKeysAndRevocation(t *testing.T) {
	b := newBench(t, nil)
	b.addKey(t, "example.org", "mx1", "key_1", "mx1-2611abcd")
	c := b.admin(t)
	keys, err := c.Keys(t.Context(), "example.org")
	must(t, err)
	if len(keys.Keys) != 1 || keys.Keys[0].Signer != "mx1" || keys.Keys[0].Holders[0].Server != "mx1" || len(keys.Keys[0].Reasons) == 0 {
		t.Fatalf("keys %+v", keys.Keys)
	}
	must(t, c.Revoke(t.Context(), "example.org", "mx1-2611abcd", client.RevokeRequest{Reason: "old"}))
	b.journalled(t, "revoke", "admin-ann")
	k, err := c.Key(t.Context(), "example.org", "mx1-2611abcd")
	must(t, err)
	if k.End == nil || k.End.By != "admin-ann" || k.End.Reason != "old" || k.End.Compromised {
		t.Errorf("end %+v", k.End)
	}
	wantCode(t, c.Revoke(t.Context(), "example.org", "mx1-2611abcd", client.RevokeRequest{Reason: "again"}), fault.Conflict)
	must(t, c.Revoke(t.Context(), "example.org", "mx1-2611abcd", client.RevokeRequest{Reason: "stolen", Compromised: true}))
	b.journalled(t, "compromise", "admin-ann")
	err = c.Revoke(t.Context(), "example.org", "s1", client.RevokeRequest{Reason: "x"})
	wantCode(t, err, fault.NotFound)
	if _, hint := fault.Show(err); !strings.Contains(hint, "service") {
		t.Errorf("a service's selector: %q", hint)
	}
	b.commit(t, "example.org", func(s lifecycle.Situation) []lifecycle.Key {
		s.Keys[0].State = lifecycle.Removed
		return s.Keys[:1]
	})
	wantCode(t, c.Revoke(t.Context(), "example.org", "mx1-2611abcd", client.RevokeRequest{Reason: "x", Compromised: true}), fault.Conflict)
}

func TestWaiveAndApprove(t *testing.T) {
	b := newBench(t, nil)
	b.addKey(t, "example.net", "web", "key_w", "web-2611abcd")
	c := b.as(t, b.tokens[access.Operator])
	must(t, c.Waive(t.Context(), "example.org", client.WaiveRequest{Server: "ns3.example.net", Until: time.Now().Add(time.Hour), Reason: "rebuilt"}))
	b.journalled(t, "waive", "operator-ann")
	d, err := c.Domain(t.Context(), "example.org")
	must(t, err)
	if len(d.Waivers) != 1 || d.Waivers[0].Server != "ns3.example.net" || d.Waivers[0].By != "operator-ann" {
		t.Errorf("waivers %+v", d.Waivers)
	}
	wantCode(t, c.Waive(t.Context(), "example.org", client.WaiveRequest{Server: "ns3", Until: time.Now().Add(30 * 24 * time.Hour), Reason: "x"}), fault.Invalid)
	wantCode(t, c.Waive(t.Context(), "example.org", client.WaiveRequest{Server: "ns3", Reason: "x"}), fault.Invalid)
	// Once servers were seen, it must be one of them.
	r := record("rec_1", "example.org", "_dmarc.example.org", "TXT", "v=DMARC1; p=none")
	r.Last = evidence.Sighting{Name: r.Name, Type: r.Type, At: time.Now(), Servers: []evidence.ServerSight{{Server: "ns1.example.org (192.0.2.1:53)"}, {Server: "192.0.2.9:53"}}}
	b.wants(t, "example.org", r)
	waive := func(server string) error {
		return c.Waive(t.Context(), "example.org", client.WaiveRequest{Server: server, Until: time.Now().Add(time.Hour), Reason: "x"})
	}
	for _, server := range []string{"ns1.example.org", "NS1.example.org.", "ns1.example.org (192.0.2.1:53)", "192.0.2.9:53"} {
		must(t, waive(server))
	}
	err = waive("ns1.typo")
	wantCode(t, err, fault.NotFound)
	if _, hint := fault.Show(err); hint != "seen: 192.0.2.9:53, ns1.example.org" {
		t.Errorf("hint %q", hint)
	}
	wantCode(t, waive("ns1.example.org (192.0.2.2:53)"), fault.NotFound)

	must(t, c.Approve(t.Context(), "example.net", "web-2611abcd", "activate"))
	b.journalled(t, "approve", "operator-ann")
	wantCode(t, c.Approve(t.Context(), "example.net", "web-2611abcd", "remove"), fault.Invalid) // does not wait for anybody
	wantCode(t, c.Approve(t.Context(), "example.net", "nobody", "activate"), fault.NotFound)
}

func TestServersAndSigners(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	servers, err := c.Servers(t.Context())
	must(t, err)
	if len(servers.Servers) != 4 || servers.Servers[0].Name != "mx1" || servers.Servers[0].State != "new" {
		t.Errorf("servers %+v", servers.Servers)
	}
	must(t, c.Decommission(t.Context(), "mx2", "it burnt"))
	b.journalled(t, "decommission", "admin-ann")
	s, err := c.Server(t.Context(), "mx2")
	must(t, err)
	if s.State != "decommissioned" || s.DecommissionedBy != "admin-ann" {
		t.Errorf("mx2 is %+v", s)
	}
	_, err = c.AddJoinToken(t.Context(), client.JoinTokenRequest{Server: "mx2"})
	wantCode(t, err, fault.Denied)
	pool, err := c.Pool(t.Context(), "web")
	must(t, err)
	if strings.Join(pool.Members, " ") != "web1 web2" || strings.Join(pool.Domains, " ") != "example.net" {
		t.Errorf("pool %+v", pool)
	}
	service, err := c.Service(t.Context(), "sendgrid")
	must(t, err)
	if service.Signer.Service != "sendgrid" || strings.Join(service.Domains, " ") != "example.org" {
		t.Errorf("service %+v", service)
	}
	_, err = c.Service(t.Context(), "web")
	wantCode(t, err, fault.NotFound)
}

func TestJoinTokensAndUsers(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	token, err := c.AddJoinToken(t.Context(), client.JoinTokenRequest{Server: "mx1", Seconds: 600, Network: "192.0.2.1"})
	must(t, err)
	if !strings.HasPrefix(token.Token, "psj1.") || token.Network != "192.0.2.1/32" || token.Expires.Sub(token.Created) != 10*time.Minute {
		t.Errorf("token %+v", token)
	}
	must(t, c.RevokeJoinToken(t.Context(), token.ID))
	wantCode(t, c.RevokeJoinToken(t.Context(), "jt_nobody"), fault.NotFound)
	all, err := c.JoinTokens(t.Context())
	must(t, err)
	if len(all.Tokens) != 1 || all.Tokens[0].State != "revoked" {
		t.Errorf("tokens %+v", all.Tokens)
	}

	_, err = c.AddUser(t.Context(), client.UserRequest{Name: "bob", Role: "operator"})
	must(t, err)
	mine, err := c.AddAccessToken(t.Context(), "bob", client.AccessTokenRequest{Note: "script", Seconds: 3600})
	must(t, err)
	bob := b.as(t, mine.Token)
	must(t, bob.CheckNow(t.Context(), "example.org"))
	must(t, c.RevokeAccessToken(t.Context(), mine.ID))
	wantCode(t, bob.CheckNow(t.Context(), "example.org"), fault.Unauthenticated)
	tokens, err := c.AccessTokens(t.Context(), "bob")
	must(t, err)
	if len(tokens.Tokens) != 1 || tokens.Tokens[0].Revoked.IsZero() {
		t.Errorf("tokens %+v", tokens.Tokens)
	}
	must(t, c.DisableUser(t.Context(), "bob"))
	users, err := c.Users(t.Context())
	must(t, err)
	if len(users.Users) != 4 {
		t.Errorf("users %+v", users.Users)
	}
}
