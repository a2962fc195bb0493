package audit

import (
	"strings"
	"testing"
)

func TestErrandsOfPeople(t *testing.T) {
	key := "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 12)
	// A real key, for what only a parser can tell.
	const real = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	txt := Errand{Name: "x._domainkey.example.com", Type: "TXT", Want: key, Before: "v=DKIM1; p=OLD", Zone: "example.com"}
	edkey := txt
	edkey.Want = real
	alias := Errand{Name: "s1._domainkey.example.com", Type: "CNAME", Want: "s1.keys.example.net", Zone: "example.com"}
	removal := Errand{Name: "x._domainkey.example.com", Type: "TXT", Before: "v=DKIM1; p="}
	for name, c := range map[string]struct {
		errand Errand
		values []string
		alias  string
		code   string
		says   string
	}{
		"done":                      {txt, []string{key}, "", "", ""},
		"nothing yet":               {txt, nil, "", MistakeAbsent, "nothing"},
		"the former value":          {txt, []string{"v=DKIM1; p=OLD"}, "", MistakeOld, "former"},
		"a CNAME in the way":        {txt, nil, "other.example.net", MistakeType, "other.example.net"},
		"quotes":                    {txt, []string{`"` + key + `"`}, "", MistakeQuotes, "quotes"},
		"quoted pieces":             {txt, []string{`"` + key[:255] + `" "` + key[255:] + `"`}, "", MistakeQuotes, "quotes"},
		"quotes in the middle":      {txt, []string{key[:255] + `" "` + key[255:]}, "", MistakeQuotes, "quotes"},
		"quotes of a word program":  {txt, []string{"“" + key + "”"}, "", MistakeQuotes, "quotes"},
		"a line of a zone file":     {txt, []string{`x._domainkey.example.com. 3600 IN TXT "` + key[:255] + `" "` + key[255:] + `"`}, "", MistakeLine, "line"},
		"in parentheses":            {txt, []string{`( "` + key[:255] + `" "` + key[255:] + `" )`}, "", MistakeLine, "line"},
		"the name as value":         {txt, []string{"x._domainkey.example.com"}, "", MistakeName, "name"},
		"cut at 255":                {txt, []string{key[:255]}, "", MistakeCut, "first 255 of 402"},
		"cut elsewhere":             {txt, []string{key[:100]}, "", MistakeCut, "first 100 of 402"},
		"cut and quoted":            {txt, []string{`"` + key[:200]}, "", MistakeCut, "beginning"},
		"two records":               {txt, []string{key[255:], key[:255]}, "", MistakePieces, "2 records"},
		"escaped semicolons":        {txt, []string{strings.ReplaceAll(key, ";", `\;`)}, "", MistakeEscapes, `\;`},
		"a line break":              {txt, []string{key[:70] + "\n" + key[70:]}, "", MistakeSpaces, "line breaks"},
		"no spaces":                 {txt, []string{strings.ReplaceAll(key, " ", "")}, "", MistakeSpaces, "spaces"},
		"a no-break space":          {txt, []string{strings.Replace(key, " k", "\u00a0k", 1)}, "", MistakeSpaces, ""},
		"look-alikes":               {txt, []string{strings.Replace(key, ";", "；", 1)}, "", MistakeStrange, "look right"},
		"small letters":             {txt, []string{strings.ToLower(key)}, "", MistakeLetters, "small letters"},
		"something follows":         {txt, []string{key + " IN"}, "", MistakeMore, "follows"},
		"two mistakes":              {txt, []string{`"` + strings.ReplaceAll(key, ";", `\;`) + "\n"}, "", MistakeSpaces, "quotes, backslashes"},
		"the same in other words":   {edkey, []string{"v=DKIM1;k=ed25519;t=s;p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, "", MistakeWords, "same key"},
		"another beside it":         {txt, []string{key, "v=DKIM1; p=OLD"}, "", MistakeSeveral, "OLD"},
		"several others":            {txt, []string{"a", "b"}, "", MistakeOther, "stand there"},
		"something else":            {txt, []string{"v=spf1 -all"}, "", MistakeOther, "v=spf1"},
		"the same target":           {alias, []string{"s1.keys.example.net"}, "", "", ""},
		"the zone at the target":    {alias, []string{"s1.keys.example.net.example.com"}, "", MistakeAppended, "added to the target"},
		"another target":            {alias, []string{"s2.keys.example.net"}, "", MistakeOther, "s2.keys"},
		"removed":                   {removal, nil, "", "", ""},
		"not removed":               {removal, []string{"v=DKIM1; p="}, "", MistakeOld, "still"},
		"something else to be gone": {removal, []string{"v=DKIM1; p=NEW"}, "", MistakeOther, "NEW"},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.errand.Judge(c.values, c.alias)
			if m.Code != c.code || !strings.Contains(m.Message, c.says) {
				t.Errorf("%+v, want %s with %q", m, c.code, c.says)
			}
			if (m.Code != "") != (m.Fix != "") {
				t.Errorf("without a way to mend it: %+v", m)
			}
		})
	}
}

