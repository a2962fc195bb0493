package dkim

import (
	"fmt"
	"strings"
	"testing"
)

// TestHeaderDifferences: what was added or taken away is named, oversigning is not.
func TestHeaderDifferences(t *testing.T) {
	for _, test := range []struct {
		h, header string
		want      string
	}{
		{"from:to:subject", "From: a\r\nTo: b\r\nSubject: x\r\n", "[]"},
		{"from:from:to:to:cc:cc:date", "From: a\r\nTo: b\r\nCc: c\r\n", "[]"},
		{"from:from:to:to", "From: a\r\nFrom: b\r\nTo: b\r\n", "[from: h= names it 2×, present 2×: added]"},
		{"from:Subject", "From: a\r\nSubject: x\r\nsubject: y\r\n", "[Subject: h= names it 1×, present 2×: added]"},
		{"from:to:date", "From: a\r\nDate: x\r\n", "[to: h= names it 1×, present 0×: removed]"},
		{"from:from:to:to", "From: a\r\n", "[to: h= names it 2×, present 0×: removed]"},
		{"from:from:to:date:subject", "From: a\r\nTo: b\r\nDate: x\r\n", "[subject: h= names it 1×, present 0×: removed]"}, // From alone is oversigned
		{"from:received:received", "From: a\r\nReceived: x\r\n", "[received: h= names it 2×, present 1×: removed]"},
		{"from:received", "From: a\r\nReceived: x\r\nReceived: y\r\nX-A: b\r\nX-A: c\r\n", "[]"}, // trace fields come on top
		{"from:dkim-signature", "From: a\r\n", "[dkim-signature: h= names it 1×, present 0×: removed]"},
		{"from: :x-long-" + strings.Repeat("x", 50) + ":x-long-" + strings.Repeat("x", 50), "From: a\r\n",
			"[x-long-" + strings.Repeat("x", 33) + "…: h= names it 2×, present 0×: removed]"},
	} {
		key := ed25519Key(t)
		v := NewVerifier(VerifyOptions{Resolver: fixed{recordOf(t, key)}})
		own := strings.TrimSuffix(referenceSign(t, key, "X: x\r\n\r\n", "v=1; a=ed25519-sha256; d=sign.example; s=s; h="+test.h+"; bh=; b="), "X: x\r\n\r\n")
		for _, f := range referenceFields(own + test.header) {
			if err := v.Header([]byte(f)); err != nil {
				t.Fatal(err)
			}
		}
		r := v.Finish(t.Context())[0]
		if got := fmt.Sprint(r.Headers); r.Reason != ReasonSignatureMismatch || got != test.want {
			t.Errorf("h=%s: %s %s, want %s", test.h, string(r.Reason), got, test.want)
		}
	}
}
