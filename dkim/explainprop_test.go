package dkim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestExplainedCausesAreTrue changes random messages at random. Whatever Explain says is proven, a plain comparison of the
// message before and after must bear out; the comparison knows nothing of how Explain works.
func TestExplainedCausesAreTrue(t *testing.T) {
	ed, rsa := ed25519Key(t), rsaKey(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, ed), recordOf(t, rsa)}, Now: func() time.Time { return time.Unix(1700000000, 0) }}
	without := func(s, octets string) string {
		var out []byte
		for _, c := range []byte(s) {
			if strings.IndexByte(octets, c) < 0 {
				out = append(out, c)
			}
		}
		return string(out)
	}
	proven := 0
	rapid.Check(t, func(rt *rapid.T) {
		m := drawMessage(rt)
		if rapid.Bool().Draw(rt, "text") {
			m.body = strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", " ", "\t", "From ", ">", ".", "..", "=", "=3D", "--", "\r\n", "\r\n", "\r\n", "é", "\r", "\n", "====", strings.Repeat("x", 70)}), 0, 12).Draw(rt, "body"), "")
		}
		s := drawSigning(rt, ed)
		if rapid.IntRange(0, 3).Draw(rt, "RSA") == 0 {
			s.Key = rsa
		}
		own := string(signDrawn(rt, m, s))
		changed := drawnMessage{fields: slices.Clone(m.fields), body: m.body}
		octet := rapid.SampledFrom([]string{"", "x", " ", "\t", "\r\n", ".", ">", "=", "é", "\r", "\n", "From ", "\r\nfooter\r\n", "[x] "}).Draw(rt, "octet")
		edit := func(text string, from int) string {
			at := rapid.IntRange(from, len(text)).Draw(rt, "at")
			end := min(len(text), at+rapid.SampledFrom([]int{0, 0, 1, 2, 8}).Draw(rt, "cut"))
			return text[:at] + octet + text[end:]
		}
		for range rapid.IntRange(1, 3).Draw(rt, "edits") {
			if which := rapid.IntRange(0, 2*len(m.fields)).Draw(rt, "which"); which < len(m.fields) {
				f := strings.TrimSuffix(changed.fields[which], "\r\n")
				if f = edit(f, strings.IndexByte(f, ':')+1); referenceOneField(f) {
					changed.fields[which] = f + "\r\n"
				}
			} else {
				changed.body = edit(changed.body, 0)
			}
		}
		if rapid.IntRange(0, 5).Draw(rt, "add") == 0 {
			changed.fields = slices.Insert(changed.fields, rapid.IntRange(0, len(changed.fields)).Draw(rt, "where"), "Subject: new\r\n")
		}
		text := own + changed.String()
		results, err := VerifyMessage(t.Context(), strings.NewReader(text), opts)
		if err != nil || len(results) == 0 {
			return // the change took the first line ends away, so the message is read as another one
		}
		e, err := Explain(t.Context(), opener(text), opts, results[0])
		if err != nil {
			rt.Fatal(err)
		}
		before, after := referenceBody(s.BodyCanonicalization, m.body), referenceBody(s.BodyCanonicalization, changed.body)
		headBefore, headAfter := strings.Join(m.fields, ""), strings.Join(changed.fields, "")
		if e.Cause == "" != (results[0].Reason != ReasonBodyHashMismatch && results[0].Reason != ReasonSignatureMismatch) {
			rt.Fatalf("%q: %+v", string(results[0].Reason), e)
		}
		if !e.Proven {
			return
		}
		proven++
		names := namesOf(own)
		const white, breaks = " \t\r\n", "\r\n"
		var ok bool
		switch e.Cause {
		case CauseTextAppended:
			ok = strings.HasPrefix(after, before) || strings.Trim(before, breaks) == ""
			ok = ok || strings.Contains(after, before) // at both ends
		case CauseTextPrepended:
			ok = strings.HasSuffix(after, before)
		case CauseTextInserted:
			common := 0
			for common < min(len(before), len(after)) && before[common] == after[common] {
				common++
			}
			ok = strings.HasSuffix(after, before[common:]) && len(after) > len(before)
		case CauseWhiteSpace, CauseLineEnds:
			ok = without(before, white) == without(after, white)
		case CauseLinesBroken:
			ok = without(before, white+"!") == without(after, white+"!")
		case CauseDots:
			ok = without(before, "."+white) == without(after, "."+white)
		case CauseFromQuoted:
			ok = without(before, ">"+white) == without(after, ">"+white)
		case CauseEncoding:
			ok = strings.Contains(before+after, "=")
		case CauseFieldAdded:
			ok = len(changed.fields) > len(m.fields)
		case CauseSubjectTag:
			ok = len(headAfter) > len(headBefore)-8 && headBefore != headAfter
		case CauseFieldOrder:
			ok = headBefore != headAfter
		case CauseFolding:
			ok = without(signedForm(m, s, names), white) == without(signedForm(changed, s, names), white)
		case CauseHeaderChanged:
			ok = headBefore != headAfter && s.Key == rsa
		}
		// Every other cause is one of the signer, and this signer is right.
		if !ok {
			rt.Fatalf("%s: %s\nbody %q\nnow  %q\nheader %q\nnow    %q", e.Cause, e.Text, m.body, changed.body, headBefore, headAfter)
		}
	})
	if proven == 0 {
		t.Error("nothing was proven")
	}
	t.Logf("%d proven", proven)
}

// referenceOneField tells whether a field without its last line end is still one field.
func referenceOneField(f string) bool {
	lines := strings.Split(f, "\r\n")
	for _, line := range lines[1:] {
		if line == "" || line[0] != ' ' && line[0] != '\t' {
			return false
		}
	}
	return true
}
