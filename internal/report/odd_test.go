package report

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
)

// What is strange in a report changes nothing else of it: what is right is read as it is, and what would make counts wrong is refused.
func TestOddContent(t *testing.T) {
	describe := func(in string) string {
		var out []string
		documents, problems := Open("in", []byte(in))
		for _, p := range problems {
			out = append(out, "problem: "+because(p.Err))
		}
		for _, d := range documents {
			var rows []string
			p, err := Parse(d, func(r *dmarc.Row) error {
				rows = append(rows, fmt.Sprintf("%s×%d", r.SourceIP, r.Count))
				checkTexts(t, reflect.ValueOf(*r))
				return nil
			})
			if err != nil {
				out = append(out, "problem: "+because(err))
				continue
			}
			checkTexts(t, reflect.ValueOf(p))
			switch p.Type {
			case Aggregate:
				out = append(out, fmt.Sprintf("%s of %s about %s, %s to %s: %s", p.Aggregate.ID, p.Aggregate.OrgName, p.Aggregate.Policy.Domain, dayAt(p.Aggregate.Begin), dayAt(p.Aggregate.End), strings.Join(rows, " ")))
			case TLS:
				good, bad := p.TLS.Sessions()
				out = append(out, fmt.Sprintf("%s of %s, %s to %s: %d+%d in %d", p.TLS.ID, p.TLS.OrgName, dayAt(p.TLS.Begin), dayAt(p.TLS.End), good, bad, len(p.TLS.Policies)))
			case Failure:
				out = append(out, fmt.Sprintf("%s of %s about %s: %q", p.Failure.SourceIP, p.Failure.Reporter, p.Failure.Domain, p.Failure.Failed))
			}
		}
		return strings.Join(out, "; ")
	}
	const usual = "1 of receiver.example about example.com, 2025-11-23 to 2025-11-23: 192.0.2.1×3"
	edit := func(old, new string) string { return strings.Replace(small, old, new, 1) }
	laughs := "<!DOCTYPE x [<!ENTITY a0 \"ha\">"
	for i := range 30 {
		laughs += fmt.Sprintf("<!ENTITY a%d \"&a%d;&a%d;&a%d;\">", i+1, i, i, i)
	}
	laughs += "]>"
	for what, c := range map[string]struct{ in, want string }{
		"as it should be":                           {small, usual},
		"entities that grow":                        {edit("<feedback>", laughs+"<feedback>"), usual},
		"an entity is used":                         {strings.Replace(edit("<feedback>", laughs+"<feedback>"), "receiver.example", "&a30;", 1), strings.Replace(usual, "receiver.example", "&a30;", 1)},
		"an entity from a file":                     {strings.Replace(edit("<feedback>", `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><feedback>`), "receiver.example", "&f;", 1), strings.Replace(usual, "receiver.example", "&f;", 1)},
		"a document type from elsewhere":            {edit("<feedback>", `<!DOCTYPE feedback SYSTEM "http://192.0.2.9/x.dtd"><feedback>`), usual},
		"an attribute twice":                        {edit("<row>", `<row a="1" a="2" a='>'>`), usual},
		"an instruction":                            {edit("<feedback>", `<?xml-stylesheet href="http://192.0.2.9/"?><feedback>`), usual},
		"an include":                                {edit("<record>", `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/><record>`), usual},
		"elements deep in what is unknown":          {edit("<record>", strings.Repeat("<a>", 50)+strings.Repeat("</a>", 50)+"<record>"), usual},
		"elements that are too deep":                {edit("<record>", strings.Repeat("<a>", 70)+"<record>"), "problem: dmarc: not a complete aggregate report: elements are nested more than 64 deep"},
		"a long tag":                                {edit("<row>", `<row a="`+strings.Repeat("x", 60<<10)+`">`), usual},
		"a long comment":                            {edit("<row>", "<!--"+strings.Repeat("x", 1<<20)+"--><row>"), usual},
		"a long CDATA section":                      {edit("<row>", "<a><![CDATA["+strings.Repeat("]", 1<<20)+"]]></a><row>"), usual},
		"octets that are no UTF-8":                  {edit("receiver.example", "re\xff\xfe\xc3ceiver"), strings.Replace(usual, "receiver.example", "re\ufffd\ufffd\ufffdceiver", 1)},
		"a surrogate, and one that is no character": {edit("receiver.example", "a&#xD800;b&#x110000;c\xed\xa0\x80"), strings.Replace(usual, "receiver.example", "a&#xD800;b&#x110000;c\ufffd\ufffd\ufffd", 1)},
		"a NUL":                             {edit("receiver.example", "a\x00b"), strings.Replace(usual, "receiver.example", "a\x00b", 1)},
		"a negative count":                  {edit("<count>3", "<count>-3"), `problem: dmarc: not a complete aggregate report: count: "-3" is not a number`},
		"a count beyond all mail":           {edit("<count>3", "<count>99999999999999"), "problem: dmarc: not a complete aggregate report: count: more messages than there are"},
		"a count of 2⁶⁴+3":                  {edit("<count>3", "<count>18446744073709551619"), `problem: dmarc: not a complete aggregate report: count: "18446744073709551619" is not a number`},
		"a count of zero":                   {edit("<count>3", "<count>0"), strings.Replace(usual, "×3", "×0", 1)},
		"no count":                          {edit("<count>3</count>", ""), strings.Replace(usual, "×3", "×0", 1)},
		"two counts":                        {edit("<count>3</count>", "<count>7</count><count>3</count>"), usual},
		"1970":                              {edit("1763856000", "0"), strings.Replace(usual, "2025-11-23 to", "1970-01-01 to", 1)},
		"2100":                              {edit("1763942399", "4102444800"), strings.Replace(usual, "to 2025-11-23", "to 2100-01-01", 1)},
		"before 1970":                       {edit("1763856000", "-86400"), `problem: dmarc: not a complete aggregate report: begin: "-86400" is not a number`},
		"a second report behind it":         {small + small, usual},
		"TLS":                               {tlsSmall, "t1 of R, - to -: 5+0 in 1"},
		"TLS: negative":                     {strings.Replace(tlsSmall, ":5", ":-5", 1), "t1 of R, - to -: 0+0 in 1"},
		"TLS: more than there are":          {strings.Replace(tlsSmall, ":5", ":9223372036854775807", 1), "t1 of R, - to -: 1099511627776+0 in 1"},
		"TLS: no number":                    {strings.Replace(tlsSmall, ":5", ":1e30", 1), "problem: it is no TLS report: total-successful-session-count cannot be number 1e30"},
		"TLS: octets that are no UTF-8":     {strings.Replace(tlsSmall, `"R"`, "\"R\xff\\ud800\"", 1), "t1 of R\ufffd\ufffd, - to -: 5+0 in 1"},
		"TLS: 1970 and 2100":                {strings.Replace(tlsSmall, `"report-id"`, `"date-range":{"start-datetime":"1970-01-01T00:00:00Z","end-datetime":"2100-01-01T00:00:00Z"},"report-id"`, 1), "t1 of R, 1970-01-01 to 2100-01-01: 5+0 in 1"},
		"TLS: a date that is none":          {strings.Replace(tlsSmall, `"report-id"`, `"date-range":{"start-datetime":"99999-01-01T00:00:00Z","end-datetime":"soon"},"report-id"`, 1), "t1 of R, - to -: 5+0 in 1"},
		"TLS: policies are no list":         {`{"report-id":"x","policies":{}}`, `problem: it is no TLS report: there is "{" where a list should begin`},
		"TLS: no policies":                  {`{"report-id":"x","policies":null}`, "x of , - to -: 0+0 in 0"},
		"TLS: names in capitals":            {strings.ToUpper(`{"organization-name":"R","report-id":"x","policies":[{"summary":{"total-successful-session-count":4}}]}`), "X of R, - to -: 4+0 in 1"},
		"TLS: an id that is a number":       {`{"organization-name":"R","report-id":7}`, " of R, - to -: 0+0 in 0"},
		"TLS: it breaks off":                {tlsSmall[:len(tlsSmall)-3], "problem: it is no TLS report: it breaks off"},
		"TLS: something follows":            {tlsSmall + " {}", "problem: it is no TLS report: something follows it"},
		"TLS: more policies than there are": {`{"report-id":"x","policies":[` + strings.Repeat("{},", maxTLSPolicies) + "{}]}", "problem: it has more than 10000 policies"},
		"failure: octets that are no UTF-8": {"Feedback-Type: auth-failure\nReported-Domain: ex\xffample.com\nSource-IP: 192.0.2.1\nAuth-Failure: dkim\xff\n", "192.0.2.1 of  about ex\ufffdample.com: [\"dkim\ufffd\"]"},
		"failure: a field twice":            {"Feedback-Type: auth-failure\nReported-Domain: a.example\nReported-Domain: b.example\nAuth-Failure: dkim\n", " of  about a.example: [\"dkim\"]"},
		"failure: lines that go on":         {"Feedback-Type: auth-failure\nReported-Domain:\n a.example\nAuth-Failure:\n\tspf,\n\tdkim\n\nSource-IP: 192.0.2.1\n", " of  about a.example: [\"spf\" \"dkim\"]"},
		"an archive that climbs":            {string(zipOf("../../../../etc/passwd", small)), usual},
	} {
		if got := describe(c.in); got != c.want {
			t.Errorf("%s:\n%.400q\nwant\n%.400q", what, got, c.want)
		}
	}
	documents, _ := Open("in.zip", zipOf("../../../../etc/\x1b[31mpasswd", small))
	if len(documents) != 1 || documents[0].Name != "in.zip, [31mpasswd" {
		t.Errorf("%+v", documents)
	}
}

// because is what people are told.
func because(err error) string {
	message, _ := fault.Show(err)
	return message
}

func dayAt(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// checkTexts looks at every text of a value: it is UTF-8, and not longer than what is kept.
func checkTexts(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) || len(s) > 1024 {
			t.Errorf("%q is kept", s)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			checkTexts(t, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkTexts(t, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			checkTexts(t, v.Field(i))
		}
	}
}
