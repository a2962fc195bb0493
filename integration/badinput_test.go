package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// TestBadInput: strangers, stolen identities and mistakes in files get a clear no, change nothing, and mail goes on.
func TestBadInput(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	c := o.api()
	short := filepath.Join(o.dir, "short.token")
	o.postseal("token", "add", "--server", "mx1", "--life", "1m", "--out", short)
	expires := time.Now().Add(time.Minute)
	selectors := []string{activeKey(t, c, zone, "mx1"), activeKey(t, c, zone, "mx2")}
	mail := startTraffic(t, 250*time.Millisecond, o.servers...)

	var waited string
	t.Run("tokens", func(t *testing.T) { badTokens(o.in(t)) })
	t.Run("another server's keys", func(t *testing.T) { foreignKeys(o.in(t), selectors[1]) })
	t.Run("an identity that was replaced", func(t *testing.T) { replacedIdentity(o.in(t)) })
	t.Run("fleet files", func(t *testing.T) { badFleets(o.in(t)) })
	t.Run("starts", func(t *testing.T) { badStarts(o.in(t)) })
	t.Run("hostile milter peers", func(t *testing.T) { hostilePeers(o.in(t)) })
	t.Run("mail without a key", func(t *testing.T) { waited = noKey(o.in(t)) })
	t.Run("an expired token", func(t *testing.T) {
		eventually(t, "the token expires", func() bool { return time.Now().After(expires) })
		before := lastEntry(t, c)
		o.in(t).stranger("late", short, "expired at", "postseal token add --server mx1")
		nothingJoined(t, c, before)
	})

	o.settle(mail)
	for name, want := range map[string][]string{"mx1": {selectors[0], waited}, "mx2": {selectors[1]}} {
		if got := o.sink.selectors(name); !slices.Equal(got, want) {
			t.Errorf("%s signed with %v, expected %v", name, got, want)
		}
	}
	t.Run("a signer that the file no longer names", func(t *testing.T) { removedSigner(o.in(t), selectors[1]) })
}

// stranger tries to join from a machine of its own and has to be refused in these words; nothing of an identity may be left.
func (o *organisation) stranger(name, tokenFile string, words ...string) {
	o.t.Helper()
	config := o.machine(name)
	refused(o.t, []string{"agent", "join", "https://" + o.listen, "--config", config, "--token-file", tokenFile}, words...)
	if _, err := os.Stat(filepath.Join(o.dir, name+".state", "identity.json")); err == nil {
		o.t.Errorf("%s has an identity although it was refused", name)
	}
	refused(o.t, []string{"agent", "run", "--config", config}, "has not joined", "postseal agent join")
}

// machine writes the configuration of an agent that has not joined.
func (o *organisation) machine(name string) string {
	return o.file(name+".agent.yaml", fmt.Sprintf("state_directory: %s\nsealing_key: {file: %s}\nlisteners:\n  - {address: \"inet:127.0.0.1:%s\", sign: outbound}\nresolver: [%q]\n",
		filepath.Join(o.dir, name+".state"), filepath.Join(o.dir, name+".sealing-key"), freePort(o.t, "127.0.0.1"), o.bind.resolver()))
}

