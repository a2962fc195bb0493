package dkim

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// endless is a body of so many octets that is never held as a whole.
type endless struct {
	head string
	line string
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.head != "" {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n+len(e.line) <= len(p) && e.left > 0 {
		n += copy(p[n:], e.line)
		e.left -= len(e.line)
	}
	return n, nil
}

func (e *endless) Close() error { return nil }

// TestExplainIsBounded: an explanation of a large or hostile message takes bounded memory and a bounded number of hypotheses.
func TestExplainIsBounded(t *testing.T) {
	key := ed25519Key(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, key)}}
	result := Result{Domain: "sign.example", Selector: "s"}
	const tags = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=sign.example; s=s; h=from:subject; bh=; b="
	header, _, _ := strings.Cut(referenceSign(t, key, reasonMessage, tags), "\r\n\r\n")
	for name, test := range map[string]struct {
		line string
		size int
		want string
	}{
		"too large":       {strings.Repeat("x", 998) + "\r\n", MaxExplainedBody + 1, "larger than 32 MiB"},
		"one line":        {"xxxxxxxx", 300 << 10, "in none of the ways"},
		"short lines":     {"x\r\n", 300 << 10, "in none of the ways"},
		"blank lines":     {"\r\n", 300 << 10, "in none of the ways"},
		"base64":          {strings.Repeat("QUJD", 19) + "\r\n", 300 << 10, "in none of the ways"},
		"soft breaks":     {"=\r\n", 300 << 10, "in none of the ways"},
		"bare octets":     {"\r\n\r\r\n\n", 300 << 10, "in none of the ways"},
		"white space":     {" \t", 300 << 10, "in none of the ways"},
		"boundary lines":  {"--b\r\n", 300 << 10, "in none of the ways"},
		"broken, doubled": {strings.Repeat("y", 100) + "!\r\n ", 300 << 10, "in none of the ways"},
	} {
		result.Reason = ReasonBodyHashMismatch
		opens := 0
		open := func() (io.ReadCloser, error) {
			opens++
			return &endless{head: header + "\r\n\r\n", line: test.line, left: test.size}, nil
		}
		octets := allocated(func() {
			e, err := Explain(t.Context(), open, opts, result)
			if err != nil || e.Cause != CauseUnknown || e.Proven || !strings.Contains(e.Text, test.want) {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
		})
		if octets > maxWorkingMemory || opens > 2 {
			t.Errorf("%s: %d octets were allocated, opened %d times", name, octets, opens)
		}
	}

	// As many fields and names as there may be.
	many := strings.Repeat("To: x\r\n", MaxHeaderFields-10) + "From: a\r\n\r\n"
	signed := referenceSign(t, key, many, "v=1; a=ed25519-sha256; c=simple/simple; d=sign.example; s=s; h=from"+strings.Repeat(":to", maxSignedNames-1)+"; bh=; b=")
	signed = strings.Replace(signed, "From: a", "From: b", 1)
	results, err := VerifyMessage(t.Context(), strings.NewReader(signed), opts)
	if err != nil || results[0].Reason != ReasonSignatureMismatch {
		t.Fatal(results, err)
	}
	x := &explainer{v: NewVerifier(opts), result: results[0], open: opener(signed)}
	if err := x.pass(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if e := x.explainHeader(t.Context()); e.Proven || x.trials > maxHeaderTrials || x.trials < maxSignedNames {
		t.Errorf("%+v after %d hypotheses", e, x.trials)
	}
}

// TestExplainCancelled: an explanation ends with its context.
func TestExplainCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Explain(ctx, opener(reasonMessage), VerifyOptions{Resolver: fixed{}}, Result{Reason: ReasonBodyHashMismatch})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
