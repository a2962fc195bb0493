package audit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/internal/resolver"
)

// why names the section of RFC 9989 for which we judge a record otherwise than mox and mailcheck, which follow RFC 7489. Valid asks
// whether a receiver uses the record; theirs also asks whether every tag is well-formed.
func why(record string) string {
	switch {
	case strings.HasPrefix(record, "v=dmarc1"):
		return "§4.7: the value DMARC1 is case-sensitive"
	case strings.Contains(record, "sp=reject; p=reject"):
		return "§4.8: the order of tags behind v= is free"
	case strings.Contains(record, "!999"):
		return "§4.8: the limit of size is gone and is passed over"
	case strings.Contains(record, "fo= "):
		return "§4.8: white space may stand around ="
	case strings.Contains(record, "pct="), strings.Contains(record, "rf="), strings.Contains(record, "ri="):
		return "§4.8: unknown tags are passed over, and this one is unknown now"
	case strings.Contains(record, "adkim="), strings.Contains(record, "aspf="), strings.Contains(record, "fo="), strings.Contains(record, "ruf="):
		return "§4.8: a value that is wrong takes its default; the finding says so"
	}
	return ""
}

// TestDMARCVectors compares validity with the verdicts of mox and mailcheck.
func TestDMARCVectors(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][2]int{"mox": {39, 2}, "mailcheck": {40, 23}} {
		var suite struct {
			Cases []struct {
				Record string
				Valid  bool
			}
		}
		readJSON(t, "../../../shared/testdata/records/"+file+"-dmarc.json", &suite)
		agree, differ := 0, 0
		for _, c := range suite.Cases {
			l := LintDMARC(Value{Text: c.Record})
			mendsMend(t, LintDMARC, c.Record)
			if l.Valid == c.Valid {
				agree++
				continue
			}
			differ++
			reason := why(c.Record)
			if reason == "" {
				t.Errorf("%s: %q: valid %v, theirs %v: %+v", file, c.Record, l.Valid, c.Valid, l.Findings)
			}
			// What they refuse for a value that a receiver passes over is an error here too, beside what is gone or allowed.
			if !c.Valid && strings.Contains(reason, "takes its default") && !slices.ContainsFunc(l.Findings, func(f Finding) bool { return f.Severity == Error }) {
				t.Errorf("%s: %q: nothing is said about the value that is wrong: %+v", file, c.Record, l.Findings)
			}
			t.Logf("%s: %.60q: ours %v, theirs %v: %s", file, c.Record, l.Valid, c.Valid, reason)
		}
		t.Logf("corpus: DMARC records, %s: %d cases agree, %d differ for stated reasons", file, agree, differ)
		if got := [2]int{agree, differ}; got != want {
			t.Errorf("%s: %v agree and differ, want %v", file, got, want)
		}
	}
}

// TestSPFSuite takes the records of the openspf suite for RFC 7208: one that the suite evaluates to anything but permerror has a sound syntax and
// keeps within the limits, one that it evaluates to permerror has neither.
func TestSPFSuite(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../shared/testdata/spf/openspf/rfc7208-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	agree, differ := 0, 0
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var scenario struct {
			Description string `yaml:"description"`
			Tests       map[string]struct {
				MailFrom string `yaml:"mailfrom"`
				Helo     string `yaml:"helo"`
				Result   any    `yaml:"result"`
			} `yaml:"tests"`
			Zone map[string][]any `yaml:"zonedata"`
		}
		if err := decoder.Decode(&scenario); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for name, c := range scenario.Tests {
			result, single := c.Result.(string)
			_, domain, ok := strings.Cut(c.MailFrom, "@")
			if !ok {
				domain = c.Helo
			}
			domain = strings.ToLower(domain)
			own := suiteRecords(scenario.Zone, domain)
			if !single || result == "temperror" || result == "none" || len(own) == 0 {
				continue
			}
			bad := false
			tree := WalkSPF(domain, own, func(name, rrtype string) resolver.Answer { return suiteAnswer(scenario.Zone, name, rrtype) })
			for _, f := range tree.Findings {
				bad = bad || f.Severity == Error
			}
			for _, txt := range own {
				if isSPF(txt) {
					bad = bad || !LintSPF(Value{Text: txt}).Valid
					mendsMend(t, LintSPF, txt)
				}
			}
			reason := spfReasons()[name]
			switch {
			case bad == (result == "permerror"):
				agree++
			case reason != "":
				differ++
				t.Logf("%s: %s: %q: the suite says %s: %s", scenario.Description, name, own, result, reason)
			default:
				t.Errorf("%s: %s: %q: bad %v, the suite says %s: %+v", scenario.Description, name, own, bad, result, tree.Findings)
			}
		}
	}
	if agree != 183 || differ != len(spfReasons()) {
		t.Errorf("%d agree and %d differ", agree, differ)
	}
	t.Logf("corpus: SPF records, openspf: %d cases agree on syntax and limits, %d differ for stated reasons", agree, differ)
}

