package dmarc

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		txt     string
		want    Record // without Ignored
		ignored []string
		err     error
	}{
		{txt: "v=DMARC1; p=none", want: Record{Policy: PolicyNone}},
		{txt: "v=DMARC1;p=reject;", want: Record{Policy: PolicyReject}},
		{txt: "v = DMARC1 ; p\t=\tReject ; SP=None", want: Record{Policy: PolicyReject, Subdomains: PolicyNone}},
		{txt: "v=DMARC1; adkim=s; np=reject; p=quarantine; psd=n; t=y; aspf=S; fo=1:d:1", want: Record{
			Policy: PolicyQuarantine, Nonexistent: PolicyReject, DKIM: Strict, SPF: Strict, PSD: PSDNo, Testing: true,
			FailureWhen: []FailureOption{FailureAny, FailureDKIM}}},
		{txt: "v=DMARC1; p=none; rua=mailto:a@example.com,mailto:b@example.net!10M , https://example.org/r; ruf=mailto:c%2Cd@example.com", want: Record{
			Policy: PolicyNone,
			Aggregate: []URI{{Text: "mailto:a@example.com", Address: "a@example.com"}, {Text: "mailto:b@example.net", Address: "b@example.net", Size: "10M"},
				{Text: "https://example.org/r"}},
			Failure: []URI{{Text: "mailto:c%2Cd@example.com", Address: "c,d@example.com"}}}},
		{txt: "v=DMARC1; p=none; pct=50; rf=afrf; x1=y", want: Record{Policy: PolicyNone, Unknown: []string{"pct", "rf", "x1"}}},
		{txt: "v=DMARC1; psd=y", want: Record{PSD: PSDYes}, err: ErrNoPolicy},
		{txt: "v=DMARC1", err: ErrNoPolicy},
		{txt: "v=DMARC1; rua=mailto:a@example.com", want: Record{Aggregate: []URI{Mailto("a@example.com")}}},
		{txt: "v=DMARC1; p=rejct; rua=mailto:a@example.com", want: Record{Aggregate: []URI{Mailto("a@example.com")}, policyBroken: true}, ignored: []string{"p"}},
		{txt: "v=DMARC1; p=reject; sp=x", want: Record{Policy: PolicyReject, policyBroken: true}, ignored: []string{"sp"}, err: ErrNoPolicy},
		{txt: "v=DMARC1; p=none; rua=mailto:; ruf=x", want: Record{Policy: PolicyNone}, ignored: []string{"rua", "ruf"}},
		{txt: "v=DMARC1; p=none; adkim=x; aspf=; fo=2; psd=x; t=x; nonsense; =; fo2", want: Record{Policy: PolicyNone},
			ignored: []string{"adkim", "aspf", "fo", "psd", "t", "nonsense", "", "fo2"}},

		{txt: "", err: ErrNotDMARC},
		{txt: "v=DMARC12; p=none", err: ErrNotDMARC},
		{txt: "v=dmarc1; p=none", err: ErrNotDMARC},
		{txt: " v=DMARC1; p=none", err: ErrNotDMARC},
		{txt: "v=DMARC1 p=none", err: ErrNotDMARC},
		{txt: "p=none; v=DMARC1", err: ErrNotDMARC},
		{txt: "v=spf1 -all", err: ErrNotDMARC},
		{txt: "v=DMARC1; p=none; P=reject", err: ErrDuplicateTag},
		{txt: "v=DMARC1; p=none; v=DMARC1", err: ErrDuplicateTag},
		{txt: "v=DMARC1; p=none; x=1; x=2", err: ErrDuplicateTag},
		{txt: "v=DMARC1; p=none; x=" + strings.Repeat("y", MaxRecord), err: ErrTooLong},
	} {
		r, err := Parse(tc.txt)
		if !errors.Is(err, tc.err) {
			t.Errorf("%.60q: err = %v, want %v", tc.txt, err, tc.err)
			continue
		}
		var typed *Error
		if err != nil && !errors.As(err, &typed) {
			t.Errorf("%.60q: %T is not an *Error", tc.txt, err)
		}
		if r == nil {
			if err == nil || errors.Is(err, ErrNoPolicy) {
				t.Errorf("%q: no record", tc.txt)
			}
			continue
		}
		var ignored []string
		for _, e := range r.Ignored {
			ignored = append(ignored, e.Where)
		}
		if !slices.Equal(ignored, tc.ignored) {
			t.Errorf("%q: ignored %q, want %q", tc.txt, ignored, tc.ignored)
		}
		r.Ignored = nil
		if !reflect.DeepEqual(*r, tc.want) {
			t.Errorf("%q:\n%+v\nwant\n%+v", tc.txt, *r, tc.want)
		}
	}
}

func TestPolicyFor(t *testing.T) {
	for _, tc := range []struct {
		txt                   string
		own, below, notExists Policy
	}{
		{"v=DMARC1; p=reject", PolicyReject, PolicyReject, PolicyReject},
		{"v=DMARC1; p=reject; sp=none", PolicyReject, PolicyNone, PolicyNone},
		{"v=DMARC1; p=none; sp=quarantine; np=reject", PolicyNone, PolicyQuarantine, PolicyReject},
		{"v=DMARC1; p=none; np=reject", PolicyNone, PolicyNone, PolicyReject},
		{"v=DMARC1; rua=mailto:a@example.com; sp=reject", PolicyNone, PolicyNone, PolicyNone},
		{"v=DMARC1; p=reject; np=bad; rua=mailto:a@example.com", PolicyNone, PolicyNone, PolicyNone},
	} {
		r, err := Parse(tc.txt)
		if err != nil {
			t.Fatal(err)
		}
		if own, below, not := r.For(true, true), r.For(false, true), r.For(false, false); own != tc.own || below != tc.below || not != tc.notExists {
			t.Errorf("%q: %s %s %s", tc.txt, own, below, not)
		}
	}
}

