package dkim_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// TestExplainCorpus explains the broken messages of signed-matrix, whose changes others made and named.
func TestExplainCorpus(t *testing.T) {
	dir := filepath.Join(testdata, "dkim", "signed-matrix")
	var manifest struct {
		Cases []manifestCase `json:"cases"`
	}
	readJSON(t, filepath.Join(dir, "manifest.json"), &manifest)
	var records zone
	readJSON(t, filepath.Join(dir, "dns.json"), &records)
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
			if e.Cause != "" {
				t.Logf("X %s %s %s %s %t", c.Change, r.Reason, r.Algorithm, e.Cause, e.Proven)
				_ = e.Text
			}
		}
	}
}