func TestPlacesOfErrands(t *testing.T) {
	names := func(e Errand) string {
		var all []string
		for _, p := range e.Places() {
			all = append(all, p.Name+" "+p.Type+" "+p.Mistake.Code)
			if !strings.Contains(p.Mistake.Message, p.Name) && p.Mistake.Code != MistakeType {
				t.Errorf("%+v does not say where", p)
			}
		}
		return strings.Join(all, "\n")
	}
	for _, c := range []struct {
		e    Errand
		want string
	}{
		{Errand{Name: "x._domainkey.example.com", Type: "TXT", Want: "v", Zone: "example.com"},
			"x._domainkey.example.com.example.com TXT doubled-name\nx.domainkey.example.com TXT wrong-name\nx.example.com TXT wrong-name\n_domainkey.example.com TXT wrong-name\nexample.com TXT wrong-name"},
		{Errand{Name: "x._domainkey.news.example.com", Type: "CNAME", Want: "v", Zone: "example.com"},
			"x._domainkey.news.example.com.example.com CNAME doubled-name\nx.domainkey.news.example.com CNAME wrong-name\nx.news.example.com CNAME wrong-name\n" +
				"_domainkey.news.example.com CNAME wrong-name\nnews.example.com CNAME wrong-name\nx._domainkey.example.com CNAME wrong-name\nx._domainkey.news.example.com TXT type"},
		{Errand{Name: "_dmarc.example.com", Type: "TXT", Want: "v", Zone: "example.com"},
			"_dmarc.example.com.example.com TXT doubled-name\ndmarc.example.com TXT wrong-name\nexample.com TXT wrong-name"},
		{Errand{Name: "x._domainkey.example.com", Type: "TXT", Zone: "example.com"}, ""}, // what shall go is nowhere else
	} {
		if got := names(c.e); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.e.Name, got, c.want)
		}
	}
}

// What stands at another name is ours only when it is what was asked for, with whatever mistakes; else nobody is told to move it.
func TestOthersRecordsAreNotOurs(t *testing.T) {
	e := Errand{Name: "x._domainkey.example.com", Type: "TXT", Want: "v=DKIM1; k=rsa; p=" + strings.Repeat("ABCD", 100), Zone: "example.com"}
	for value, ours := range map[string]bool{
		e.Want: true, `"` + e.Want + `"`: true, e.Want[:255]: true, "v=DKIM1; k=rsa; p=OTHER": false, "v=spf1 -all": false, "": false, "v=DKIM1": false,
	} {
		if e.Ours([]string{value}) != ours {
			t.Errorf("%q is ours: %v", value, !ours)
		}
	}
}

func FuzzErrandJudge(f *testing.F) {
	f.Add("v=DKIM1; p=AAAA", `"v=DKIM1\; p=AAAA"`)
	f.Add("x", "\xff\x00“")
	f.Fuzz(func(t *testing.T, want, value string) {
		e := Errand{Name: "x._domainkey.example.com", Type: "TXT", Want: want, Zone: "example.com"}
		m := e.Judge([]string{value}, "")
		if want != "" && (m.Code == "") != (value == want) {
			t.Errorf("%q for %q is %+v", value, want, m)
		}
		e.Ours([]string{value})
	})
}
