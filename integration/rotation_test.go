package integration

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRotationUnderLoad is the main job on real parts: every server signs with its own key; a rotation under load, with
// the control plane and the agent killed in the middle of it, loses nothing; the old record outlives its last message.
func TestRotationUnderLoad(t *testing.T) {
	o := newOrganisation(t)
	first := map[string]string{"mx1": o.active("mx1"), "mx2": o.active("mx2")}
	if first["mx1"] == first["mx2"] {
		t.Fatalf("both servers share the selector %s", first["mx1"])
	}
	guide(o)

	mail := startTraffic(t, 40*time.Millisecond, o.servers...)
	eventually(t, "mail of both servers arrives", func() bool { return len(o.sink.messages()) > 20 })

	o.postseal("rotate", zone, "--signer", "mx1")
	var second string
	eventually(t, "a successor of "+first["mx1"]+" is published", func() bool {
		r, ok := o.other("mx1", first["mx1"])
		second = r.Selector
		return ok && r.State == "published"
	})
	o.serve.kill()
	o.startServe()
	eventually(t, "the control plane took up the rotation again", func() bool {
		r, ok := o.other("mx1", first["mx1"])
		return ok && r.State != "generated"
	})
	o.agents["mx1"].kill()
	o.startAgent("mx1")
	eventually(t, "mx1 signs with "+second, func() bool { return slices.Contains(o.sink.selectors("mx1"), second) })
	eventually(t, first["mx1"]+" is retired", func() bool { r, ok := o.key("mx1", "retired"); return ok && r.Selector == first["mx1"] })
	mail.end()
	o.drain(mail)

	for _, failure := range append(o.sink.failures(), o.sink.again()...) {
		t.Errorf("a message that does not verify: %s", failure)
	}
	for name, refused := range independent(t, o.dir, o.sink.messages(), primaryAddr, o.bind.port) {
		t.Errorf("%s refuses %d messages: %v", name, len(refused), refused[:min(3, len(refused))])
	}
	for _, addr := range []string{primaryAddr, secondaryAddr} {
		if o.bind.txt(addr, record(first["mx1"])) == "" {
			t.Errorf("%s does not show the old record although its last message was checked just now", addr)
		}
	}
	if got := o.sink.selectors("mx2"); !slices.Equal(got, []string{first["mx2"]}) {
		t.Errorf("mx2 signed with %v, expected only %s", got, first["mx2"])
	}
	if got, want := o.sink.selectors("mx1"), []string{first["mx1"], second}; !slices.Equal(got, want) {
		t.Errorf("mx1 signed with %v, expected %v", got, want)
	}
	eventually(t, "the old record is gone from every server", func() bool {
		return o.bind.txt(primaryAddr, record(first["mx1"])) == "" && o.bind.txt(secondaryAddr, record(first["mx1"])) == ""
	})
	t.Logf("%d messages sent, %d arrived, 0 failed; selectors %v then %s", mail.sent.Load(), len(o.sink.messages()), first, second)
	if out := o.postseal("journal", "check"); !strings.Contains(out, "unbroken") {
		t.Errorf("journal check says %q", out)
	}
}

// drain waits until everything that was accepted has arrived.
func (o *organisation) drain(mail *traffic) {
	o.t.Helper()
	eventually(o.t, "every accepted message has arrived", func() bool {
		for _, p := range o.servers {
			p.flush()
		}
		return int64(len(o.sink.messages())) >= mail.sent.Load()
	})
}

// guide checks the worked example of the guide: the services' records and _dmarc stand literally, and a name that is
// somebody else's was left alone.
func guide(o *organisation) {
	o.t.Helper()
	for name, want := range map[string]string{
		"google._domainkey.example.com":   "v=DKIM1; k=rsa; p=GOOGLE_PUBLIC_KEY",
		"sendgrid._domainkey.example.com": "v=DKIM1; k=rsa; p=SENDGRID_PUBLIC_KEY",
		"_dmarc.example.com":              "v=DMARC1; p=none; rua=mailto:dmarc@example.com; ruf=mailto:dmarc@example.com",
		"taken._domainkey.example.com":    "somebody else's",
	} {
		eventually(o.t, name+" stands on the secondary", func() bool { return o.bind.txt(secondaryAddr, name) == want })
	}
	eventually(o.t, "the finding about the name that is taken", func() bool {
		out, err := o.try("finding", "list")
		return err == nil && strings.Contains(out, "LIFE-01") && strings.Contains(out, "taken._domainkey.example.com")
	})
}

// TestLaggingSecondary: a new key is not used before every authoritative server has its record.
func TestLaggingSecondary(t *testing.T) {
	o := newOrganisation(t)
	first := o.active("mx2")
	mail := startTraffic(t, 200*time.Millisecond, o.servers...)
	o.bind.lag()
	o.postseal("rotate", zone, "--signer", "mx2")
	var second string
	eventually(t, "a successor is published on the primary", func() bool {
		r, ok := o.other("mx2", first)
		second = r.Selector
		return ok && r.State == "published" && o.bind.txt(primaryAddr, record(second)) != ""
	})
	eventually(t, "status names the server that lags", func() bool {
		r, _ := o.other("mx2", first)
		return r.Blocked && strings.Contains(r.Reason, "ns2")
	})
	arrived := len(o.sink.messages())
	eventually(t, "mail goes on", func() bool { return len(o.sink.messages()) > arrived+60 })
	if got := o.sink.selectors("mx2"); !slices.Equal(got, []string{first}) {
		t.Fatalf("mx2 signed with %v while the secondary had no record of it", got)
	}
	if r, _ := o.other("mx2", first); r.State != "published" {
		t.Fatalf("the successor is %s although the secondary lags", r.State)
	}
	o.bind.catchUp()
	eventually(t, "mx2 signs with the new key", func() bool { return slices.Contains(o.sink.selectors("mx2"), second) })
	mail.end()
	o.drain(mail)
	for _, failure := range append(o.sink.failures(), o.sink.again()...) {
		t.Error(failure)
	}
}

// TestControlPlaneAway: signing needs nothing but the agent, also after a restart of the agent.
func TestControlPlaneAway(t *testing.T) {
	o := newOrganisation(t)
	first := []string{o.active("mx1"), o.active("mx2")}
	o.serve.kill()
	mail := startTraffic(t, 100*time.Millisecond, o.servers...)
	eventually(t, "mail flows without the control plane", func() bool { return len(o.sink.messages()) > 40 })
	for _, name := range []string{"mx1", "mx2"} {
		o.agents[name].kill()
		o.startAgent(name)
	}
	arrived := len(o.sink.messages())
	eventually(t, "mail flows after a restart of both agents", func() bool { return len(o.sink.messages()) > arrived+40 })
	mail.end()
	o.drain(mail)
	for _, failure := range o.sink.failures() {
		t.Error(failure)
	}
	for i, name := range []string{"mx1", "mx2"} {
		if got := o.sink.selectors(name); !slices.Equal(got, first[i:i+1]) {
			t.Errorf("%s signed with %v, expected only %s", name, got, first[i])
		}
	}
}
