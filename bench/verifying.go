package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// authServer is the name under which the verifiers give their results; rspamd takes the machine's own.
const authServer = "mx.receive.example"

// allChecks is our agent once more, with everything that it does to incoming mail; the line beside the others is DKIM only, as theirs are.
const allChecks = oursMilter + " with SPF and DMARC"

// verifiedPerRound is how many messages one round sends.
var verifiedPerRound = map[string]int{"2 KiB": 1600, "50 KiB": 1000, "1 MiB base64": 200}

// compareVerifying starts the milters that verify, with a resolver that all of them share, and lets them take turns.
func compareVerifying(ctx context.Context, dir string, t tools, rounds int, limit time.Duration) (milterResult, error) {
	c := &contest{client: foreignClient, counts: verifiedPerRound}
	defer func() { c.stopAll() }()
	msgs, err := milterMessages(dir)
	if err != nil {
		return c.result, err
	}
	key, err := makeKey(dir)
	if err != nil {
		return c.result, err
	}
	for i, m := range msgs {
		if msgs[i], err = signedBy(goMsgauth{key.private, key.record}, m); err != nil {
			return c.result, err
		}
	}
	names, err := startNameServer(map[string]string{
		selector + "._domainkey." + domain: key.record, domain: "v=spf1 ip4:" + foreignClient + " -all", "_dmarc." + domain: "v=DMARC1; p=none",
	})
	if err != nil {
		c.result.Missing = append(c.result.Missing, err.Error())
		return c.result, nil
	}
	defer func() { _ = names.stop() }()
	us, err := startVerifyingPostseal(ctx, dir, t.postseal, oursMilter, false)
	c.enter(oursMilter, us, err)
	us, err = startVerifyingPostseal(ctx, dir, t.postseal, allChecks, true)
	c.enter(allChecks, us, err)
	for _, p := range rivals() {
		s, err := p.start(ctx, dir, milterSetup{resolver: resolverAddress, rspamdCache: t.rspamdCache})
		c.enter(p.name, s, err)
	}
	c.judge = func(s *milterServer, _ *message, answers [][]field) error {
		for i, inserted := range answers {
			if err := verdict(inserted, "pass", s.also); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		return nil
	}
	for _, s := range c.servers {
		if err := s.detects(ctx, msgs); err != nil {
			c.drop(s, err)
		}
	}
	c.run(ctx, msgs, rounds, limit)
	return c.result, nil
}

// signedBy is a message with a signature at its top.
func signedBy(p peer, m *message) (*message, error) {
	made, _, err := p.sign(m, 1)
	if err != nil {
		return nil, err
	}
	signature := strings.TrimSuffix(string(made[0]), "\r\n")
	return newMessage(m.name, m.domain, append([]string{signature}, m.header...), m.body), nil
}

// detects makes sure that a verifier looks at all of the body: with one octet of it changed each message has to fail.
func (m *milterServer) detects(ctx context.Context, msgs []*message) error {
	for _, whole := range msgs {
		body := bytes.Clone(whole.body)
		body[len(body)-3] ^= 1
		answers, _, err := m.pass(ctx, foreignClient, []*message{newMessage(whole.name, whole.domain, whole.header, body)}, 1)
		if err == nil {
			err = verdict(answers[0], "fail", nil)
		}
		if err != nil {
			return fmt.Errorf("%s with one octet of the body changed: %w", whole.name, err)
		}
	}
	return nil
}

// awaitAnswers waits until the milter lets a message through.
func (m *milterServer) awaitAnswers(ctx context.Context) error {
	probe := newMessage("probe", domain, headerFields, []byte("probe\r\n"))
	return m.await(ctx, "answers", func() bool {
		_, _, err := m.pass(ctx, foreignClient, []*message{probe}, 1)
		return err == nil
	})
}

// verdict makes sure that one Authentication-Results field was inserted, that it has exactly one result for DKIM, which is the one wanted, for our
// domain, and that it has the other results too.
func verdict(inserted []field, want string, also []string) error {
	var results []string
	for _, f := range inserted {
		if strings.EqualFold(f.name, "Authentication-Results") {
			results = append(results, f.value)
		}
	}
	if len(results) != 1 {
		return fmt.Errorf("%d Authentication-Results instead of one", len(results))
	}
	found := map[string]int{}
	for result := range strings.SplitSeq(withoutComments(results[0]), ";") {
		words := strings.Fields(strings.ToLower(result))
		if len(words) == 0 {
			continue
		}
		found[words[0]]++
		if strings.HasPrefix(words[0], "dkim=") {
			found["dkim"]++
			for _, w := range words[1:] {
				found[w]++
			}
		}
	}
	if found["dkim"] != 1 || found["dkim="+want] != 1 || found["header.d="+domain] != 1 {
		return fmt.Errorf("not dkim=%s for %s: %q", want, domain, results[0])
	}
	for _, a := range also {
		if found[a] != 1 {
			return fmt.Errorf("not %s: %q", a, results[0])
		}
	}
	return nil
}

// withoutComments drops comments and quoted strings, in which a semicolon ends nothing.
func withoutComments(value string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for _, c := range value {
		switch {
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// startVerifyingPostseal starts an agent that verifies; with all, SPF and DMARC too. It signs nothing for the client that sends here.
func startVerifyingPostseal(ctx context.Context, dir, binary, name string, all bool) (*milterServer, error) {
	dir, err := os.MkdirTemp(dir, "postseal-verify-")
	if err != nil {
		return nil, err
	}
	m := &milterServer{name: name, socket: filepath.Join(dir, "agent.sock")}
	if all {
		m.also = []string{"spf=pass", "dmarc=pass"}
	}
	keys, err := makeKeys(dir, 1)
	if err != nil {
		return nil, err
	}
	more := fmt.Sprintf("verify: {authserv_id: %s, spf: %t, dmarc: %t}\n", authServer, all, all)
	config, err := writeAgent(dir, agentSetup{socket: m.socket, keys: keys, listener: "sign: auto, verify: true", resolver: net.JoinHostPort(resolverAddress, "53"), more: more})
	if err != nil {
		return nil, err
	}
	if m.program, err = startProgram(ctx, binary, "agent", "run", "--config", config); err != nil {
		return nil, err
	}
	if _, err := m.ready(ctx, milterSetup{}); err != nil {
		if strings.Contains(err.Error(), `unknown field "verify"`) {
			err = errors.New("the agent of this version does not verify")
		}
		return nil, err
	}
	return m, nil
}
