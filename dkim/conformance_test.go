package dkim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// testdata is the shared test data, beside the checkout.
const testdata = "../../shared/testdata"

// manifestCase is one case of testdata/dkim/*/manifest.json; its README says what the members mean.
type manifestCase struct {
	Name           string                     `json:"name"`
	File           string                     `json:"file"`
	Expected       *string                    `json:"expected"`
	Accept         []string                   `json:"accept"`
	ExpectedModern *string                    `json:"expected_modern"`
	AcceptModern   []string                   `json:"accept_modern"`
	Disputed       any                        `json:"disputed"`
	DNSOverride    map[string]json.RawMessage `json:"dns_override"`
	Change         string                     `json:"change"`
	VerifyTime     int64                      `json:"verify_time"`
	Signatures     []struct {
		Index          int     `json:"index"`
		D              string  `json:"d"`
		S              string  `json:"s"`
		A              string  `json:"a"`
		C              string  `json:"c"`
		KeyBits        int     `json:"key_bits"`
		Expected       *string `json:"expected"`
		ExpectedModern *string `json:"expected_modern"`
	} `json:"signatures"`
}

// changeReasons are the reasons that each kind of change in signed-matrix may lead to. Where the change adds a tag to a
// signature that had it, the list is malformed; where it edits the oversigned copy only, the signature no longer fits.
var changeReasons = map[string][]dkim.Reason{
	"sig-no-bh":          {dkim.ReasonSignatureSyntax},
	"sig-no-from-in-h":   {dkim.ReasonFromNotSigned, dkim.ReasonSignatureMismatch},
	"sig-bad-alg":        {dkim.ReasonAlgorithmUnsupported},
	"sig-q-other":        {dkim.ReasonQueryUnsupported, dkim.ReasonSignatureSyntax},
	"sig-c-bad":          {dkim.ReasonCanonicalizationUnsupported},
	"sig-i-outside-d":    {dkim.ReasonDomainMismatch, dkim.ReasonSignatureSyntax},
	"sig-v2":             {dkim.ReasonVersionUnsupported},
	"sig-wrong-selector": {dkim.ReasonNoKey},
	"sig-expired":        {dkim.ReasonExpired},
	"sig-dup-tag":        {dkim.ReasonSignatureSyntax},
	"body-word":          {dkim.ReasonBodyHashMismatch},
	"body-lines-glued":   {dkim.ReasonBodyHashMismatch},
	"body-appended":      {dkim.ReasonBodyHashMismatch},
	"subject-word":       {dkim.ReasonSignatureMismatch},
	"header-removed":     {dkim.ReasonSignatureMismatch},
}

// want gives the results that count as agreement; nil when the source states none.
func (c *manifestCase) want() []string {
	if c.ExpectedModern != nil {
		return append([]string{*c.ExpectedModern}, c.AcceptModern...)
	}
	if c.Expected != nil {
		return append([]string{*c.Expected}, c.Accept...)
	}
	return nil
}

// zone answers from the format of testdata/dkim/*/dns.json.
type zone map[string]json.RawMessage

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	raw, ok := z[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var records []string
	if json.Unmarshal(raw, &records) == nil {
		return records, nil
	}
	var failure struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(raw, &failure); err != nil {
		return nil, err
	}
	return nil, &net.DNSError{
		Err: failure.Error, Name: name,
		IsNotFound: failure.Error == "nxdomain", IsTimeout: failure.Error == "timeout", IsTemporary: failure.Error != "nxdomain",
	}
}

// namedRecords answers by name.
type namedRecords map[string][]string

func (r namedRecords) LookupTXT(_ context.Context, name string) ([]string, error) {
	if records, ok := r[name]; ok {
		return records, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestConformance verifies every message of the shared sources. The counts are what the data held when this was written: a
// case that silently drops out fails the test.
func TestConformance(t *testing.T) {
	for source, least := range map[string]struct{ cases, signatures int }{
		"rfc":           {13, 14},
		"dkimpy":        {11, 6},
		"go-msgauth":    {7, 9},
		"mox":           {2, 3},
		"mail-dkim":     {37, 28},
		"signed-matrix": {304, 304},
	} {
		t.Run(source, func(t *testing.T) {
			dir := filepath.Join(testdata, "dkim", source)
			var manifest struct {
				Cases []manifestCase `json:"cases"`
			}
			readJSON(t, filepath.Join(dir, "manifest.json"), &manifest)
			var records zone
			readJSON(t, filepath.Join(dir, "dns.json"), &records)
			cases, agree, signatures := 0, 0, 0
			for _, c := range manifest.Cases {
				if c.Disputed != nil {
					continue
				}
				ok := t.Run(c.Name, func(t *testing.T) {
					z := zone{}
					for _, from := range []zone{records, c.DNSOverride} {
						for name, raw := range from {
							z[name] = raw
						}
					}
					message, err := os.ReadFile(filepath.Join(dir, c.File))
					if err != nil {
						t.Fatal(err)
					}
					opts := dkim.VerifyOptions{Resolver: z}
					if c.VerifyTime != 0 {
						opts.Now = func() time.Time { return time.Unix(c.VerifyTime, 0) }
					}
					results, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(message), opts)
					if err != nil {
						t.Fatal(err)
					}
					if want := c.want(); want != nil {
						cases++
						if got := string(dkim.Best(results)); !slices.Contains(want, got) {
							t.Errorf("result %s, want one of %v; %+v", got, want, results)
						}
					}
					if len(results) != len(c.Signatures) {
						t.Fatalf("%d signatures, want %d", len(results), len(c.Signatures))
					}
					for i, want := range c.Signatures {
						got := results[i]
						var accept []string
						if want.ExpectedModern != nil {
							accept = []string{*want.ExpectedModern}
						} else if want.Expected != nil {
							accept = []string{*want.Expected}
						}
						if len(c.Signatures) == 1 {
							accept = append(accept, c.want()...)
						}
						if accept == nil {
							continue
						}
						signatures++
						if !slices.Contains(accept, string(got.Result)) {
							t.Errorf("signature %d: %s (%v), want one of %v", i, got.Result, got.Err, accept)
						}
						if reasons := changeReasons[c.Change]; reasons != nil && !slices.Contains(reasons, got.Reason) {
							t.Errorf("signature %d: reason %q, want one of %q", i, got.Reason, reasons)
						}
						if got.Index != want.Index || got.Result == dkim.Pass && (got.Domain != strings.ToLower(want.D) ||
							got.Selector != want.S || got.Algorithm != want.A || want.KeyBits != 0 && got.KeyBits != want.KeyBits) {
							t.Errorf("signature %d: %+v, want %+v", i, got, want)
						}
					}
				})
				if ok && c.want() != nil {
					agree++
				}
			}
			t.Logf("corpus: DKIM, %s: %d cases run, %d agree, %d signatures judged one by one", source, cases, agree, signatures)
			if cases < least.cases || signatures < least.signatures {
				t.Errorf("%d cases with %d signatures ran, want at least %d and %d", cases, signatures, least.cases, least.signatures)
			}
		})
	}
}
