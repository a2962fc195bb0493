package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func scenario(t testing.TB, scene Scene, text string) (groups []Group) {
	t.Helper()
	for line := range strings.Lines(text) {
		groups = append(groups, counted(t, scene, line)...)
	}
	return groups
}

func TestAdvise(t *testing.T) {
	for _, c := range []struct {
		name    string
		mail    string
		ready   bool
		missing []string // how they begin or what they hold
		reasons []string
	}{
		{"all is well", normal, true, nil, []string{"of 6,000 messages of your own senders in 30 days 6,000 align (100 %), 6,000 by DKIM (100 %)"}},
		{"no reports", "", false, []string{"no reports"}, nil},
		{"only what nobody vouches for", "mx1>mx1 mx1-a pass DSU google,yahoo 50 1..30", false, []string{"no reports that are vouched for"}, nil},
		{"a week", "mx1>mx1 mx1-a pass DS google,yahoo 50 24..30", false, []string{"reports tell of 7 days; 14 are wanted"}, []string{"of 700 messages"}},
		{"one reporter", "mx1>mx1 mx1-a pass DS google 50 1..30", false, []string{"only google reports; 2 reporters are wanted"}, []string{"of 1,500"}},
		{"few messages", "mx1>mx1 mx1-a pass DS google,yahoo 1 1..30", false, []string{"reports tell of 60 messages of your own senders; 100"}, nil},
		{"a server that fails", normal + "mx1>mx1 mx1-a fail:body - google,yahoo 20 3..30", false,
			[]string{"of 7,120 messages of your own senders in 30 days 6,000 align (84.3 %), 6,000 by DKIM (84.3 %): more than 1 % do not", "mx1's signatures fail"}, nil},
		{"carried by SPF", normal + "mx1>mx1 - - S google,yahoo 20 3..30", false, []string{"15.7 % of your own mail rests on SPF alone", "1,120 of 3,920 messages come from mx1 without"}, []string{"7,120 align (100 %), 6,000 by DKIM"}},
		{"impostors are no hindrance", normal + "?>? - - - google,yahoo 500 1..30", true, nil, []string{"of 6,000", "30,000 messages (83.3 %) are of nobody known"}},
		{"lists are told", normal + "mx1>? mx1-a fail L google,yahoo 5 3..30", true, nil, []string{"of 6,000", "280 messages of yours were changed on their way by lists or forwarders (4.5 % of all)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene := stage()
			groups := scenario(t, scene, c.mail)
			a := Advise(groups, scene, Diagnose(groups, scene))
			holds := func(what string, got, want []string) {
				if len(got) != len(want) {
					t.Errorf("%s: %q\nwant %q", what, got, want)
					return
				}
				for i := range want {
					if !strings.Contains(got[i], want[i]) {
						t.Errorf("%s: %q does not hold %q", what, got[i], want[i])
					}
				}
			}
			holds("missing", a.Missing, c.missing)
			holds("reasons", a.Reasons, c.reasons)
			if a.Ready != c.ready || a.Aligned+a.NotAligned != a.Messages || a.OwnAligned > a.Own || a.OwnDKIM > a.OwnAligned || a.Own+a.PassedOn+a.Strangers > a.Messages {
				t.Errorf("%+v", a)
			}
			var senders int64
			for _, s := range a.Senders {
				senders += s.Messages
			}
			if senders != a.Messages {
				t.Errorf("senders have %d messages of %d", senders, a.Messages)
			}
		})
	}
}

