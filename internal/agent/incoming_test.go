package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	milter "github.com/d--j/go-milter"

	"github.com/postseal/postseal/internal/authres"
)

// verifyingRig is an agent that signs for example.org, and verifies what is not ours on its second listener.
func verifyingRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := signingRig(t, func(c *Config) {
		c.Listeners[1].Verify = true
		c.Verify.AuthservID = "MX1.example.org"
		if change != nil {
			change(c)
		}
	})
	r.dns.set("example.org", "v=spf1 ip4:203.0.113.0/24 -all")
	r.dns.set("_dmarc.example.org", "v=DMARC1; p=reject; rua=mailto:d@example.org")
	return r
}

// stranger is a client that is none of ours, on the listener that verifies.
func (r *rig) stranger(o mtaOptions) *mta {
	r.t.Helper()
	if o.client == "" {
		o.client = "203.0.113.9"
	}
	return dialMTA(r.t, r.agent, 1, o)
}

// signedMail is a message as example.org sends it.
func (r *rig) signedMail(text string) mail {
	r.t.Helper()
	raw := dialMTA(r.t, r.agent, 0, mtaOptions{}).send(simpleMail("ann@example.org", text), 0).raw
	return parseMail(raw)
}

// parseMail takes a message apart; lines that are no fields stay with the field before.
func parseMail(raw string) (m mail) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if len(m.header) > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			m.header[len(m.header)-1] += "\r\n" + line
		} else {
			m.header = append(m.header, line)
		}
	}
	m.body = body
	return m
}

// result is the verdict that stands on top of a message, nil when there is none.
func verdictOf(t testing.TB, raw string) *authres.Field {
	t.Helper()
	top := parseMail(raw).header[0]
	name, value, _ := strings.Cut(top, ":")
	if name != authres.Name {
		return nil
	}
	f, err := authres.Parse(value)
	if err != nil {
		t.Fatalf("%q: %v", top, err)
	}
	return &f
}

// summary is "dkim=pass spf=pass dmarc=pass".
func summary(f *authres.Field) string {
	if f == nil {
		return ""
	}
	var words []string
	for _, r := range f.Results {
		words = append(words, r.Method+"="+r.Value)
	}
	return strings.Join(words, " ")
}

func TestIncomingMailIsVerified(t *testing.T) {
	r := verifyingRig(t, nil)
	signed := r.signedMail("hello\r\n")
	m := r.stranger(mtaOptions{})
	for _, chunk := range []int{0, 1, 3, 6} {
		o := m.send(signed, chunk)
		f := verdictOf(t, o.raw)
		if f == nil || f.ID != "mx1.example.org" || summary(f) != "dkim=pass spf=pass dmarc=pass" {
			t.Fatalf("chunks of %d: %+v\n%s", chunk, f, o.raw)
		}
		d := f.Results[0]
		if d.Get("header", "d") != "example.org" || d.Get("header", "i") != "@example.org" || d.Get("header", "s") != "mx1" || d.Get("header", "a") != "ed25519-sha256" || len(d.Get("header", "b")) != 8 {
			t.Errorf("%+v", d)
		}
		if f.Results[1].Get("smtp", "mailfrom") != "sender@example.org" || f.Results[2].Get("header", "from") != "example.org" {
			t.Errorf("%+v", f)
		}
		if got := strings.TrimPrefix(o.raw, parseMail(o.raw).header[0]+"\r\n"); got != signed.raw() {
			t.Error("the message itself was changed")
		}
	}
	for name, c := range map[string]struct {
		change func(*mail)
		client string
		want   string
		reason string
	}{
		"body changed":        {func(m *mail) { m.body = "hallo\r\n" }, "", "dkim=fail spf=pass dmarc=pass", "body_hash_mismatch"},
		"subject changed":     {func(m *mail) { m.header[3] = "Subject: other" }, "", "dkim=fail spf=pass dmarc=pass", "signature_mismatch"},
		"from elsewhere":      {func(*mail) {}, "198.51.100.1", "dkim=pass spf=fail dmarc=pass", ""},
		"forged":              {func(m *mail) { m.header = m.header[1:] }, "198.51.100.1", "dkim=none spf=fail dmarc=fail", ""},
		"two authors' fields": {func(m *mail) { m.header = append(m.header, "From: eve@example.org") }, "", "dkim=fail spf=pass dmarc=permerror", "signature_mismatch"},
	} {
		msg := mail{append([]string(nil), signed.header...), signed.body}
		c.change(&msg)
		o := r.stranger(mtaOptions{client: c.client}).send(msg, 0)
		f := verdictOf(t, o.raw)
		if summary(f) != c.want || f.Results[0].Reason != c.reason {
			t.Errorf("%s: %s\n%s", name, summary(f), o.raw)
		}
	}
	if log := r.log.String(); !strings.Contains(log, "reason=signature_mismatch; From") {
		t.Errorf("the log does not say which field was added:\n%s", log)
	}
	if n := r.agent.Status().Verified; n["dkim/pass"] != 5 || n["dkim/fail/body_hash_mismatch"] != 1 || n["dmarc/fail/reject"] != 1 || n["spf/fail"] != 2 || n["action/accept"] != 9 {
		t.Errorf("counted %v", n)
	}
	if r.agent.slots.Load() != 0 {
		t.Error("a message is still under way")
	}
}

