package store

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/journal"
)

var peopleCases = map[string]func(*testing.T, *database){
	"a join token is used once":             testJoinToken,
	"a new certificate retires the old one": testCertificates,
	"users and their tokens":                testUsers,
}

func testJoinToken(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	now := get[time.Time](t)(s.Now(ctx))
	token := fleet.JoinToken{ID: "jt_1", SecretHash: []byte{1, 2, 0xff}, ServerID: "srv_1", Server: "mx1", MaxUses: 1, Network: netip.MustParsePrefix("192.0.2.0/24"),
		Created: now, CreatedBy: "ann", Expires: now.Add(time.Hour)}
	must(t, s.AddJoinToken(ctx, token, event("one")))
	if got := get[fleet.JoinToken](t)(s.JoinToken(ctx, "jt_1")); !reflect.DeepEqual(got, token) {
		t.Errorf("wrote %+v, read %+v", token, got)
	}
	for what, err := range map[string]error{
		"the same id": s.AddJoinToken(ctx, token, event("again")),
	} {
		if fault.CodeOf(err) != fault.Conflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	unknown := token
	unknown.ID, unknown.ServerID = "jt_2", "srv_9"
	if err := s.AddJoinToken(ctx, unknown, event("unknown")); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown server: %v", err)
	}
	// Of several agents that come at once with one token, one is enrolled.
	results := make(chan error)
	for i := range 4 {
		id := fleet.Identity{Serial: string(rune('a' + i)), ServerID: "srv_1", KeyHash: []byte{byte(i + 1)}, Certificate: []byte{0, byte(i)}, TokenID: "jt_1", Issued: now, NotAfter: now.Add(time.Hour)}
		go func() { results <- s.Enrol(ctx, "jt_1", 0, id, event("join "+id.Serial)) }()
	}
	won := 0
	for range 4 {
		switch err := <-results; {
		case err == nil:
			won++
		case fault.CodeOf(err) != fault.Conflict:
			t.Error(err)
		}
	}
	used := get[fleet.JoinToken](t)(s.JoinToken(ctx, "jt_1"))
	if won != 1 || used.Uses != 1 || used.UsedAt.IsZero() || len(used.UsedKey) != 1 {
		t.Errorf("%d enrolled: %+v", won, used)
	}
	id := get[fleet.Identity](t)(s.IdentityByKey(ctx, "srv_1", used.UsedKey))
	if id.TokenID != "jt_1" || !bytes.Equal(id.KeyHash, used.UsedKey) || len(id.Certificate) != 2 {
		t.Errorf("%+v", id)
	}
	must(t, s.RevokeJoinToken(ctx, "jt_1", event("revoke")))
	revoked := get[[]fleet.JoinToken](t)(s.JoinTokens(ctx))[0].Revoked
	db.later(t, s, time.Minute)
	must(t, s.RevokeJoinToken(ctx, "jt_1", event("revoke")))
	if again := get[fleet.JoinToken](t)(s.JoinToken(ctx, "jt_1")).Revoked; revoked.IsZero() || !again.Equal(revoked) {
		t.Errorf("revoked at %s, then at %s", revoked, again)
	}
	if err := s.RevokeJoinToken(ctx, "jt_9", event("revoke")); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
	if _, err := s.JoinToken(ctx, "jt_9"); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
	n := 0
	for _, e := range get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 100})) {
		if e.Why == "revoke" || e.Why == "again" || e.Why == "unknown" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d entries about what happened once", n)
	}
}