func TestAdviseFigures(t *testing.T) {
	scene := stage()
	groups := scenario(t, scene, "mx1>mx1 mx1-a pass DS google,yahoo 10 11..20\nmx1>mx1 - - S google 5 11..20\nmx1>? mx1-a pass D yahoo 3 11..20\nmx1>? mx1-a fail L yahoo 2 11..20\n"+
		"grid>? s1 pass D google 4 11..20\ngoogle>? x@gappssmtp.com pass - google 1 11..20\n?>? - - R google 6 11..20\n?>? - - U evil 100 11..20")
	a := Advise(groups, scene, nil)
	if a.From != day(11) || a.To != day(20) || a.Days != 10 || !slices.Equal(a.Reporters, []string{"google", "yahoo"}) || a.Messages != 410 || a.Aligned != 320 || a.NotAligned != 90 || a.Unvouched != 1000 ||
		a.Own != 290 || a.OwnAligned != 290 || a.OwnDKIM != 240 || a.OwnSPF != 250 || a.PassedOn != 50 || a.PassedOnLost != 20 || a.Strangers != 70 {
		t.Errorf("%+v", a)
	}
	if s := a.Senders[0]; s.Who != cast["mx1"] || s.Messages != 300 || s.Aligned != 280 || s.DKIM != 230 || s.SPF != 250 || s.Reporters != 2 || s.First != day(11) || s.Last != day(20) {
		t.Errorf("%+v", s)
	}
	if i := slices.IndexFunc(a.Senders, func(s SenderFigures) bool { return s.Who == Who{} }); i < 0 || a.Senders[i].Rejected != 60 {
		t.Errorf("%+v", a.Senders)
	}
	long := Group{Org: "google", Reporter: "google", Vouched: true, Messages: math.MaxInt64, First: day(-10_000), Last: day(30)}
	if a := Advise([]Group{long, long}, scene, nil); a.Days != maxAdviceDays || a.Messages != math.MaxInt64 {
		t.Errorf("%d days, %d messages", a.Days, a.Messages)
	}
}

func TestBulk(t *testing.T) {
	scene := stage()
	groups := scenario(t, scene, "mx1>mx1 mx1-a pass DS google.com 4000 29..30\nmx2>mx2 mx2-a pass DS google.com 1000 30..30\nmx1>mx1 mx1-a pass D Outlook.com 100 29..30\nmx1>mx1 - - S Yahoo 10 29..29\n"+
		"mx1>mx1 mx1-a pass DS Yahoo 90 29..29\nmx1>mx1 mx1-a pass DS gmx 9999 29..30\n?>? - - - google.com 9999 29..30\nmx1>mx1 - - U Yahoo 9999 29..30\nmx1>mx1 - - - googlemail.evil.example 9999 29..30")
	all := Bulk(groups, scene)
	var got []string
	for _, b := range all {
		text := fmt.Sprintf("%s %s bulk=%v %d on %d of %d:", b.Provider, b.Refusal, b.Bulk, b.Most, b.On.Day(), b.Messages)
		for _, r := range b.Rules[:4] {
			text += fmt.Sprintf(" %s/%s", r.Rule, r.Met)
		}
		got = append(got, text)
		for _, r := range b.Rules[4:] {
			if r.Met != NotTold || r.Says == "" {
				t.Errorf("%+v", r)
			}
		}
	}
	want := []string{
		"Google 550 5.7.26 bulk=true 5000 on 30 of 9000: DKIM passes/kept SPF passes/kept From aligns with DKIM or SPF/kept there is a DMARC policy/kept",
		"Yahoo 550 5.7.9 bulk=false 100 on 29 of 100: DKIM passes/broken SPF passes/kept From aligns with DKIM or SPF/kept there is a DMARC policy/kept",
		"Microsoft 550 5.7.515 bulk=false 100 on 29 of 200: DKIM passes/kept SPF passes/not told From aligns with DKIM or SPF/kept there is a DMARC policy/kept",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if says := all[1].Rules[0].Says; says != "90 of 100 messages (90.0 %)" {
		t.Error(says)
	}
	scene.Policy = ""
	if b := Bulk(groups, scene)[0]; b.Rules[3].Met != Broken {
		t.Errorf("%+v", b)
	}
	month := scenario(t, scene, "mx1>mx1 mx1-a pass DSA google 120000 1..30")
	if b := Bulk(month, scene)[0]; b.Bulk || b.Most != 4000 {
		t.Errorf("%+v", b)
	}
}