func TestForgedVerdictsAreRemoved(t *testing.T) {
	r := verifyingRig(t, func(c *Config) { c.Verify.Remove = []string{"old.example.org"} })
	msg := r.signedMail("hello\r\n")
	others := []string{"Authentication-Results: mx.example.net; dkim=pass", "Authentication-Results: notmx1.example.org; none"}
	msg.header = append([]string{
		"Authentication-Results: mx1.example.org; dkim=pass header.d=bank.example", others[0],
		"authentication-results: (hidden) \"MX1.example.org\" 1;\r\n\tdmarc=pass", others[1], "Authentication-Results: old.example.org; spf=pass", "X-Postseal-Tag: none",
	}, msg.header...)
	o := r.stranger(mtaOptions{}).send(msg, 0)
	var left []string
	for _, f := range parseMail(o.raw).header[1:] {
		if l := strings.ToLower(f); strings.HasPrefix(l, "authentication-results:") || strings.HasPrefix(l, "x-postseal-tag:") {
			left = append(left, f)
		}
	}
	if fmt.Sprint(left) != fmt.Sprint(others) {
		t.Errorf("left: %q", left)
	}
	if f := verdictOf(t, o.raw); summary(f) != "dkim=pass spf=pass dmarc=pass" {
		t.Errorf("%+v", f)
	}
	if n := r.agent.Status().Verified; n["field/forged_removed"] != 3 || n["field/tag_removed"] != 1 {
		t.Errorf("counted %v", n)
	}
	// An MTA that lets nothing be removed gets the verdict on top of the forged one.
	o = r.stranger(mtaOptions{options: []milter.Option{milter.WithActions(milter.OptAddHeader)}}).send(msg, 0)
	if f := verdictOf(t, o.raw); summary(f) != "dkim=pass spf=pass dmarc=pass" || !strings.HasSuffix(o.raw, msg.raw()) {
		t.Errorf("changed:\n%s", o.raw)
	}
	if n := r.agent.Status().Verified; n["field/forged_stays"] != 1 {
		t.Errorf("counted %v", n)
	}
	// With more than can be removed in reason the message is refused.
	flood := mail{slices.Repeat([]string{"Authentication-Results: mx1.example.org; dkim=pass"}, maxForged+1), ""}
	flood.header = append(flood.header, msg.header...)
	if o := r.stranger(mtaOptions{}).send(flood, 0); !strings.HasPrefix(o.status, "550 5.7.1 Too many") {
		t.Errorf("status %q", o.status)
	}
	// A field that cannot be looked at may be one of those that are counted: all go.
	huge := mail{append([]string{"Authentication-Results: mx1.example.org; " + strings.Repeat(strings.Repeat("x", 900)+"\r\n ", 300)}, msg.header...), msg.body}
	o = r.stranger(mtaOptions{}).send(huge, 0)
	for _, f := range parseMail(o.raw).header[1:] {
		if strings.HasPrefix(strings.ToLower(f), "authentication-results:") {
			t.Errorf("left: %.80q", f)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		name    string
		actions Actions
		options []milter.Option
		broken  bool
		want    func(outcome) bool
		count   string
	}{
		{name: "accept", want: func(o outcome) bool { return o.status == "" && !strings.Contains(o.raw, tagField) && o.held == "" }, count: "action/accept"},
		{name: "tag", actions: Actions{DKIM: map[string]string{"fail": "tag"}}, want: func(o outcome) bool {
			return strings.Contains(o.raw, "X-Postseal-Tag: dkim=fail reason=body_hash_mismatch\r\n") && strings.HasPrefix(o.raw, authres.Name)
		}, count: "action/tag"},
		{name: "quarantine", actions: Actions{DKIM: map[string]string{"fail": "quarantine"}}, want: func(o outcome) bool { return strings.Contains(o.held, "dkim=fail") && o.raw != "" }, count: "action/quarantine"},
		{name: "quarantine that the MTA has not", actions: Actions{DKIM: map[string]string{"fail": "quarantine"}}, options: []milter.Option{milter.WithActions(milter.OptAddHeader | milter.OptChangeHeader)},
			want: func(o outcome) bool { return strings.Contains(o.raw, "X-Postseal-Tag: dkim=fail") }, count: "action/tag"},
		{name: "reject", actions: Actions{DKIM: map[string]string{"fail": "reject"}}, want: func(o outcome) bool {
			return strings.HasPrefix(o.status, "550 5.7.20 ") && strings.Contains(o.status, "body_hash_mismatch")
		}, count: "action/reject"},
		{name: "tempfail", actions: Actions{DKIM: map[string]string{"temperror": "tempfail"}}, broken: true, want: func(o outcome) bool { return strings.HasPrefix(o.status, "451 4.7.20 ") }, count: "action/tempfail"},
		{name: "DMARC", actions: Actions{DMARC: map[string]string{"reject": "reject", "quarantine": "tag"}}, want: func(o outcome) bool { return strings.HasPrefix(o.status, "550 5.7.1 DMARC policy of example.org") }, count: "action/reject"},
		{name: "the strictest", actions: Actions{DKIM: map[string]string{"fail": "tag"}, SPF: map[string]string{"fail": "reject"}, DMARC: map[string]string{"reject": "quarantine"}},
			want: func(o outcome) bool { return strings.HasPrefix(o.status, "550 5.7.23 ") }, count: "action/reject"},
		{name: "DMARC that cannot be told", actions: Actions{DMARC: map[string]string{"temperror": "tempfail", "reject": "reject"}}, broken: true, want: func(o outcome) bool { return strings.HasPrefix(o.status, "451 4.7.1 ") }, count: "action/tempfail"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := verifyingRig(t, func(cfg *Config) { cfg.Verify.Actions = c.actions })
			msg := r.signedMail("hello\r\n")
			if r.dns.setBroken(c.broken); !c.broken {
				msg.body = "hallo\r\n"
			}
			m := r.stranger(mtaOptions{client: "198.51.100.1", options: c.options})
			if o := m.send(msg, 0); !c.want(o) {
				t.Errorf("status %q, held %q\n%s", o.status, o.held, o.raw)
			}
			if n := r.agent.Status().Verified; n[c.count] != 1 {
				t.Errorf("counted %v", n)
			}
		})
	}
}

