package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The people of the table. Their selectors begin with their names; those of lone, whose addresses are not known, too.
var cast = map[string]Who{
	"mx1": {"server", "id-mx1", "mx1"}, "mx2": {"server", "id-mx2", "mx2"}, "relay": {"server", "id-relay", "relay"}, "lone": {"server", "id-lone", "lone"},
	"pool": {"pool", "id-pool", "pool"}, "p1": {"server", "id-p1", "p1"}, "p2": {"server", "id-p2", "p2"}, "either": {"server", "", "mx1 or mx2"},
	"grid": {"service", "id-grid", "SendGrid"}, "google": {"service", "google-workspace", "Google Workspace"}, "?": {},
}

// stage is the scene of the table: May 2026, of which the 30th is today.
func stage() Scene {
	selector := func(who, name, state string, since int) SceneSelector {
		s := SceneSelector{Selector: name, Signer: cast[who], State: state, Since: day(since)}
		if cast[who].Kind != "service" {
			s.KeyID = "key-" + name
		}
		return s
	}
	return Scene{
		Domain: "example.com", From: day(1), To: day(30), Policy: "none",
		Signers: []SceneSigner{{cast["mx1"], true}, {cast["mx2"], true}, {cast["relay"], true}, {cast["pool"], true}, {cast["grid"], true}, {cast["lone"], false}},
		Selectors: []SceneSelector{selector("mx1", "mx1-a", "active", -30), selector("mx1", "mx1-b", "active", -10), selector("mx2", "mx2-a", "active", -30), selector("relay", "relay-a", "active", -30),
			selector("pool", "pool-a", "active", -30), selector("lone", "lone-a", "active", -30), selector("grid", "s1", "", -30), selector("mx1", "mx1-old", "revoked", 5)},
	}
}

// counted makes groups from a line, one for each reporter and day:
//
//	signer>source  selector[@domain]|-  result[:cause]  flags  reporters  messages  first..last
//
// Flags: D aligned DKIM, S aligned SPF, U nobody vouches, A as one group instead of one a day, L mailing list, F forwarder, R rejected. Messages are for each reporter and day.
func counted(t testing.TB, scene Scene, line string) (groups []Group) {
	t.Helper()
	f := strings.Fields(line)
	if len(f) != 7 {
		t.Fatalf("%q has %d fields", line, len(f))
	}
	signer, source, _ := strings.Cut(f[0], ">")
	for _, who := range []string{signer, source} {
		if _, known := cast[who]; !known {
			t.Fatalf("%q: nobody is called %s", line, who)
		}
	}
	g := Group{HeaderFrom: "example.com", Signer: cast[signer], Source: cast[source], How: Unknown, Vouched: true, Disposition: "none", Reports: 1}
	if g.Signer.Kind != "" {
		g.How = Inferred
	}
	if f[1] != "-" {
		g.SigningDomain = "example.com"
		if at := strings.Index(f[1], "@"); at >= 0 {
			g.SigningDomain, f[1] = f[1][at+1:], f[1][:at]
		}
		g.Selector = f[1]
		for _, s := range scene.Selectors {
			if s.Selector == g.Selector && g.SigningDomain == "example.com" {
				g.How, g.KeyID = Exact, s.KeyID
			}
		}
	}
	result, cause, _ := strings.Cut(f[2], ":")
	g.Result, g.Cause = strings.TrimPrefix(result, "-"), Cause(cause)
	whole := false
	for _, flag := range f[3] {
		switch flag {
		case 'D':
			g.DKIM = true
		case 'S':
			g.SPF = true
		case 'U':
			g.Vouched = false
		case 'A':
			whole = true
		case 'L':
			g.Reason = "mailing_list"
		case 'F':
			g.Reason = "forwarded"
		case 'R':
			g.Disposition = "reject"
		case '-':
		default:
			t.Fatalf("%q: flag %c", line, flag)
		}
	}
	g.Messages, _ = strconv.ParseInt(f[5], 10, 64)
	first, last, _ := strings.Cut(f[6], "..")
	from, _ := strconv.Atoi(first)
	to, err := strconv.Atoi(last)
	if err != nil || g.Messages == 0 {
		t.Fatalf("%q: messages or days", line)
	}
	for org := range strings.SplitSeq(f[4], ",") {
		g.Org, g.Reporter = org, ReporterOf(org)
		if whole {
			g.First, g.Last = day(from), day(to)
			groups = append(groups, g)
			continue
		}
		for d := from; d <= to; d++ {
			g.First, g.Last = day(d), day(d)
			groups = append(groups, g)
		}
	}
	return groups
}

