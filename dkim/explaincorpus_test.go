package dkim_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// changeCauses are the causes that a change of signed-matrix has, proven and, where nothing proves them, guessed. An RSA signature
// shows that the header is another one, an Ed25519 signature does not.
var changeCauses = map[string]struct{ proven, guessed []dkim.Cause }{
	"":                      {[]dkim.Cause{dkim.CauseFinalLineEnd}, nil}, // two of Mail::DKIM (docs/conformance.md)
	"body-appended":         {[]dkim.Cause{dkim.CauseTextAppended}, nil},
	"body-space-end":        {[]dkim.Cause{dkim.CauseWhiteSpace}, nil},
	"body-space-run":        {[]dkim.Cause{dkim.CauseWhiteSpace}, nil},
	"body-lines-glued":      {nil, []dkim.Cause{dkim.CauseUnknown}}, // a space moved by two places
	"body-word":             {nil, []dkim.Cause{dkim.CauseUnknown}},
	"header-case":           {[]dkim.Cause{dkim.CauseNameCase}, nil},
	"second-subject-top":    {[]dkim.Cause{dkim.CauseFieldAdded}, nil},
	"second-subject-bottom": {[]dkim.Cause{dkim.CauseFieldAdded}, nil},
	"header-removed":        {[]dkim.Cause{dkim.CauseHeaderChanged}, []dkim.Cause{dkim.CauseFieldRemoved, dkim.CauseUnknown}},
	"sig-no-from-in-h":      {[]dkim.Cause{dkim.CauseHeaderChanged}, []dkim.Cause{dkim.CauseUnknown}},
	"subject-refold":        {[]dkim.Cause{dkim.CauseHeaderChanged}, []dkim.Cause{dkim.CauseUnknown}}, // folded elsewhere, and a space less
	"subject-word":          {[]dkim.Cause{dkim.CauseHeaderChanged}, []dkim.Cause{dkim.CauseUnknown}},
}

// TestExplainCorpus explains the broken messages of signed-matrix, whose changes others made and named.
func TestExplainCorpus(t *testing.T) {
	const least, leastProven = 81, 50 // what the data held when this was written
	dir := filepath.Join(testdata, "dkim", "signed-matrix")
	var manifest struct {
		Cases []manifestCase `json:"cases"`
	}
	readJSON(t, filepath.Join(dir, "manifest.json"), &manifest)
	var records zone
	readJSON(t, filepath.Join(dir, "dns.json"), &records)
	explained, proven := 0, 0
	for _, c := range manifest.Cases {
		message, err := os.ReadFile(filepath.Join(dir, c.File))
		if err != nil {
			t.Fatal(err)
		}
		opts := dkim.VerifyOptions{Resolver: records}
		if c.VerifyTime != 0 {
			opts.Now = func() time.Time { return time.Unix(c.VerifyTime, 0) }
		}
		results, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(message), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			e, err := dkim.Explain(t.Context(), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(message)), nil }, opts, r)
			if err != nil {
				t.Fatal(err)
			}
			if e.Cause == "" {
				continue
			}
			explained++
			want := changeCauses[c.Change].guessed
			if e.Proven {
				proven++
				want = changeCauses[c.Change].proven
			}
			if !slices.Contains(want, e.Cause) {
				t.Errorf("%s: %s, proven %t: %s; want one of %q", c.Name, e.Cause, e.Proven, e.Text, want)
			}
		}
	}
	t.Logf("corpus: explanations of signed-matrix: %d, %d of them proven", explained, proven)
	if explained < least || proven < leastProven {
		t.Errorf("%d explanations, %d proven, want at least %d and %d", explained, proven, least, leastProven)
	}
}