// DNS trouble leaves DMARC open only where the answer would matter.
func TestTroubleOfOtherDomainsDoesNotHelpForgers(t *testing.T) {
	r := verifyingRig(t, func(c *Config) {
		c.Verify.Actions.DMARC = map[string]string{"reject": "reject", "temperror": "tempfail"}
	})
	r.dns.fail("s._domainkey.broken.example")
	r.dns.fail("s._domainkey.example.org")
	r.dns.fail("broken.example")
	signature := func(domain string) string {
		return "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + domain + "; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA"
	}
	m := r.stranger(mtaOptions{client: "198.51.100.1"})
	for _, c := range []struct{ domain, sender, want string }{
		{"broken.example", "eve@example.net", "550 5.7.1 DMARC"},
		{"broken.example", "eve@broken.example", "550 5.7.1 DMARC"}, // SPF is open too
		{"example.org", "eve@example.net", "451 4.7.1 "},
	} {
		m.sender = c.sender
		msg := simpleMail("ann@example.org", "hello\r\n")
		msg.header = append([]string{signature(c.domain)}, msg.header...)
		if o := m.send(msg, 0); !strings.HasPrefix(o.status, c.want) {
			t.Errorf("%+v: %q\n%s", c, o.status, o.raw)
		}
	}
}

