package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A stranger's mail through a real Postfix: forged verdicts are gone, ours is on top, and what the next hop gets still verifies.
func TestPostfixHasIncomingMailVerified(t *testing.T) {
	r := verifyingRig(t, func(c *Config) {
		c.Verify.Actions = Actions{DKIM: map[string]string{"fail": "tag"}, DMARC: map[string]string{"reject": "reject"}, SPF: map[string]string{"softfail": "quarantine"}}
	})
	r.dns.set("example.org", "v=spf1 ip4:127.0.0.0/8 -all")
	r.dns.set("soft.example", "v=spf1 ~all")
	s := startSink(t)
	outbound, auto := "inet:"+r.agent.Addrs()[0].String(), "inet:"+r.agent.Addrs()[1].String()
	p := startPostfix(t, outbound, auto, s.addr, "")
	forged := "Authentication-Results: mx1.example.org; dkim=pass header.d=bank.example\r\n"
	other := "Authentication-Results: mx.elsewhere.example; dkim=pass header.d=elsewhere.example\r\n"
	body := "one  two\r\n\r\n.\r\n..three\r\n\r\n"
	for _, c := range []struct {
		name   string
		sender string
		change func(string) string
		want   string // the verdict, or the reply
		tag    bool
	}{
		{"good", "ann@example.org", func(m string) string { return m }, "dkim=pass spf=pass dmarc=pass", false},
		{"null sender", "", func(m string) string { return m }, "dkim=pass spf=none dmarc=pass", false},
		{"forged verdicts", "ann@example.org", func(m string) string { return forged + other + forged + m + "" }, "dkim=pass spf=pass dmarc=pass", false},
		{"changed", "ann@example.org", func(m string) string { return strings.Replace(m, "one  two", "one two!", 1) }, "dkim=fail spf=pass dmarc=pass", true},
		{"spoofed", "eve@elsewhere.example", func(m string) string { return m[strings.Index(m, "\r\nFrom:")+2:] }, "550 5.7.1 DMARC policy of example.org", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			msg := simpleMail("ann@example.org", body)
			msg.header = append(msg.header, "X-Case: "+c.name)
			signed := dialMTA(t, r.agent, 0, mtaOptions{}).send(msg, 0).raw
			reply := smtpSendAs(t, p.public, "", c.sender, c.change(signed))
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
			if f := verdictOf(t, raw); summary(f) != c.want {
				t.Errorf("verdict %q, want %q\n%s", summary(f), c.want, raw)
			}
			if strings.Contains(raw, "bank.example") || strings.Contains(c.change(signed), other) && !strings.Contains(raw, other) {
				t.Errorf("the wrong fields are left:\n%s", raw)
			}
			if strings.Contains(raw, tagField+": dkim=fail reason=body_hash_mismatch") != c.tag {
				t.Errorf("tag:\n%s", raw)
			}
			if !c.tag && len(r.verified(raw)) != 1 {
				t.Errorf("the next hop cannot verify it any more\n%s", raw)
			}
		})
	}
	// Quarantine is Postfix's hold queue.
	r.t = t
	if reply := smtpSendAs(t, p.public, "", "eve@soft.example", strings.Join(simpleMail("eve@soft.example", "x\r\n").header, "\r\n")+"\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	await(t, "the message is on hold", func() bool {
		held, _ := filepath.Glob(filepath.Join(filepath.Dir(p.conf), "queue", "hold", "*"))
		return len(held) == 1
	})
}

// OpenDKIM's miltertest speaks as Sendmail's libmilter does; it shares no code with the other clients.
func TestMiltertest(t *testing.T) {
	need(t, "miltertest", haveProgram("miltertest"))
	r := verifyingRig(t, nil)
	signed := r.signedMail("hello\r\nworld\r\n")
	script := func(listener int, login string, msg mail, check string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "conn = mt.connect(\"inet:%s@127.0.0.1\")\nif conn == nil then error(\"connect\") end\n", portOf(r.agent.Addrs()[listener].String()))
		b.WriteString("function step(what, r) if r ~= nil then error(what .. \" failed\") end end\n")
		b.WriteString("function goon(what) if mt.getreply(conn) ~= SMFIR_CONTINUE then error(what .. \": not continued\") end end\n")
		b.WriteString("step(\"conninfo\", mt.conninfo(conn, \"client.example\", \"203.0.113.9\"))\n")
		if listener == 1 { // it ends without a word at what the filter has opted out of
			b.WriteString("step(\"helo\", mt.helo(conn, \"client.example\"))\n")
		}
		fmt.Fprintf(&b, "step(\"macro\", mt.macro(conn, SMFIC_MAIL, \"i\", \"Q1\", \"{auth_authen}\", %q))\n", login)
		b.WriteString("step(\"mail\", mt.mailfrom(conn, \"<ann@example.org>\"))\ngoon(\"mail\")\n")
		for _, f := range msg.header {
			name, value, _ := strings.Cut(f, ":")
			fmt.Fprintf(&b, "step(\"header\", mt.header(conn, %q, %s))\n", name, luaQuote(strings.ReplaceAll(strings.TrimPrefix(value, " "), "\r\n", "\n")))
		}
		b.WriteString("step(\"eoh\", mt.eoh(conn))\ngoon(\"eoh\")\n")
		for _, piece := range []string{msg.body[:6], msg.body[6:]} { // between CR and LF
			fmt.Fprintf(&b, "step(\"body\", mt.bodystring(conn, %s))\n", luaQuote(piece))
		}
		b.WriteString("step(\"eom\", mt.eom(conn))\nif mt.getreply(conn) ~= SMFIR_ACCEPT then error(\"not accepted\") end\n" + check + "\nmt.disconnect(conn)\n")
		return b.String()
	}
	for name, text := range map[string]string{
		"verified": script(1, "", signed, `v = mt.getheader(conn, "Authentication-Results", 0)
if v == nil or string.find(v, "dkim=pass", 1, true) == nil or string.find(v, "header.s=mx1", 1, true) == nil then error("verdict: " .. tostring(v)) end`),
		"signed": script(0, "", simpleMail("ann@example.org", "hello\r\nworld\r\n"), `v = mt.getheader(conn, "DKIM-Signature", 0)
if v == nil or string.find(v, "s=mx1", 1, true) == nil then error("signature: " .. tostring(v)) end`),
		"signed after login": script(1, "ann", simpleMail("ann@example.org", "hello\r\nworld\r\n"), `if mt.getheader(conn, "DKIM-Signature", 0) == nil then error("no signature") end
if mt.getheader(conn, "Authentication-Results", 0) ~= nil then error("a verdict on mail of ours") end`),
	} {
		file := filepath.Join(t.TempDir(), "script.lua")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("miltertest", "-v", "-s", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
		}
	}
	if n := r.agent.Status().Verified; n["dkim/pass"] != 1 {
		t.Errorf("counted %v", n)
	}
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// luaQuote writes a string of Lua.
func luaQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "\\%03d", c)
	}
	b.WriteByte('"')
	return b.String()
}