// secret writes a token file as it should be.
func (o *organisation) secret(name, token string) string {
	path := o.file(name, token+"\n")
	if err := os.Chmod(path, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func nothingJoined(t *testing.T, c *client.Client, after int64) {
	t.Helper()
	for _, e := range journal(t, c, after) {
		if e.Step == "join" {
			t.Errorf("the journal has a join: %s", e.Why)
		}
	}
}

// badTokens: wrong, reused, withdrawn and misplaced join tokens.
func badTokens(o *organisation) {
	c := o.api()
	before := lastEntry(o.t, c)
	used, err := os.ReadFile(filepath.Join(o.dir, "mx1.token"))
	if err != nil {
		o.t.Fatal(err)
	}
	parts := strings.Split(strings.TrimSpace(string(used)), ".")
	token := func(id, secret, pin string) string { return strings.Join([]string{"psj1", id, secret, pin}, ".") }
	otherSecret, otherPin := strings.Repeat("A", len(parts[2])), strings.Repeat("ab", 32)
	fresh, err := c.AddJoinToken(context.Background(), client.JoinTokenRequest{Server: "mx1"})
	if err != nil {
		o.t.Fatal(err)
	}
	elsewhere, err := c.AddJoinToken(context.Background(), client.JoinTokenRequest{Server: "mx1", Network: "192.0.2.0/24"})
	if err != nil {
		o.t.Fatal(err)
	}
	withdrawn, err := c.AddJoinToken(context.Background(), client.JoinTokenRequest{Server: "mx1"})
	if err != nil {
		o.t.Fatal(err)
	}
	o.postseal("token", "remove", withdrawn.ID)
	freshSecret := strings.Split(fresh.Token, ".")[2]
	for name, x := range map[string]struct {
		token string
		words []string
	}{
		"no-token":   {"psj1.only", []string{"the join token has not the form psj1.id.secret.pin", "copy the whole token"}},
		"unknown":    {token("jt_unknown", parts[2], parts[3]), []string{"the join token is not known here", "postseal token add --server NAME"}},
		"secret":     {token(fresh.ID, otherSecret, parts[3]), []string{"the join token is not known here", "postseal token add --server NAME"}},
		"other-pin":  {token(fresh.ID, freshSecret, otherPin), []string{"is not the control plane that made the token", "authority pinned in the token"}},
		"reused":     {strings.TrimSpace(string(used)), []string{"was used at", "by another identity key", "postseal token add --server mx1"}},
		"withdrawn":  {withdrawn.Token, []string{"was withdrawn at", "postseal token add --server mx1"}},
		"wrong-net":  {elsewhere.Token, []string{"may only be used from 192.0.2.0/24, not from 127.0.0.1"}},
		"empty-file": {"", []string{"the join token is empty"}},
	} {
		o.stranger("stranger-"+name, o.secret(name+".token", x.token), x.words...)
	}
	o.refused([]string{"token", "add", "--server", "mx9"}, "mx9")
	o.refused([]string{"token", "add", "--server", "google-workspace"}, "google-workspace")
	o.refused([]string{"token", "add", "--server", "mx1", "--life", "5s"}, "a join token lives between a minute and")
	open := filepath.Join(o.dir, "open.token")
	write(o.t, open, fresh.Token)
	refused(o.t, []string{"agent", "join", "https://" + o.listen, "--config", o.machine("careless"), "--token-file", open}, "open.token has mode 0644", "make a new token")

	nothingJoined(o.t, c, before)
	states := map[string]string{}
	all, err := c.JoinTokens(context.Background())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, t := range all.Tokens {
		states[t.ID] = t.State
	}
	for id, want := range map[string]string{fresh.ID: "open", elsewhere.ID: "open", withdrawn.ID: "revoked", parts[1]: "used"} {
		if states[id] != want {
			o.t.Errorf("the token %s is %s after all that, expected %s", id, states[id], want)
		}
	}
	if text := fmt.Sprint(all) + o.serve.out.String(); strings.Contains(text, freshSecret) || strings.Contains(text, parts[2]) {
		o.t.Error("a token's secret stands in the list of tokens or in the log")
	}

	// The machine that joined may ask again: its answer may have been lost.
	if out := run(o.t, binary, "agent", "join", "https://"+o.listen, "--config", o.agentConfigs["mx1"], "--token-file", filepath.Join(o.dir, "mx1.token")); !strings.Contains(out, "joined as mx1") {
		o.t.Errorf("the same machine with the same token: %q", out)
	}
	nothingJoined(o.t, c, before)
}

// codeOf is the code of a refusal; "" when there was none.
func codeOf(err error) fault.Code {
	if err == nil {
		return ""
	}
	return fault.CodeOf(err)
}
