package dkim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestReportRecord(t *testing.T) {
	for _, test := range []struct {
		text string
		want ReportRecord
		ok   bool
	}{
		{"ra=dkim-errors; rp=100; rr=v:x", ReportRecord{"dkim-errors", 100, []string{"v", "x"}, ""}, true}, // RFC 6651 §3.2
		{"ra=a", ReportRecord{"a", 100, []string{"all"}, ""}, true},
		{"ra = a=2Bb ; rp = 0 ;\r\n\trr= all : new:d ; rs=No=20such=3B; zz=1;", ReportRecord{"a+b", 0, []string{"all", "d"}, "No such;"}, true},
		{"rp=5", ReportRecord{"", 5, []string{"all"}, ""}, true},
		{"ra=a; rr=", ReportRecord{"a", 100, []string{}, ""}, true},
		{"", ReportRecord{}, false},
		{"no tag list", ReportRecord{}, false},
		{"ra=a; ra=b", ReportRecord{}, false},
		{"ra=a=2b", ReportRecord{}, false},
		{"ra=a=2", ReportRecord{}, false},
		{"ra=a=0A", ReportRecord{}, false},
		{"ra=a; rp=101", ReportRecord{}, false},
		{"ra=a; rp=-1", ReportRecord{}, false},
		{"ra=a; rp=", ReportRecord{}, false},
		{"ra=a; rs==0D=0AQUIT", ReportRecord{}, false},
		{"ra=a; n=" + strings.Repeat("x", maxRecordBytes), ReportRecord{}, false},
	} {
		got, err := ParseReportRecord(test.text)
		if test.ok != (err == nil) || err != nil && !errors.Is(err, ErrReportRecord) {
			t.Errorf("%.40q: %v", test.text, err)
		}
		if got.Address != test.want.Address || got.Percent != test.want.Percent || got.Text != test.want.Text || !slices.Equal(got.Requests, test.want.Requests) {
			t.Errorf("%.40q: %+v, want %+v", test.text, got, test.want)
		}
	}
	if name := ReportRecordName("sign.example"); name != "_report._domainkey.sign.example" {
		t.Error(name)
	}
	r := ReportRecord{Address: "a", Percent: 1, Requests: []string{"v"}}
	if !r.Wants("v") || r.Wants("x") || !(ReportRecord{Address: "a", Percent: 1, Requests: []string{"all"}}).Wants("x") ||
		(ReportRecord{Percent: 1, Requests: []string{"all"}}).Wants("x") || (ReportRecord{Address: "a", Requests: []string{"all"}}).Wants("x") {
		t.Error("Wants")
	}
}

// secureAnswers is a resolver that validates, and must not be asked in the other way.
type secureAnswers struct {
	answers
	authentic bool
}

func (*secureAnswers) LookupTXT(context.Context, string) ([]string, error) {
	return nil, errors.New("asked without DNSSEC")
}

func (s *secureAnswers) LookupTXTSecure(ctx context.Context, name string) ([]string, bool, error) {
	records, err := s.answers.LookupTXT(ctx, name)
	return records, s.authentic, err
}

// TestAuthentic: what a SecureResolver says of the key record is in the result, whatever the verdict; nothing else sets it.
func TestAuthentic(t *testing.T) {
	key := ed25519Key(t)
	records := map[string][]string{"s._domainkey.sign.example": {recordOf(t, key)}}
	message := referenceSign(t, key, reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; r=y; h=from:subject; bh=; b=")
	message = referenceSign(t, key, message, "v=1; a=ed25519-sha256; d=sign.example; s=none; r=n; h=from:subject; bh=; b=")
	for _, test := range []struct {
		resolver Resolver
		want     bool
	}{
		{&answers{records: records}, false},
		{&secureAnswers{answers{records: records}, false}, false},
		{&secureAnswers{answers{records: records}, true}, true},
	} {
		for text, reason := range map[string]Reason{message: "", strings.Replace(message, "hello", "Hello", 1): ReasonSignatureMismatch} {
			results, err := VerifyMessage(t.Context(), strings.NewReader(text), VerifyOptions{Resolver: test.resolver})
			if err != nil || len(results) != 2 {
				t.Fatal(results, err)
			}
			if r := results[1]; r.Reason != reason || r.Authentic != test.want || !r.ReportRequested {
				t.Errorf("%+v, want authentic %t", r, test.want)
			}
			if r := results[0]; r.Reason != ReasonNoKey || r.Authentic || r.ReportRequested {
				t.Errorf("no key: %+v", r)
			}
		}
	}
}