func TestRecordString(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{"v=DMARC1;p=none", "v=DMARC1; p=none"},
		{"v=DMARC1; aspf=s; adkim=r; fo=0; psd=u; t=n; p=reject; np=reject", "v=DMARC1; p=reject; np=reject; aspf=s"},
		{"v=DMARC1; rua=mailto:a@example.com!5k,mailto:b@example.com; p=none; t=y; pct=7; fo=1:s", "v=DMARC1; p=none; rua=mailto:a@example.com,mailto:b@example.com; fo=1:s; t=y"},
		{"v=DMARC1; psd=y; rua=mailto:a%2Cb@example.com", "v=DMARC1; rua=mailto:a%2Cb@example.com; psd=y"},
	} {
		r, err := Parse(tc.in)
		if err != nil {
			t.Fatal(err)
		}
		if r.String() != tc.out {
			t.Errorf("%q: %q, want %q", tc.in, r, tc.out)
		}
		if back, err := Parse(r.String()); err != nil || back.String() != tc.out {
			t.Errorf("%q comes back as %v, %v", tc.out, back, err)
		}
	}
	if u := Mailto("we;ird,na!me?%@example.com"); true {
		r, err := Parse("v=DMARC1; p=none; rua=" + u.String())
		if err != nil || len(r.Aggregate) != 1 || r.Aggregate[0].Address != u.Address {
			t.Errorf("%v: %+v, %v", u, r, err)
		}
	}
}

// Records on which other projects decided otherwise, each with the reason. Both follow RFC 7489.
var disagreements = map[string]string{
	"v=DMARC1; sp=reject; p=reject": "RFC 9989 §4.7: only v has to be first",
	"v=DMARC1;p=none;fo= 0":         "RFC 9989 §4.8: white space may stand around =",
	"v=DMARC1;p=none;fo= 1":         "RFC 9989 §4.8: white space may stand around =",
	"v=DMARC1;p=none;fo= d":         "RFC 9989 §4.8: white space may stand around =",
	"v=DMARC1;p=none;pct=abc":       "RFC 9989 §4.7: pct is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;pct=":          "RFC 9989 §4.7: pct is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;rf=abc":        "RFC 9989 §4.7: rf is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;rf=":           "RFC 9989 §4.7: rf is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;ri=18=18":      "RFC 9989 §4.7: ri is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;ri=-18":        "RFC 9989 §4.7: ri is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;ri=abc":        "RFC 9989 §4.7: ri is gone, and unknown tags are ignored",
	"v=DMARC1;p=none;ruf=":          "RFC 9989 §4.8: a list of URIs has at least one",
	"v=dmarc1;p=none":               "RFC 9989 §4.7: the value of v is case-sensitive",
	"v=dmarc1 ;p=none":              "RFC 9989 §4.7: the value of v is case-sensitive",
	"v=DMARC1; rua=mailto:dmarc-feedback@example.com!99999999999999999999999999999999999999999999999": "RFC 9989 §4.7: a size is ignored, whatever it says",
}

func TestRecordsOfOthers(t *testing.T) {
	for _, file := range []string{"mox-dmarc.json", "mailcheck-dmarc.json"} {
		var suite struct {
			Cases []struct {
				Record string
				Valid  bool
				Note   string
			}
		}
		readJSON(t, "../../shared/testdata/records/"+file, &suite)
		agreed := 0
		for _, c := range suite.Cases {
			r, err := Parse(c.Record)
			// One of the two flags slips that RFC 9989 tells receivers to pass over; Ignored is where we say so. mox is a
			// receiver: with a policy or an address it takes the rest as it is.
			valid := err == nil && (len(r.Ignored) == 0 || r.policyBroken && file == "mox-dmarc.json")
			reason, known := disagreements[c.Record]
			switch {
			case valid == c.Valid && !known:
				agreed++
			case valid == c.Valid:
				t.Errorf("%q: agreed, and is listed as a disagreement", c.Record)
			case !known:
				t.Errorf("%q (%s): valid %v, %s says %v (%v)", c.Record, c.Note, valid, file, c.Valid, err)
			default:
				t.Logf("%q: valid %v, %s says %v: %s", c.Record, valid, file, c.Valid, reason)
			}
		}
		t.Logf("corpus: DMARC records, %s: %d of %d agree", file, agreed, len(suite.Cases))
		if agreed < 30 {
			t.Errorf("%s: agreed on %d only", file, agreed)
		}
	}
}

func readJSON(t testing.TB, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("%s is missing", file)
		}
		t.Skipf("%s is missing", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=none", "v = DMARC1 ; P = reject ; sp=none; fo=0:1; rua=mailto:a@b.example!10m,mailto:c@d.example; psd=y; t=y; np=x", "v=DMARC1;;=;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if (r == nil) != (err != nil && !errors.Is(err, ErrNoPolicy)) {
			t.Fatalf("record %v, error %v", r, err)
		}
		if (err == nil) && !IsRecord(s) {
			t.Fatal("parsed, and is no record")
		}
		if err != nil || r.policyBroken {
			return
		}
		back, err := Parse(r.String())
		if err != nil {
			t.Fatalf("%q: %v", r, err)
		}
		if back.String() != r.String() {
			t.Fatalf("%q became %q", r, back)
		}
	})
}
