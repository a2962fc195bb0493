package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	milter "github.com/d--j/go-milter"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// put adds an assignment on a stream and brings its keys until they sign.
func (r *rig) put(as agentapi.Assignment) {
	r.t.Helper()
	if as.ID == "" {
		as.ID = "as-" + as.Domain + "-" + as.Stream
	}
	if as.NoKey == "" {
		as.NoKey = agentapi.NoKeyPass
	}
	version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments = append(in.Assignments, as) })
	r.plane.awaitReport(r.t, "the assignment", func(rep agentapi.Report) bool { return rep.Applied == version })
	for _, k := range as.Keys {
		r.bring(as.Domain, k.ID, k.Selector, 1)
	}
}

// rulesRig is an agent with a piece of agent.yaml, beside the two listeners of newRig.
func rulesRig(t *testing.T, text string) *rig {
	t.Helper()
	r := newRig(t, func(c *Config) {
		cfg, err := ParseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		cfg.StateDirectory, cfg.StatusSocket, cfg.Listeners = c.StateDirectory, c.StatusSocket, c.Listeners
		*c = cfg
	})
	r.start()
	return r
}

func (r *rig) wantNote(n Note, times uint64) {
	r.t.Helper()
	if got := r.agent.Status().Notes; got[string(n)] != times {
		r.t.Errorf("%s counted %d times, want %d; all: %v", n, got[string(n)], times, got)
	}
}

// List mail keeps its foreign author and is signed as the list, in both families; the operator's own signature stands below.
func TestListMailIsSignedAsTheList(t *testing.T) {
	r := rulesRig(t, `
mismatch: {envelope: reject}
rules:
  - match: {header: {List-Id: "*<*.lists.example.org>*"}}
    domain: lists.example.org
    also: [{domain: operator.example, stream: relay}]
`)
	r.put(agentapi.Assignment{Domain: "lists.example.org", Keys: []agentapi.Key{edKey("l-ed", "l2"), rsaKey("l-rsa", "l1")}})
	r.put(agentapi.Assignment{Domain: "operator.example", Stream: "relay", Keys: []agentapi.Key{edKey("o", "op")}})
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	m.sender = "talk-bounces@lists.example.org"
	msg := simpleMail("Eve <eve@elsewhere.example>", "hello\r\n")
	msg.header = append(msg.header, "List-ID: Talk\r\n\t<talk.lists.example.org>")
	raw := m.send(msg, 0).raw
	if got := strings.Join(r.verified(raw), " "); got != "l1 l2 op" {
		t.Fatalf("signatures of %q pass\n%s", got, raw)
	}
	if got := regexp.MustCompile(`[ \t;]d=([a-z.]+);`).FindAllStringSubmatch(raw, -1); len(got) != 3 || got[0][1] != "lists.example.org" || got[1][1] != "lists.example.org" || got[2][1] != "operator.example" {
		t.Errorf("d= %q", got)
	}
	if strings.Contains(raw, " i=") {
		t.Errorf("an identity was written:\n%s", raw)
	}
	if o := m.send(simpleMail("Eve <eve@elsewhere.example>", "hello\r\n"), 0); strings.Contains(o.raw, "DKIM-Signature:") {
		t.Error("foreign mail that is not the list's was signed")
	}
	if n := r.agent.counters.key("o").signed.Load(); n != 1 {
		t.Errorf("%d signatures of the operator counted", n)
	}
}