func TestWhoIsVerified(t *testing.T) {
	no := false
	for _, c := range []struct {
		name     string
		listener int
		client   string
		auth     string
		change   func(*Config)
		want     string // DKIM-Signature, Authentication-Results or nothing
	}{
		{"stranger", 1, "203.0.113.9", "", nil, authres.Name},
		{"loopback", 1, "127.0.0.1", "", nil, authres.Name},
		{"ours", 1, "203.0.113.9", "ann", nil, "DKIM-Signature"},
		{"on the other listener", 0, "203.0.113.9", "", nil, "DKIM-Signature"},
		{"a network that is left alone", 1, "198.51.100.7", "", func(c *Config) { c.Verify.Skip.Networks = []string{"198.51.100.0/24"} }, ""},
		{"no verification here", 1, "203.0.113.9", "", func(c *Config) { c.Listeners[1].Verify = false }, ""},
		{"logins are verified too", 1, "203.0.113.9", "ann", func(c *Config) { c.Verify.Skip.Authenticated = &no }, "DKIM-Signature"},
	} {
		r := verifyingRig(t, c.change)
		o := dialMTA(t, r.agent, c.listener, mtaOptions{client: c.client, auth: c.auth}).send(simpleMail("ann@example.org", "hello\r\n"), 0)
		top, _, _ := strings.Cut(o.raw, ":")
		if c.want == "" {
			c.want = "From"
		}
		if top != c.want {
			t.Errorf("%s: %s", c.name, o.raw)
		}
	}
}

// Signed and verified mail take turns on one connection, with aborts in between.
func TestOursAndOthersOnOneConnection(t *testing.T) {
	r := verifyingRig(t, nil)
	signed := r.signedMail("hello\r\n")
	m := r.stranger(mtaOptions{})
	for i := range 6 {
		if i%2 == 0 {
			m.macros.Set(milter.MacroAuthAuthen, "ann")
			if o := m.send(simpleMail("ann@example.org", fmt.Sprint("message ", i, "\r\n")), 2); len(r.verified(o.raw)) != 1 || verdictOf(t, o.raw) != nil {
				t.Errorf("ours: %s", o.raw)
			}
			continue
		}
		m.macros.Set(milter.MacroAuthAuthen, "")
		for stage := range 3 { // begun and given up
			m.abandon("<eve@example.org>", stage, "DKIM-Signature: v=1; a=rsa-sha256; d=evil.example; s=x; h=from; bh=aaaa; b=bbbb")
		}
		if o := m.send(signed, 5); summary(verdictOf(t, o.raw)) != "dkim=pass spf=pass dmarc=pass" {
			t.Errorf("others': %s", o.raw)
		}
	}
}