func testCertificates(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	issue := func(serial, server string) {
		t.Helper()
		db.later(t, s, time.Second)
		now := get[time.Time](t)(s.Now(ctx))
		must(t, s.AddIdentity(ctx, fleet.Identity{Serial: serial, ServerID: server, KeyHash: []byte(serial), Issued: now, NotAfter: now.Add(24 * time.Hour)}, event(serial)))
	}
	refused := func(serial string) time.Time {
		t.Helper()
		return get[fleet.Identity](t)(s.Identity(ctx, serial)).RefusedFrom
	}
	issue("aa", "srv_1")
	issue("bb", "srv_1")
	issue("cc", "srv_1")
	issue("dd", "srv_2")
	const grace = 10 * time.Minute
	must(t, s.FirstUse(ctx, "bb", grace))
	now := get[time.Time](t)(s.Now(ctx))
	end := refused("aa")
	if end.Before(now) || !refused("bb").IsZero() || !refused("cc").IsZero() || !refused("dd").IsZero() {
		t.Errorf("refused from %s, %s, %s, %s", end, refused("bb"), refused("cc"), refused("dd"))
	}
	db.later(t, s, time.Minute)
	must(t, s.FirstUse(ctx, "bb", grace))
	must(t, s.FirstUse(ctx, "cc", grace))
	if !refused("aa").Equal(end) || refused("bb").IsZero() {
		t.Errorf("refused from %s, %s", refused("aa"), refused("bb"))
	}
	agent := get[[]Agent](t)(s.Agents(ctx))[0]
	if !agent.Joined.IsZero() || !agent.CertificateEnds.Equal(get[fleet.Identity](t)(s.Identity(ctx, "cc")).NotAfter) {
		t.Errorf("agent: %+v", agent)
	}
	// Joining again ends them all at once.
	must(t, s.AddJoinToken(ctx, fleet.JoinToken{ID: "jt_1", ServerID: "srv_1", MaxUses: 1}, event("token")))
	db.later(t, s, time.Second)
	now = get[time.Time](t)(s.Now(ctx))
	must(t, s.Enrol(ctx, "jt_1", 0, fleet.Identity{Serial: "ee", ServerID: "srv_1", TokenID: "jt_1", Issued: now, NotAfter: now.Add(time.Hour)}, event("join")))
	for _, serial := range []string{"aa", "bb", "cc"} {
		if from := refused(serial); from.IsZero() || from.After(get[time.Time](t)(s.Now(ctx))) {
			t.Errorf("%s is refused from %s", serial, from)
		}
	}
	if agent := get[[]Agent](t)(s.Agents(ctx))[0]; agent.Joined.IsZero() || !refused("ee").IsZero() || !refused("dd").IsZero() {
		t.Errorf("agent: %+v", agent)
	}
	for what, err := range map[string]error{"use": s.FirstUse(ctx, "ff", grace), "add": s.AddIdentity(ctx, fleet.Identity{Serial: "ff", ServerID: "srv_9"}, event("x"))} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.Identity(ctx, "ff"); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
	if err := s.AddIdentity(ctx, fleet.Identity{Serial: "aa", ServerID: "srv_2"}, event("x")); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a serial twice: %v", err)
	}
}

func testUsers(t *testing.T, db *database) {
	s := db.open(t)
	ctx := t.Context()
	now := get[time.Time](t)(s.Now(ctx))
	ann := access.User{Name: "ann", Role: access.Admin, Created: now, CreatedBy: "serve", Labels: []string{"eu"}}
	must(t, s.SaveUser(ctx, ann, 0, event("add")))
	if err := s.SaveUser(ctx, ann, 0, event("add")); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a name twice: %v", err)
	}
	ann.Role, ann.Disabled, ann.CreatedBy = access.Viewer, now, "eve"
	if err := s.SaveUser(ctx, ann, 7, event("change")); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("an old revision: %v", err)
	}
	must(t, s.SaveUser(ctx, ann, 1, event("change")))
	must(t, s.SaveUser(ctx, access.User{Name: "Bob", Role: access.Operator, Created: now}, 0, event("add")))
	users := get[[]access.User](t)(s.Users(ctx))
	ann.Revision, ann.CreatedBy = 2, "serve"
	if len(users) != 2 || users[0].Name != "Bob" || !reflect.DeepEqual(users[1], ann) {
		t.Errorf("users: %+v", users)
	}

	token := access.Token{ID: "tk_1", User: "ann", Note: "laptop", SecretHash: []byte{0, 1, 254}, Created: now, CreatedBy: "ann", Expires: now.Add(time.Hour)}
	must(t, s.AddToken(ctx, token, event("token")))
	got, owner, err := s.Credential(ctx, "tk_1")
	must(t, err)
	if !reflect.DeepEqual(got, token) || owner.Name != "ann" || !slices.Equal(owner.Labels, ann.Labels) {
		t.Errorf("%+v of %+v", got, owner)
	}
	must(t, s.TouchToken(ctx, "tk_1", now.Add(time.Minute)))
	must(t, s.TouchToken(ctx, "tk_1", now))
	must(t, s.RevokeToken(ctx, "tk_1", event("revoke")))
	must(t, s.RevokeToken(ctx, "tk_1", event("revoke")))
	must(t, s.AddToken(ctx, access.Token{ID: "tk_2", User: "Bob", Created: now.Add(time.Second)}, event("token")))
	all := get[[]access.Token](t)(s.AccessTokens(ctx, ""))
	if len(all) != 2 || all[0].ID != "tk_2" || !all[1].LastUsed.Equal(now.Add(time.Minute)) || all[1].Revoked.IsZero() {
		t.Errorf("tokens: %+v", all)
	}
	if mine := get[[]access.Token](t)(s.AccessTokens(ctx, "Bob")); len(mine) != 1 {
		t.Errorf("tokens: %+v", mine)
	}
	_, _, missing := s.Credential(ctx, "tk_9")
	for what, err := range map[string]error{
		"credential": missing, "revoke": s.RevokeToken(ctx, "tk_9", event("x")), "add": s.AddToken(ctx, access.Token{ID: "tk_3", User: "eve"}, event("x")),
	} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
}