// A further signature whose key is damaged is left out; the domain's own stays, and nobody has to wait.
func TestADamagedFurtherKeyDefersNothing(t *testing.T) {
	r := rulesRig(t, "rules: [{also: [operator.example]}]")
	r.put(agentapi.Assignment{Domain: "example.org", NoKey: agentapi.NoKeyTempfail, Keys: []agentapi.Key{edKey("k", "s1")}})
	r.put(agentapi.Assignment{Domain: "operator.example", NoKey: agentapi.NoKeyTempfail, Keys: []agentapi.Key{edKey("o", "op")}})
	send := func() string {
		t.Helper()
		o := dialMTA(t, r.agent, 0, mtaOptions{}).send(simpleMail("ann@example.org", "hello\r\n"), 0)
		if o.status != "" {
			t.Errorf("it was answered with %q", o.status)
		}
		return strings.Join(r.verified(o.raw), " ")
	}
	if got := send(); got != "s1 op" {
		t.Fatalf("signatures of %q pass", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.start() // the file is whole at the start and read at the first message
	if err := os.WriteFile(filepath.Join(r.cfg.StateDirectory, "keys", "o.key"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := send(); got != "s1" {
		t.Errorf("signatures of %q pass", got)
	}
	r.wantNote(NoteAlsoMissing, 1)
	r.plane.awaitReport(t, "the damage", func(rep agentapi.Report) bool { return !keyReport(rep, "o").Signing })
	if got := send(); got != "s1" {
		t.Errorf("signatures of %q pass", got)
	}
	r.wantNote(NoteAlsoMissing, 2)
	// The first domain decides, whatever the others have.
	r.change("k", func(k *agentapi.Key) { k.Want = agentapi.WantStop })
	r.plane.awaitReport(t, "the stop", func(rep agentapi.Report) bool { return !keyReport(rep, "k").Signing })
	if o := dialMTA(t, r.agent, 0, mtaOptions{}).send(simpleMail("ann@example.org", "hello\r\n"), 0); !strings.HasPrefix(o.status, "451 4.7.5 ") {
		t.Errorf("without a key of the domain: %q", o.status)
	}
	// The notes survive a restart.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.wantNote(NoteAlsoMissing, 2)
}

// What an assignment says of its signatures is what stands in them, on every way into a signature field.
func TestAnAssignmentSaysHowItSigns(t *testing.T) {
	r := rulesRig(t, "")
	r.put(agentapi.Assignment{Domain: "example.org", Bulk: true, Keys: []agentapi.Key{rsaKey("k", "s1")}, Signing: agentapi.Signing{
		Headers: []string{"X-Own"}, Oversign: []string{"Subject"}, Canonicalization: "simple/simple", ExpireSeconds: 8 * 86400}})
	r.put(agentapi.Assignment{Domain: "example.net", Keys: []agentapi.Key{edKey("n", "s2")}, Signing: agentapi.Signing{Canonicalization: "relaxed/simple"}})
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	msg := simpleMail("ann@example.org", "two  blanks \t\r\n\r\n\r\n")
	msg.header = append(msg.header, "X-Own:  odd \t white\r\n\t \r\n  space ", "X-Own:second", "X-Other: not signed")
	o := m.send(msg, 3)
	results, err := dkim.VerifyMessage(t.Context(), strings.NewReader(o.raw), dkim.VerifyOptions{Resolver: r.dns})
	if err != nil || len(results) != 1 || results[0].Result != dkim.Pass {
		t.Fatalf("%+v, %v\n%s", results, err, o.raw)
	}
	field := strings.NewReplacer("\r\n", "", " ", "", "\t", "").Replace(o.raw[:strings.Index(o.raw, "\r\nFrom:")])
	if !strings.Contains(field, "c=simple/simple;") || !strings.Contains(strings.ToLower(field), "h=from:from:subject:subject:list-unsubscribe:list-unsubscribe-post:x-own:x-own;") {
		t.Errorf("the signature is %s", field)
	}
	var made, ends int64
	if at := regexp.MustCompile(`;t=(\d+);x=(\d+);`).FindStringSubmatch(field); at != nil {
		fmt.Sscan(at[1]+" "+at[2], &made, &ends)
	}
	if ends-made != 8*86400 {
		t.Errorf("it expires %d s after it was made: %s", ends-made, field)
	}
	// Under simple every octet counts.
	for _, change := range [][2]string{{"X-Own:second", "X-Own: second"}, {"\r\n\t \r\n  space", "\r\n \t\r\n  space"}, {"two  blanks", "two blanks"}} {
		changed := strings.Replace(o.raw, change[0], change[1], 1)
		results, err := dkim.VerifyMessage(t.Context(), strings.NewReader(changed), dkim.VerifyOptions{Resolver: r.dns})
		if err != nil || changed == o.raw || results[0].Result == dkim.Pass {
			t.Errorf("%q went unnoticed", change)
		}
	}
	if raw := m.send(simpleMail("ann@example.net", "a  b\r\n"), 0).raw; len(r.verified(raw)) != 1 || !strings.Contains(raw, "c=relaxed/simple;") || strings.Contains(raw, " x=") {
		t.Errorf("the other assignment:\n%s", raw)
	}
}

// A way of signing that is not safe refuses its assignment, says so, and never becomes another way or another domain.
func TestAnUnsafeWayOfSigningIsRefused(t *testing.T) {
	r := rulesRig(t, "")
	r.put(agentapi.Assignment{Domain: "example.org", Subdomains: true, Keys: []agentapi.Key{edKey("k", "s1")}})
	r.put(agentapi.Assignment{Domain: "x.example.org", NoKey: agentapi.NoKeyTempfail, Keys: []agentapi.Key{edKey("x", "s2")}})
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	if got := strings.Join(r.verified(m.send(simpleMail("a@x.example.org", "a\r\n"), 0).raw), " "); got != "s2" {
		t.Fatalf("signed by %q", got)
	}
	for _, c := range []struct {
		want   string
		change func(*agentapi.Assignment)
	}{
		{"7 days", func(as *agentapi.Assignment) { as.Signing.ExpireSeconds = 7*86400 - 1 }},
		{"7 days", func(as *agentapi.Assignment) { as.Signing.ExpireSeconds = -1 }},
		{"10 years", func(as *agentapi.Assignment) { as.Signing.ExpireSeconds = 1 << 62 }},
		{"canonicalization", func(as *agentapi.Assignment) { as.Signing.Canonicalization = "nofws" }},
		{"not the name of a header field", func(as *agentapi.Assignment) { as.Signing.Headers = []string{"Subject:To"} }},
		{"not the name of a header field", func(as *agentapi.Assignment) { as.Signing.Oversign = []string{"From;"} }},
		{"cannot be oversigned", func(as *agentapi.Assignment) { as.Signing.Oversign = []string{"DKIM-signature"} }},
		{"more than 100", func(as *agentapi.Assignment) { as.Signing.Headers = make([]string, maxSignedFields+1) }},
	} {
		version := r.plane.want(func(in *agentapi.Instructions) {
			in.Assignments[1].Signing = agentapi.Signing{}
			c.change(&in.Assignments[1])
		})
		report := r.plane.awaitReport(t, "the refusal", func(rep agentapi.Report) bool { return rep.Applied == version })
		if k := keyReport(report, "x"); k.Signing || !strings.Contains(k.Error, c.want) {
			t.Errorf("%s: the report says %+v", c.want, k)
		}
		if as := r.agent.Status().Assignments[1]; as.Signs || !strings.Contains(as.Problem, c.want) {
			t.Errorf("%s: the status says %+v", c.want, as)
		}
		if o := m.send(simpleMail("a@x.example.org", "a\r\n"), 0); !strings.HasPrefix(o.status, "451 ") {
			t.Errorf("%s: %q\n%s", c.want, o.status, o.raw)
		}
	}
	version := r.plane.want(func(in *agentapi.Instructions) {
		in.Assignments[1].Signing = agentapi.Signing{ExpireSeconds: 7 * 86400}
	})
	r.plane.awaitReport(t, "the mended assignment", func(rep agentapi.Report) bool { return rep.Applied == version })
	if got := strings.Join(r.verified(m.send(simpleMail("a@x.example.org", "a\r\n"), 0).raw), " "); got != "s2" {
		t.Errorf("signed by %q", got)
	}
	if got := strings.Join(r.verified(m.send(simpleMail("a@y.example.org", "a\r\n"), 0).raw), " "); got != "s1" {
		t.Errorf("below the parent signed by %q", got)
	}
	if _, trouble := signingOf(&agentapi.Assignment{Domain: "org", NoKey: agentapi.NoKeyPass, Subdomains: true}); !strings.Contains(trouble, "top-level") {
		t.Errorf("all of a top-level domain: %q", trouble)
	}
}

// Two streams of one domain have selectors of their own. The field that names the stream neither leaves nor is signed.
func TestStreams(t *testing.T) {
	r := rulesRig(t, `stream: {header: X-Stream, macro: "{stream}"}`)
	all := agentapi.Signing{Headers: []string{"X-Stream", "Subject"}, Canonicalization: "simple/simple"}
	r.put(agentapi.Assignment{Domain: "example.org", Stream: "default", Signing: all, Keys: []agentapi.Key{edKey("k", "main")}})
	r.put(agentapi.Assignment{Domain: "example.org", Stream: "marketing", Signing: all, Bulk: true, Keys: []agentapi.Key{edKey("m", "news")}})
	r.put(agentapi.Assignment{Domain: "keyless.example"})
	for _, c := range []struct {
		name, from, want string
		header           []string
		o                mtaOptions
		kept             bool
	}{
		{name: "default", want: "main"},
		{name: "header", want: "news", header: []string{"x-stream: Marketing"}},
		{name: "macro", want: "news", o: mtaOptions{macros: map[string]string{"{stream}": "marketing"}}},
		{name: "header before macro", want: "main", header: []string{"X-STREAM: default"}, o: mtaOptions{macros: map[string]string{"{stream}": "marketing"}}},
		{name: "unknown", want: "main", header: []string{"X-Stream: sales"}},
		{name: "two", want: "main", header: []string{"X-Stream: marketing", "X-Other: a", "X-Stream: default"}},
		{name: "unsigned", from: "ann@keyless.example", want: "", header: []string{"X-Stream: marketing", "X-Stream: " + strings.Repeat("x", 2000)}},
		{name: "not allowed to remove it", want: "news", header: []string{"X-Stream: marketing"}, kept: true, o: mtaOptions{options: []milter.Option{milter.WithActions(milter.OptAddHeader)}}},
	} {
		m := dialMTA(t, r.agent, 0, c.o)
		from := c.from
		if from == "" {
			from = "ann@example.org"
		}
		for range 2 { // on one connection
			msg := simpleMail(from, "hello\r\n")
			msg.header = append(msg.header, c.header...)
			o := m.send(msg, 0)
			if got := strings.Join(r.verified(o.raw), " "); got != c.want {
				t.Errorf("%s: signatures of %q pass\n%s", c.name, got, o.raw)
			}
			if kept := strings.Contains(strings.ToLower(o.raw), "x-stream: "); kept != c.kept {
				t.Errorf("%s: the field is there: %v\n%s", c.name, kept, o.raw)
			}
			if strings.Contains(c.name, "two") != strings.Contains(o.raw, "X-Other: a") {
				t.Errorf("%s: another field went:\n%s", c.name, o.raw)
			}
		}
	}
	r.wantNote(NoteStreamUnknown, 4)
	r.wantNote(NoteStreamKept, 2)
	r.wantReason(ReasonNoKey, 2)
	// Mail of others has no stream, and keeps what it brought.
	msg := simpleMail("ann@example.org", "hello\r\n")
	msg.header = append(msg.header, "X-Stream: marketing")
	if o := dialMTA(t, r.agent, 1, mtaOptions{client: "203.0.113.9"}).send(msg, 0); o.raw != msg.raw() {
		t.Errorf("mail of others was changed:\n%s", o.raw)
	}
	// A fault in the body comes after the choice: the field still goes.
	msg.body = "bare\rCR\r\n"
	if o := dialMTA(t, r.agent, 0, mtaOptions{}).send(msg, 0); strings.Contains(o.raw, "X-Stream") || strings.Contains(o.raw, "DKIM-Signature:") {
		t.Errorf("with a bare CR:\n%s", o.raw)
	}
}

// Who is refused is told why, for good; who is skipped is delivered without a signature.
func TestAuthorsWhoAreNotTheSenders(t *testing.T) {
	for _, word := range []string{"skip", "reject"} {
		r := rulesRig(t, fmt.Sprintf(`
mismatch: {envelope: %s, login: %s}
logins: {map: {"*@example.org": example.org, "*@partner.example": [example.org, partner.example]}, otherwise: %s}
outbound: {macros: {"{app}": [shop]}}
`, word, word, word))
		r.put(agentapi.Assignment{Domain: "example.org", NoKey: agentapi.NoKeyTempfail, Keys: []agentapi.Key{edKey("k", "s1")}})
		r.put(agentapi.Assignment{Domain: "sub.example.org", Keys: []agentapi.Key{edKey("s", "s2")}})
		for _, c := range []struct {
			name, from, sender, login string
			macros                    map[string]string
			want                      Reason
			text                      string
		}{
			{name: "fits", from: "ann@example.org", sender: "ann@example.org", login: "Ann@Example.org"},
			{name: "no sender", from: "ann@example.org", login: "ann@example.org"},
			{name: "another sender", from: "ann@example.org", sender: "eve@elsewhere.example", login: "ann@example.org", want: ReasonEnvelopeMismatch, text: "550 5.7.1 The domain in From (example.org) is not that of the envelope sender"},
			{name: "another login", from: "ann@example.org", login: "eve@partner.example", want: ReasonLoginMismatch, text: "550 5.7.1 The domain in From (example.org) is not that of the login"},
			{name: "a login that may not", from: "ann@sub.example.org", login: "ann@example.org", want: ReasonLoginNotAllowed, text: "550 5.7.1 This login may not send mail with From in sub.example.org"},
			{name: "a macro makes it ours", from: "ann@example.org", macros: map[string]string{"{app}": "shop"}},
			{name: "another value does not", from: "ann@example.org", macros: map[string]string{"{app}": "shops"}, want: notOurs},
			{name: "forwarded", from: "eve@elsewhere.example", sender: "x@example.org", login: "ann@example.org", want: ReasonNotAssigned},
		} {
			before := r.agent.counters.reasonTotals()[string(c.want)]
			m := dialMTA(t, r.agent, 1, mtaOptions{client: "203.0.113.9", auth: c.login, macros: c.macros})
			m.sender = c.sender
			o := m.send(simpleMail(c.from, "hello\r\n"), 0)
			text := c.text
			if word == "skip" {
				text = ""
			}
			if o.status != text {
				t.Errorf("%s, %s: answered with %q", word, c.name, o.status)
			}
			if is := strings.Contains(o.raw, "DKIM-Signature:"); is != (c.want == signed) {
				t.Errorf("%s, %s: signed %v", word, c.name, is)
			}
			if got := r.agent.counters.reasonTotals()[string(c.want)]; c.want != signed && c.want != notOurs && got != before+1 {
				t.Errorf("%s, %s: counted %d times", word, c.name, got-before)
			}
		}
		if log := r.log.String(); !strings.Contains(log, "reason=login_mismatch") || !strings.Contains(log, "login=eve@partner.example") {
			t.Errorf("the log does not say who:\n%s", log)
		}
	}
}

// Over the limit of messages only a few fields are kept, and they are still the ones that rules look at: nobody is refused who would
// not be otherwise.
func TestRulesHoldUnderOverload(t *testing.T) {
	r := rulesRig(t, `
max_messages: 1
mismatch: {envelope: reject}
rules: [{match: {header: {List-Id: "*lists*"}, listener: LISTS}, domain: example.org}]
`)
	r.put(agentapi.Assignment{Domain: "example.org", Keys: []agentapi.Key{edKey("k", "s1")}})
	held := dialMTA(t, r.agent, 0, mtaOptions{})
	if _, err := held.session.Mail("<a@example.org>", ""); err != nil {
		t.Fatal(err)
	}
	m := dialMTA(t, r.agent, 0, mtaOptions{daemon: "LISTS"})
	m.sender = "talk@lists.example.net"
	msg := simpleMail("ann@example.org", "hello\r\n")
	if o := m.send(msg, 0); !strings.HasPrefix(o.status, "550 5.7.1 ") {
		t.Errorf("without the field: %q", o.status)
	}
	msg.header = append(msg.header, "List-Id: lists")
	if o := m.send(msg, 0); o.status != "" || strings.Contains(o.raw, "DKIM-Signature:") {
		t.Errorf("%q\n%s", o.status, o.raw)
	}
	r.wantReason(ReasonOverload, 1)
}

func TestEightBitMailIsWarnedOfOncePerListener(t *testing.T) {
	r := signingRig(t, nil)
	for range 2 {
		for range 2 {
			dialMTA(t, r.agent, 0, mtaOptions{}).send(simpleMail("ann@example.org", "Grüße\r\n"), 0)
		}
	}
	if n := strings.Count(r.log.String(), "disable_mime_output_conversion"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if s := r.agent.Status(); !s.Listeners[0].EightBit || s.Listeners[1].EightBit || s.EightBit != 4 {
		t.Errorf("%+v, %d", s.Listeners, s.EightBit)
	}
}
