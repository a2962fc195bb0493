package agent

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
)

// What a real Postfix tells of its sessions is what rules look at: logins, envelope senders, header fields, macros of its own
// configuration; and it takes out the field that names the stream before it sends the message on.
func TestPostfixFollowsRules(t *testing.T) {
	need(t, "python3-dkim", exec.Command("/usr/bin/python3", "-c", "import dkim").Run() == nil)
	r := rulesRig(t, `
mismatch: {envelope: reject}
stream: {header: X-Stream, macro: "{stream}"}
logins:
  otherwise: reject
  map: {"*@example.org": [example.org, lists.example.org, operator.example], "eve@customer.example": customer.example}
rules:
  - {match: {header: {List-Id: "*<*.lists.example.org>*"}}, domain: lists.example.org}
  - {match: {login: "boss@example.org"}, also: [operator.example]}
  - {match: {macro: {"{app}": "cron"}}, also: [operator.example]}
`)
	simple := agentapi.Signing{Canonicalization: "simple/simple", ExpireSeconds: 30 * 86400}
	r.put(agentapi.Assignment{Domain: "example.org", Subdomains: true, Signing: simple, Keys: []agentapi.Key{rsaKey("k-rsa", "main-r"), edKey("k-ed", "main-e")}})
	r.put(agentapi.Assignment{Domain: "example.org", Stream: "marketing", Signing: simple, Keys: []agentapi.Key{edKey("m", "news")}})
	r.put(agentapi.Assignment{Domain: "lists.example.org", Keys: []agentapi.Key{edKey("l", "list")}})
	r.put(agentapi.Assignment{Domain: "operator.example", Keys: []agentapi.Key{edKey("o", "op")}})
	s := startSink(t)
	outbound, auto := "inet:"+r.agent.Addrs()[0].String(), "inet:"+r.agent.Addrs()[1].String()
	p := startPostfix(t, outbound, auto, s.addr, "milter_macro_defaults = stream=marketing, app=cron")
	head := func(from string) string { return strings.Replace(postfixHead, "ann@example.org", from, 1) }
	for _, c := range []struct {
		name, login, sender, header string
		want                        string // selectors that pass, or the reply
	}{
		{"macro", "ann@example.org", "ann@example.org", postfixHead, "news op"},
		{"two fields", "ann@example.org", "ann@example.org", postfixHead + "X-Stream: default\r\nX-Folded: a\r\n\t b \r\nX-Stream: default\r\n", "main-r main-e op"},
		{"one field", "ann@example.org", "b@bounce.example.org", "X-Stream: default\r\n" + postfixHead, "main-r main-e op"},
		{"folded", "ann@example.org", "ann@example.org", postfixHead + "X-Stream:\r\n default\r\nCc: a@example.net,\r\n\tb@example.net\r\n", "main-r main-e op"},
		{"list", "ann@example.org", "talk@lists.example.org", head("eve@elsewhere.example") + "List-Id: Talk\r\n <talk.lists.example.org>\r\n", "list"},
		{"operator", "boss@example.org", "boss@example.org", head("boss@example.org") + "X-Stream: default\r\n", "main-r main-e op"},
		{"no sender", "ann@example.org", "", postfixHead + "X-Stream: default\r\n", "main-r main-e op"},
		{"another sender", "ann@example.org", "eve@customer.example", postfixHead, "550 5.7.1 The domain in From (example.org)"},
		{"another login", "eve@customer.example", "ann@example.org", postfixHead, "550 5.7.1 This login may not"},
		{"not theirs", "eve@customer.example", "eve@customer.example", head("eve@customer.example"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			reply := smtpSendAs(t, p.submission, c.login, c.sender, caseText(c.name, c.header, "hello  \r\n\r\n"))
			if strings.HasPrefix(c.want, "5") {
				if !strings.HasPrefix(reply, c.want) {
					t.Errorf("the reply is %q", reply)
				}
				return
			}
			if !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			raw := s.await(t, c.name)
			if got := strings.Join(r.verified(raw), " "); got != c.want {
				t.Errorf("signatures of %q pass\n%s", got, raw)
			}
			if c.want != "" && !dkimpy(t, raw, r.dns.txt) {
				t.Errorf("dkimpy does not accept it\n%s", raw)
			}
			if strings.Contains(raw, "X-Stream") {
				t.Errorf("the field that names the stream was sent on:\n%s", raw)
			}
		})
	}
	r.t = t
	r.wantNote(NoteStreamUnknown, 2) // two fields, and a list without that stream
	r.wantNote(NoteStreamKept, 0)
}