func TestPoorMTAsAreVerifiedFor(t *testing.T) {
	for name, option := range map[string]milter.Option{
		"swallows the blank": milter.WithoutProtocol(milter.OptHeaderLeadingSpace),
		"wants replies":      milter.WithoutProtocol(milter.OptNoReplies | milter.OptSkip),
		"offers nothing":     milter.WithProtocols(0),
		"version 2":          milter.WithMaximumVersion(2),
	} {
		r := verifyingRig(t, nil)
		signed := r.signedMail("hello\r\n\r\nworld\r\n")
		options := []milter.Option{option}
		if name == "version 2" {
			options = append(options, milter.WithProtocols(milter.OptNoConnect|milter.OptNoHelo), milter.WithActions(milter.OptAddHeader|milter.OptChangeHeader))
		}
		m := r.stranger(mtaOptions{options: options})
		for range 2 {
			want := "dkim=pass spf=pass dmarc=pass"
			if f := verdictOf(t, m.send(signed, 3).raw); summary(f) != want {
				t.Errorf("%s: %s", name, summary(f))
			}
		}
	}
}

// What a stranger sends costs little, and is delivered.
func TestHostileIncomingMail(t *testing.T) {
	field := func(i int) string {
		return fmt.Sprintf("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d%d.example; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA", i)
	}
	for _, c := range []struct {
		name   string
		change func(*mail)
	}{
		{"900 signatures", func(m *mail) {
			for i := range 900 {
				m.header = append(m.header, field(i))
			}
		}},
		{"100,000 fields", func(m *mail) {
			for range 100_000 {
				m.header = append(m.header, "X: y")
			}
		}},
		{"a megabyte of one tag", func(m *mail) { m.header = append(m.header, "DKIM-Signature: v="+strings.Repeat("1", 200_000)) }},
		{"no header", func(m *mail) { m.header = []string{"X: y"} }},
		{"bare line ends and NUL", func(m *mail) { m.body = "a\rb\nc\x00\r\n" }},
		{"fields that are none", func(m *mail) { m.header = append(m.header, ": x", "A B: c") }},
		{"a field over the limit", func(m *mail) {
			m.header = append(m.header, "X: "+strings.Repeat(strings.Repeat("x", 900)+"\r\n ", 300))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := verifyingRig(t, nil)
			msg := simpleMail("ann@example.org", "hello\r\n")
			c.change(&msg)
			before := r.dns.count()
			o := r.stranger(mtaOptions{client: "198.51.100.1"}).send(msg, 0)
			if o.status != "" || verdictOf(t, o.raw) == nil {
				t.Errorf("%s: status %q", c.name, o.status)
			}
			if n := r.dns.count() - before; n > 40 {
				t.Errorf("%d questions were asked", n)
			}
			if len(parseMail(o.raw).header[0]) > 4<<10 {
				t.Error("the verdict is longer than a few lines")
			}
			if log := r.log.String(); strings.Contains(log, "panic") {
				t.Error(log)
			}
		})
	}
}

func TestLookUpsEndInTime(t *testing.T) {
	r := verifyingRig(t, func(c *Config) { c.Verify.Timeout = "1s" })
	signed := r.signedMail("hello\r\n")
	r.dns.stall()
	start := time.Now()
	o := r.stranger(mtaOptions{}).send(signed, 0)
	if f := verdictOf(t, o.raw); summary(f) != "dkim=temperror spf=temperror dmarc=temperror" || time.Since(start) > patience/2 {
		t.Errorf("after %s: %s\n%s", time.Since(start), summary(f), o.raw)
	}
}

func TestVerifySettingsThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"listeners: [{address: '127.0.0.1:0', sign: outbound, verify: true}]": "every message is ours",
		"verify: {actions: {dkim: {fail: bounce}}}":                           "is no action",
		"verify: {actions: {dkim: {pass: accept}}}":                           "is no result",
		"verify: {actions: {dmarc: {fail: reject}}}":                          "is no result",
		"verify: {authserv_id: 'a b'}":                                        "is not a name",
		"verify: {remove: ['']}":                                              "is not a name",
		"verify: {spf: false, dmarc: true}":                                   "dmarc needs spf",
		"verify: {timeout: 1h}":                                               "is not a time",
		"verify: {skip: {networks: [x]}}":                                     "is not an address",
	} {
		if _, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