// normal is what goes on in all cases: enough good mail of both servers.
const normal = "mx1>mx1 mx1-a pass DS google,yahoo 50 1..30\nmx2>mx2 mx2-a pass DS google,yahoo 50 1..30\n"

func TestDiagnose(t *testing.T) {
	for _, c := range []struct {
		name  string
		mail  string
		scene func(*Scene)
		want  []string // severity, id and subject of each
		says  string   // what the first one says, pieces separated by …
	}{
		{"all is well", normal, nil, nil, ""},
		{"nothing at all", "", nil, nil, ""},

		// Own selector, own address, fails: DKIM-L06.
		{"a server's signatures fail", normal + "mx1>mx1 mx1-a fail:body - google,yahoo,mail.ru,gmx 40 3..30", nil,
			[]string{"error DKIM-L06 mx1"}, "mx1's signatures fail at 4 reporters since 3 May (4,480 of 7,280 messages), body hash: something rewrites the body after signing"},
		{"a small part of them", normal + "mx1>mx1 mx1-a fail:body - google,yahoo 5 3..30", nil, []string{"warning DKIM-L06 mx1"}, "since 3 May (280 of 3,080 messages), body hash"},
		{"since before", normal + "mx1>mx1 mx1-a fail - google,yahoo 40 1..30", nil, []string{"warning DKIM-L06 mx1"}, "since 1 May or before…the reports do not say why"},
		{"with a trickle before it", normal + "mx1>mx1 mx1-a fail - google,yahoo 1 1..19\nmx1>mx1 mx1-a fail - google,yahoo 60 20..30", nil, []string{"error DKIM-L06 mx1"}, "since 20 May (1,320 of 2,420"},
		{"only the trickle", normal + "mx1>mx1 mx1-a fail - google,yahoo 1 1..30", nil, nil, ""},
		{"mended", normal + "mx1>mx1 mx1-a fail - google,yahoo 40 3..27", nil, nil, ""},
		{"mended a day ago", normal + "mx1>mx1 mx1-a fail - google,yahoo 40 3..29", nil, nil, ""},
		{"long ago, and no mail since", "mx1>mx1 mx1-a fail - google,yahoo 40 3..20", nil, nil, ""},
		{"one reporter", normal + "mx1>mx1 mx1-a fail - google 40 3..30", nil, nil, ""},
		{"below the floor", "mx1>mx1 mx1-a fail - google 10 30..30\nmx1>mx1 mx1-a fail - yahoo 9 30..30", nil, nil, ""},
		{"at the floor", "mx1>mx1 mx1-a fail - google,yahoo 10 30..30", nil, []string{"error DKIM-L06 mx1"}, "20 of 20 messages"},
		{"unvouched only", "mx1>mx1 mx1-a fail U google,yahoo 10 25..30", nil, []string{"info DKIM-L06 mx1"}, "nobody vouches for"},
		{"one vouched, one not", "mx1>mx1 mx1-a fail - google 20 25..30\nmx1>mx1 mx1-a fail U yahoo 20 25..30", nil, []string{"info DKIM-L06 mx1"}, "at 2 reporters…nobody vouches for"},
		{"forged, against real good ones", normal + "mx1>mx1 mx1-a fail U evil,worse 9999 3..30", nil, nil, ""},
		{"forged good ones hide nothing", "mx1>mx1 mx1-a fail - google,yahoo 40 3..30\nmx1>mx1 mx1-a pass DU evil,worse 99999 3..30", nil, []string{"error DKIM-L06 mx1"}, "(2,240 of 2,240"},
		{"one of two servers", normal + "mx2>mx2 mx2-a fail:signature - google,yahoo 200 10..30", nil, []string{"error DKIM-L06 mx2"}, "mx2's…since 10 May…bad signature: header fields are changed"},
		{"one member of a pool", normal + "pool>p1 pool-a pass D google,yahoo 50 1..30\npool>p2 pool-a fail - google,yahoo 50 6..30\npool>p2 pool-a pass D google,yahoo 50 1..5", nil,
			[]string{"error DKIM-L06 p2"}, "p2's signatures fail at 2 reporters since 6 May"},
		{"a pool, nobody knows which", normal + "pool>pool pool-a fail - google,yahoo 50 6..30", nil, []string{"error DKIM-L06 pool"}, "not one of them verifies"},
		{"a shared address", "mx1>either mx1-a fail - google,yahoo 50 6..30\nmx2>either mx2-a pass D google,yahoo 50 1..30", nil, []string{"error DKIM-L06 mx1"}, "mx1's"},
		{"only through a relay", normal + "mx1>relay mx1-a fail:body - google,yahoo 20 3..30", nil, []string{"warning DKIM-L06 mx1"},
			"mx1's signatures fail at 2 reporters since 3 May (1,120 of 3,920 messages), body hash, only via relay: something rewrites the body after signing"},
		{"through a relay, and otherwise too", normal + "mx1>relay mx1-a fail:body - google,yahoo 20 3..30\nmx1>mx1 mx1-a fail:body - google,yahoo 20 3..30", nil, []string{"warning DKIM-L06 mx1"}, "body hash: something"},
		{"only through lists", normal + "mx1>mx1 mx1-a fail:body L google,yahoo 20 3..30", nil, []string{"warning DKIM-L06 mx1"}, "body hash, only through mailing lists: something rewrites the body after signing"},
		{"one of two selectors", normal + "mx1>mx1 mx1-b fail - google,yahoo 20 3..30", nil, []string{"warning DKIM-L06 mx1"}, "only with selector mx1-b: not one of them verifies, as if the key in DNS were not the one that signs"},
		{"no key", normal + "mx1>mx1 mx1-a permerror:key - google,yahoo,gmx 60 20..30", nil, []string{"error DKIM-L06 mx1"}, "no usable key: receivers find no key there"},
		{"expired", normal + "mx1>mx1 mx1-a fail:expired - google,yahoo 60 20..30", nil, []string{"error DKIM-L06 mx1"}, "expired: signatures are too old"},
		{"failure reports say why", normal + "mx1>mx1 mx1-a fail - google,yahoo 60 20..30", func(s *Scene) {
			s.Failures = []Sample{{Signer: cast["mx1"], Cause: BodyChanged, Vouched: true, At: day(25)}}
		}, []string{"error DKIM-L06 mx1"}, "body hash: something rewrites"},
		{"older, forged or other servers' ones do not", normal + "mx1>mx1 mx1-a fail - google,yahoo 60 20..30", func(s *Scene) {
			s.Failures = []Sample{{Signer: cast["mx1"], Cause: BodyChanged, Vouched: true, At: day(2)}, {Signer: cast["mx1"], Cause: BodyChanged, At: day(25)}, {Signer: cast["mx2"], Cause: BodyChanged, Vouched: true, At: day(25)}}
		}, []string{"error DKIM-L06 mx1"}, "the reports do not say why"},
		{"causes that differ", normal + "mx1>mx1 mx1-a fail:body - google 60 20..30\nmx1>mx1 mx1-a fail:signature - yahoo 60 20..30", nil, []string{"error DKIM-L06 mx1"}, "(1,320 of 2,420 messages): the reports do not say why"},
		{"sums over all days", "mx1>mx1 mx1-a pass DSA google,yahoo 1500 1..30\nmx1>mx1 mx1-a fail A google,yahoo 500 3..30", nil, []string{"warning DKIM-L06 mx1"}, "since 3 May (1,000 of 4,000"},
		{"sums over days that are past", "mx1>mx1 mx1-a pass DSA google,yahoo 1500 1..30\nmx1>mx1 mx1-a fail A google,yahoo 500 3..20", nil, nil, ""},
		{"an address that is not in the inventory, by SPF", normal + "mx1>? mx1-a fail S google,yahoo 30 3..30", nil, []string{"warning DKIM-L06 mx1"}, "mx1's"},
		{"addresses are not known, most fails", normal + "lone>? lone-a fail - google,yahoo 30 3..30", nil, []string{"error DKIM-L06 lone"}, "lone's"},
		{"addresses are not known, some fails", normal + "lone>? lone-a pass D google,yahoo 30 3..30\nlone>? lone-a fail - google,yahoo 5 3..30", nil, nil, ""},

		// Own selector, foreign address.
		{"forwarded", normal + "mx1>? mx1-a pass D google,yahoo 5 3..30", nil, []string{"info RPT-01 mx1"}, "280 messages that mx1 signed come from addresses that are not ours and verify: they were passed on unchanged"},
		{"forwarded, a little", normal + "mx1>? mx1-a pass D google,yahoo 9 30..30", nil, nil, ""},
		{"replayed", normal + "mx1>? mx1-a pass D google,yahoo 500 20..30", nil, []string{"warning RPT-02 mx1"}, "11,000 messages with signatures of mx1 come from addresses that are not ours, and 3,000 from its own"},
		{"much, but all that it sends is forwarded", "mx1>? mx1-a pass D google,yahoo 10 20..30", nil, []string{"info RPT-01 mx1"}, ""},
		{"its addresses are missing", normal + "mx1>? mx1-a pass DS google,yahoo 500 3..30", nil, []string{"info RPT-03 mx1"}, "28,000 of 31,000 messages of mx1 come from addresses that SPF allows"},
		{"addresses unknown are not forwarding", normal + "lone>? lone-a pass D google,yahoo 500 3..30", nil, nil, ""},
		{"changed on its way", normal + "mx1>? mx1-a fail:body - google,yahoo 5 3..30", nil, []string{"info RPT-04 mx1"}, "280 of 280 messages that mx1 signed and others passed on do not verify: lists"},
		{"by lists that are known", normal + "mx1>? mx1-a fail:body L google,yahoo 5 3..30\nmx1>? mx1-a pass D google,yahoo 5 3..30", nil, []string{"info RPT-01 mx1", "info RPT-04 mx1"}, ""},
		{"another server sends it", normal + "mx1>mx2 mx1-a pass DS google,yahoo 5 3..30", nil, []string{"warning DKIM-L08 mx2 with the key of mx1"}, "280 messages from mx2 verify with the key of mx1 (mx1-a)"},
		{"long ago", normal + "mx1>mx2 mx1-a pass DS google,yahoo 50 1..20", nil, nil, ""},
		{"a smarthost", "mx2>mx2 mx2-a pass DS google,yahoo 50 1..30\nmx1>mx2 mx1-a pass DS google,yahoo 5 3..30", nil, []string{"info DKIM-L08 mx2 with the key of mx1"}, "smarthost"},
		{"a member of its pool", normal + "pool>p1 pool-a pass DS google,yahoo 5 3..30", nil, nil, ""},
		{"one of two behind an address", normal + "mx1>either mx1-a pass DS google,yahoo 5 3..30", nil, nil, ""},

		// Unknown selector.
		{"a shadow signer", normal + "mx1>mx1 default pass DS google,yahoo 5 3..30", nil, []string{"warning DKIM-L04 default._domainkey.example.com"},
			"280 messages verify with the selector default, which is nobody's in the inventory: mx1 signs with a key of its own beside Postseal"},
		{"two servers' whose signatures fail", normal + "mx1>mx1 default fail S google,yahoo 5 3..30\nmx2>mx2 default fail S google,yahoo 4 3..30", nil, []string{"warning RPT-05 default._domainkey.example.com"}, "504 messages from mx1 and mx2 carry a signature with the selector default"},
		{"one whose signatures fail", normal + "mx1>mx1 default fail S google,yahoo 5 3..30", nil, []string{"warning RPT-05 default._domainkey.example.com"}, "280 messages from mx1 carry a signature with the selector default"},
		{"somebody has a key", normal + "?>? rogue pass D google,yahoo 5 3..30", nil, []string{"warning DKIM-L04 rogue._domainkey.example.com"}, "somebody has a key for the domain"},
		{"a stolen or retired one", normal + "?>? rogue pass D google,yahoo 5 3..30", func(s *Scene) { s.Absent = []string{"rogue"} }, []string{"error DKIM-L05 rogue._domainkey.example.com"}, "not in DNS any more"},
		{"claimed by strangers", normal + "?>? rogue pass DU evil,worse 500 3..30", func(s *Scene) { s.Absent = []string{"rogue"} }, []string{"info DKIM-L05 rogue._domainkey.example.com"}, "nobody vouches"},
		{"at one reporter", normal + "?>? rogue pass D google 500 3..30", nil, nil, ""},
		{"below a subdomain", normal + "?>? rogue@sub.example.com pass D google,yahoo 5 3..30", nil, []string{"warning DKIM-L04 rogue._domainkey.sub.example.com"}, ""},
		{"of another domain", normal + "?>? rogue@example.org pass S google,yahoo 9 30..30", nil, nil, ""},
		{"a service's", normal + "google>? google pass D google,yahoo 5 3..30", nil, []string{"warning DKIM-L04 google._domainkey.example.com"}, "it looks like Google Workspace"},

		// None from own address.
		{"an unsigned path", normal + "mx1>mx1 - - S google,yahoo 5 3..30", nil, []string{"warning DKIM-L07 mx1"}, "280 of 3,080 messages come from mx1 without a signature of ours at 2 reporters since 3 May: a part of its mail leaves by a way that goes past the signer"},
		{"an unsigned server", normal + "relay>relay - - S google,yahoo 5 3..30", nil, []string{"warning DKIM-L07 relay"}, "nothing from there is signed"},
		{"hardly any", "mx1>mx1 mx1-a pass DS google,yahoo 5000 1..30\nmx1>mx1 - - S google,yahoo 1 3..30", nil, nil, ""},
		{"signed by another domain alone", normal + "mx1>mx1 x@other.example pass S google,yahoo 5 3..30", nil, []string{"warning DKIM-L07 mx1"}, ""},
		{"the reporter only does not say the signature", normal + "mx1>mx1 - - DS google,yahoo 5 3..30", nil, nil, ""},
		{"a service's mail through our server", normal + "grid>mx1 s1 pass D google,yahoo 5 3..30", nil, nil, ""},

		// A revoked key, and one that nobody uses.
		{"a revoked key signs", normal + "mx1>mx1 mx1-old fail S google,yahoo 2 20..30", nil, []string{"error DKIM-L01 mx1-old._domainkey.example.com"}, "mx1 signs with mx1-old, which is revoked since 5 May: 44 messages at 2 reporters, the last on 30 May"},
		{"before it was revoked", normal + "mx1>mx1 mx1-old pass DS google,yahoo 50 1..4", nil, nil, ""},
		{"a retired key signs", normal + "mx1>mx1 mx1-b pass DS google,yahoo 2 16..30", func(s *Scene) { s.Selectors[1].State, s.Selectors[1].Since = "retired", day(10) },
			[]string{"warning RPT-13 mx1-b._domainkey.example.com"}, "mx1 signs with mx1-b, which is retired since 10 May: 60 messages"},
		{"a retired key, out of the queue", normal + "mx1>mx1 mx1-b pass DS google,yahoo 20 1..15", func(s *Scene) { s.Selectors[1].State, s.Selectors[1].Since = "retired", day(10) }, nil, ""},
		{"a slot's former key", normal + "mx1>mx1 mx1-b pass DS google,yahoo 2 16..30", func(s *Scene) {
			s.Selectors[1] = SceneSelector{Selector: "mx1-b", KeyID: "another", State: "retired", Since: day(10)}
		}, nil, ""},
		{"and by somebody else", normal + "mx1>? mx1-old fail - google,yahoo 1 20..30", nil, []string{"info RPT-04 mx1"}, ""},
		{"nobody uses a selector", "mx1>mx1 mx1-a pass DSA google,yahoo 5000 -70..30\nmx2>mx2 mx2-a pass DSA google,yahoo 5000 -70..30", func(s *Scene) {
			s.From = day(-70)
			s.Selectors = []SceneSelector{s.Selectors[0], s.Selectors[2], {Selector: "relay-a", KeyID: "k", Signer: cast["relay"], State: "active", Since: day(-90)}, {Selector: "s1", Signer: cast["grid"], Since: day(-90)},
				{Selector: "new", KeyID: "n", Signer: cast["mx1"], State: "active", Since: day(1)}, {Selector: "gone", KeyID: "g", Signer: cast["mx1"], State: "retired", Since: day(-90)}}
		}, []string{"warning DKIM-L03 relay-a._domainkey.example.com", "warning DKIM-L03 s1._domainkey.example.com"}, "nobody was seen to sign with relay-a of relay in 60 days"},

		// Services.
		{"a service does not align", normal + "grid>? x@sendgrid.net pass - google,yahoo 5 3..30", nil, []string{"warning RPT-06 SendGrid"}, "280 of 280 messages from SendGrid fail at 2 reporters since 3 May: it signs with a domain of its own"},
		{"it aligns", normal + "grid>? s1 pass D google,yahoo 5 3..30", nil, nil, ""},
		{"it aligns by SPF", normal + "grid>grid x@sendgrid.net pass S google,yahoo 5 3..30", nil, nil, ""},
		{"its key is wrong", normal + "grid>? s1 fail - google,yahoo 5 3..30", nil, []string{"warning RPT-06 SendGrid"}, "its signatures with s1 do not verify"},
		{"a part of it", normal + "grid>? s1 pass D google,yahoo 50 1..30\ngrid>? x@sendgrid.net pass - google,yahoo 1 3..30", nil, nil, ""},
		{"passed on by a list", normal + "grid>? s1 pass D google,yahoo 9 1..30\ngrid>? s1 fail L google,yahoo 9 1..30", nil, nil, ""},
		{"one that is not in the inventory", normal + "google>? x@gappssmtp.com pass S google,yahoo 5 3..30", nil, []string{"info RPT-09 Google Workspace"}, "280 messages from Google Workspace pass, and it is not in the inventory"},
		{"and does not align", normal + "google>? x@gappssmtp.com pass - google,yahoo 5 3..30", nil, []string{"warning RPT-06 Google Workspace"}, "it is not in the inventory"},

		// Nobody known.
		{"by SPF alone", normal + "?>? - - S google,yahoo 5 3..30", nil, []string{"warning RPT-10 example.com"}, "280 messages without a signature of yours come from addresses that nobody in the inventory has"},
		{"impostors", normal + "?>? - - - google,yahoo 50 1..30", nil, []string{"warning RPT-11 example.com"}, "3,000 of 9,000 messages in the name of example.com are from nobody known, and neither DKIM nor SPF aligns: 3,000 without a signature that verifies, from impostors or from senders of yours that were forgotten; 3,000 of all these were let through"},
		{"a few impostors", normal + "?>? - - - google,yahoo 1 1..30", nil, []string{"info RPT-11 example.com"}, "60 of 6,060"},
		{"refused ones", normal + "?>? - - R google,yahoo 50 1..30", func(s *Scene) { s.Policy = "reject" }, []string{"info RPT-11 example.com"}, "impostors"},
		{"refused ones, under quarantine", normal + "?>? - - R google,yahoo 50 1..30", func(s *Scene) { s.Policy = "quarantine" }, []string{"info RPT-11 example.com"}, "forgotten"},
		{"signed by others", normal + "?>? l@list.example.org pass - google,yahoo 2 1..30", nil, []string{"info RPT-11 example.com"}, "aligns: 120 signed with other domains (list.example.org), by services"},
		{"forwarders that are known", normal + "?>? - - F google,yahoo 50 1..30", nil, []string{"info RPT-11 example.com"}, "aligns: 3,000 that were passed on by forwarders or lists, as receivers say"},
		{"of each some", normal + "?>? - - FA google,yahoo 100 1..30\n?>? l@a.example.org pass A google,yahoo 150 1..30\n?>? l@b.example.org pass A google,yahoo 250 1..30\n?>? x@c.example.org fail A google,yahoo 10 1..30", nil,
			[]string{"warning RPT-11 example.com"}, "aligns: 800 signed with other domains (b.example.org and a.example.org)…; 200 that were passed on…; 20 without…; 820 of all these were let through"},
		{"claimed impostors", normal + "?>? - - U evil,worse 5000 1..30", nil, []string{"info RPT-11 example.com"}, "nobody vouches"},

		// New.
		{"a new server", normal + "relay>relay relay-a pass DS google,yahoo 5 28..30", nil, []string{"info RPT-12 relay"}, "relay sends in the name of example.com since 28 May and was not seen before: 30 messages, of which 30 align"},
		{"a new stranger", normal + "?>? l@list.example.org pass S google,yahoo 9 28..30", nil, []string{"warning RPT-10 example.com", "info RPT-12 list.example.org"}, ""},
		{"new, but reports are as new", "mx1>mx1 mx1-a pass DS google,yahoo 50 28..30", nil, nil, ""},

		// DNS.
		{"one reporter's DNS", normal + "mx1>mx1 mx1-a temperror:dns S google 20 28..30", nil, []string{"info RPT-07 google"}, "google could not look up keys of example.com for 60 of 360 messages since 28 May, and the others could"},
		{"one reporter's permerror", normal + "mx1>mx1 mx1-a permerror:key S google 20 28..30", nil, []string{"info RPT-07 google"}, "google found no usable key of example.com"},
		{"now and then", normal + "mx1>mx1 mx1-a temperror:dns S google 1 1..30", nil, nil, ""},
		{"everybody's", normal + "mx1>mx1 mx1-a temperror:dns S google,yahoo 20 28..30", nil, []string{"warning RPT-08 example.com"}, "google and yahoo could not look up keys of example.com for 120 messages since 28 May"},
		{"the only reporter's", "mx1>mx1 mx1-a temperror:dns S google 20 28..30", nil, nil, ""},
		{"a stranger's", normal + "mx1>mx1 mx1-a temperror:dns SU evil 20 28..30", nil, []string{"info RPT-07 evil"}, "nobody vouches"},

		// Policy.
		{"strict alignment", normal + "mx1>mx1 mx1-x@sub.example.com pass S google,yahoo 5 3..30", func(s *Scene) { s.Strict = true }, []string{"warning DKIM-L04 mx1-x._domainkey.sub.example.com", "warning DMARC-24 _dmarc.example.com"}, ""},
		{"reject stops our own", normal + "mx1>mx1 - - R google,yahoo 5 3..30", func(s *Scene) { s.Policy = "reject" }, []string{"warning DKIM-L07 mx1", "warning DMARC-25 _dmarc.example.com"}, ""},
		{"quarantine would", normal + "mx1>mx1 - - R google,yahoo 5 3..30", func(s *Scene) { s.Policy = "quarantine" }, []string{"warning DKIM-L07 mx1"}, ""},
		{"an include that nobody uses", "mx1>mx1 mx1-a pass DSA google,yahoo 5000 -70..30\ngrid>grid s1 pass DSA google,yahoo 5000 -70..30", func(s *Scene) {
			s.From, s.Selectors = day(-70), nil
			s.Includes = []Include{{"sendgrid.net", cast["grid"]}, {"_spf.google.com", cast["google"]}, {"_spf.example.org", Who{}}}
		}, []string{"warning SPF-13 example.com"}, "the SPF record includes _spf.google.com of Google Workspace, and in 60 days of reports (20,000 messages) nothing came from there"},
		{"that somebody unknown may use", "mx1>mx1 mx1-a pass DSA google,yahoo 5000 -70..30\n?>? - - SA google,yahoo 500 -70..30", func(s *Scene) {
			s.From = day(-70)
			s.Selectors = s.Selectors[:1]
			s.Includes = []Include{{"_spf.google.com", cast["google"]}}
		}, []string{"warning RPT-10 example.com"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene := stage()
			var groups []Group
			for line := range strings.Lines(c.mail) {
				groups = append(groups, counted(t, scene, line)...)
			}
			if c.scene != nil {
				c.scene(&scene)
			}
			found := Diagnose(groups, scene)
			var got []string
			for _, d := range found {
				got = append(got, fmt.Sprint(d.Severity, " ", d.ID, " ", d.Subject))
				if d.Message == "" || d.Fix == "" || strings.HasSuffix(d.Message, ".") {
					t.Errorf("%+v", d)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q\n%+v", got, want, found)
				return
			}
			if c.says == "" {
				return
			}
			text := found[0].Message
			for piece := range strings.SplitSeq(c.says, "…") {
				_, after, ok := strings.Cut(text, piece)
				if !ok {
					t.Errorf("%q does not say %q", found[0].Message, piece)
				}
				text = after
			}
		})
	}
}

// TestDiagnoseRenamed: a signer whose name changed is one signer, by its newest name.
func TestDiagnoseRenamed(t *testing.T) {
	scene := stage()
	groups := counted(t, scene, "mx1>mx1 mx1-a fail - google,yahoo 6 20..21")
	for i := range groups {
		if groups[i].Signer.Name = "old-name"; i%2 == 0 {
			groups[i].Signer.Name = "older-name"
		}
		groups[i].First, groups[i].Last = day(29), day(30)
	}
	found := Diagnose(groups, scene)
	if len(found) != 1 || found[0].Subject != "mx1" || found[0].Messages != 24 || found[0].KeyID != "" {
		t.Errorf("%+v", found)
	}
}

// TestDiagnoseForged: whatever reports say that nobody vouches for, beside whatever else, they make nothing worse than information, and what the others show stays.
func TestDiagnoseForged(t *testing.T) {
	scene := stage()
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(rt, name) }
		draw := func(flags string) (groups []Group) {
			for range rapid.IntRange(1, 5).Draw(rt, "lines") {
				from := rapid.IntRange(1, 30).Draw(rt, "from")
				line := fmt.Sprintf("%s>%s %s %s %s%s%s%s %s %d %d..%d", pick("signer", "mx1", "mx2", "?", "grid", "google", "lone"), pick("source", "mx1", "mx2", "relay", "?", "either"),
					pick("selector", "mx1-a", "mx2-a", "rogue", "s1", "x@other.example", "-"), pick("result", "pass", "fail", "permerror", "temperror", "fail:body"),
					flags, pick("dkim", "D", "-"), pick("spf", "S", "-"), pick("list", "L", "A", "-"), pick("orgs", "evil,worse", "evil", "google,yahoo"), rapid.IntRange(1, 5000).Draw(rt, "n"), from, rapid.IntRange(from, 30).Draw(rt, "to"))
				groups = append(groups, counted(t, scene, line)...)
			}
			return groups
		}
		forged := draw("U")
		for _, d := range Diagnose(forged, scene) {
			if d.Severity != Info {
				rt.Fatalf("%+v", d)
			}
		}
		grave := func(found []Diagnosis) (out []string) {
			for _, d := range found {
				if d.Severity != Info {
					out = append(out, fmt.Sprintf("%s %s %s %s %d of %d since %s", d.Severity, d.ID, d.Subject, d.Message, d.Messages, d.Of, d.Since.Format(time.DateOnly)))
				}
			}
			return out
		}
		real := draw("")
		scene := scene
		if rapid.Bool().Draw(rt, "long") { // so that what was not seen for two months can be found, and hidden
			scene.From, scene.Absent, scene.Policy, scene.Strict = day(-70), []string{"rogue"}, "reject", true
			scene.Includes = []Include{{"sendgrid.net", cast["grid"]}, {"_spf.google.com", cast["google"]}}
			real = append(real, counted(t, scene, "relay>relay relay-a pass DSA google,yahoo 1000 -70..30")...)
		}
		if before, after := grave(Diagnose(real, scene)), grave(Diagnose(slices.Concat(real, forged), scene)); !slices.Equal(before, after) {
			rt.Fatalf("without: %q\nwith forged ones: %q", before, after)
		}
	})
}

// TestDiagnoseBounded: made-up selectors make no more than so many diagnoses, and it is said how many there are.
func TestDiagnoseBounded(t *testing.T) {
	scene := stage()
	var groups []Group
	for i := range 500 {
		groups = append(groups, counted(t, scene, fmt.Sprintf("?>? r%d pass D google,yahoo %d 30..30", i, 10+i))...)
	}
	found := Diagnose(groups, scene)
	if len(found) != maxAlike || found[0].Selector != "r499" || !strings.Contains(found[0].Message, "(and 480 more like this)") {
		t.Errorf("%d, %+v", len(found), found[0])
	}
}