// spfReasons are the cases in which a look at the record alone cannot agree with its evaluation for one message.
func spfReasons() map[string]string {
	return map[string]string{
		"include-at-limit": "receivers stop at the term that matches; for other mail the eleventh look-up comes",
	}
}

func suiteRecords(zone map[string][]any, name string) []string {
	var spf, txt []string
	for key, entries := range zone {
		if !strings.EqualFold(strings.TrimSuffix(key, "."), name) {
			continue
		}
		for _, e := range entries {
			m, ok := e.(map[string]any)
			if !ok {
				continue
			}
			for t, v := range m {
				text := ""
				switch v := v.(type) {
				case string:
					text = v
				case []any:
					for _, s := range v {
						part, _ := s.(string)
						text += part
					}
				}
				switch t {
				case "SPF":
					spf = append(spf, text)
				case "TXT":
					txt = append(txt, text)
				}
			}
		}
	}
	if len(txt) > 0 {
		return slices.DeleteFunc(txt, func(s string) bool { return s == "NONE" })
	}
	return spf
}

func suiteAnswer(zone map[string][]any, name, rrtype string) resolver.Answer {
	if rrtype == "TXT" {
		if txt := suiteRecords(zone, name); len(txt) > 0 {
			return resolver.Answer{Status: resolver.StatusOK, TXT: txt}
		}
	}
	a := resolver.Answer{Status: resolver.StatusNXDomain}
	for key, entries := range zone {
		if !strings.EqualFold(strings.TrimSuffix(key, "."), name) {
			continue
		}
		a.Status = resolver.StatusNoData
		for _, e := range entries {
			if m, ok := e.(map[string]any); ok && m["CNAME"] != nil {
				return suiteAnswer(zone, strings.ToLower(strings.TrimSuffix(m["CNAME"].(string), ".")), rrtype)
			}
			if e == "TIMEOUT" {
				return resolver.Answer{Status: resolver.StatusError, Detail: resolver.DetailTimeout}
			}
			m, _ := e.(map[string]any)
			if v, ok := m[rrtype]; ok && v != "NONE" {
				a.Status = resolver.StatusOK
				if pair, ok := v.([]any); ok {
					a.Data = append(a.Data, "10 "+pair[1].(string)+".")
				} else if s, ok := v.(string); ok {
					a.Data = append(a.Data, s)
				}
			}
		}
	}
	return a
}

// TestPSLSuite runs the cases of the public suffix list against the library that the rules about organisational domains use.
func TestPSLSuite(t *testing.T) {
	t.Parallel()
	var suite struct {
		Cases []struct {
			Domain      string  `json:"domain"`
			Registrable *string `json:"registrable"`
		} `json:"cases"`
	}
	readJSON(t, "../../../shared/testdata/psl/test_psl.json", &suite)
	agree := 0
	for _, c := range suite.Cases {
		ascii, err := resolver.ToASCII(c.Domain)
		got := ""
		if err == nil {
			got, _ = publicsuffix.EffectiveTLDPlusOne(ascii)
		}
		want := ""
		if c.Registrable != nil {
			want, _ = resolver.ToASCII(*c.Registrable)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", c.Domain, got, want)
			continue
		}
		agree++
	}
	if agree != 78 {
		t.Errorf("%d cases", agree)
	}
	t.Logf("corpus: organisational domains by the public suffix list: %d cases agree", agree)
}
