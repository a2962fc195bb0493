package report

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// asAWhole is the document as encoding/json takes it at once; it is what the parser is compared with.
type asAWhole struct {
	OrgName  string   `json:"organization-name"`
	Range    tlsRange `json:"date-range"`
	Contact  string   `json:"contact-info"`
	ID       string   `json:"report-id"`
	Policies []struct {
		Policy  tlsPolicy   `json:"policy"`
		Summary tlsSummary  `json:"summary"`
		Details []tlsDetail `json:"failure-details"`
	} `json:"policies"`
}

func (w asAWhole) report() *TLSReport {
	r := &TLSReport{OrgName: kept(w.OrgName), Contact: kept(w.Contact), ID: kept(w.ID), Begin: moment(w.Range.Start), End: moment(w.Range.End)}
	for _, p := range w.Policies {
		out := TLSPolicy{Type: strings.ToLower(kept(p.Policy.Type)), Domain: domainOf(p.Policy.Domain), Strings: keptAll(p.Policy.Strings), MX: keptAll(p.Policy.MX),
			Successful: bounded(p.Summary.Successful), Failed: bounded(p.Summary.Failed)}
		for _, d := range p.Details {
			out.Failures = append(out.Failures, TLSFailure{Result: strings.ToLower(kept(d.Result)), SendingIP: kept(d.SendingIP), ReceivingMX: kept(d.ReceivingMX), ReceivingIP: kept(d.ReceivingIP),
				HELO: kept(d.HELO), Sessions: bounded(d.Sessions), Reason: kept(d.Reason), Information: kept(d.Information)})
		}
		r.Policies = append(r.Policies, out)
	}
	return r
}

// Piece by piece a TLS report says what it says as a whole.
func FuzzTLSLikeWhole(f *testing.F) {
	f.Add([]byte(tlsSmall))
	if data, err := os.ReadFile("../../../shared/testdata/dmarc/parsedmarc/smtp_tls/smtp_tls.json"); err == nil {
		f.Add(data)
	}
	f.Add([]byte(`{"x":[1,{"y":[]}],"report-id":"a\n","date-range":null,"policies":[null,{"policy":null,"summary":{"total-failure-session-count":2},"failure-details":[{},null]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole asAWhole
		if json.Unmarshal(data, &whole) != nil {
			return
		}
		low := bytes.ToLower(data)
		for _, key := range []string{"organization-name", "date-range", "contact-info", "report-id", "policies", "policy\"", "summary", "failure-details"} {
			if bytes.Count(low, []byte(key)) > 1 || bytes.Contains(data, []byte(`\u`)) || bytes.IndexFunc(data, func(r rune) bool { return r >= 0x80 }) >= 0 {
				return // which of two counts, and how names fold, is not what is compared
			}
		}
		want := whole.report()
		got, err := parseTLS(bytes.NewReader(data))
		if want.OrgName == "" && want.ID == "" && len(want.Policies) == 0 {
			return
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n%+v\nwant\n%+v", err, got, want)
		}
	})
}
