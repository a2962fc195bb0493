package dkim

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawnMessage is a random message in its parts.
type drawnMessage struct {
	fields []string // each with its CRLF
	body   string
}

func (m drawnMessage) String() string { return strings.Join(m.fields, "") + "\r\n" + m.body }

// drawMessage draws a message with exactly one From, repeated and absent fields, folding, and odd but legal octets.
func drawMessage(t *rapid.T) drawnMessage {
	value := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "word", "two words", " ", "  ", "\t", "\r\n ", "\r\n\t", "é", ":", "\x01", "<x@y.example>", ";", "=", "b=", "\"q\"",
		}), 0, 8).Draw(t, "value"), "")
	})
	name := rapid.SampledFrom([]string{"Subject", "subject", "To", "Cc", "Received", "X-Other", "Message-ID", "List-Unsubscribe", "Date", "SUBJECT "})
	var m drawnMessage
	n := rapid.IntRange(0, 8).Draw(t, "fields")
	from := rapid.IntRange(0, n).Draw(t, "from")
	for i := range n + 1 {
		if i == from {
			m.fields = append(m.fields, "From:"+value.Draw(t, "From")+"\r\n")
			continue
		}
		m.fields = append(m.fields, name.Draw(t, "name")+":"+value.Draw(t, "value")+"\r\n")
	}
	m.body = bodyText(t)
	return m
}

func drawSigning(t *rapid.T, key crypto.Signer) Signing {
	canon := rapid.SampledFrom([]Canonicalization{Relaxed, Simple})
	s := Signing{
		Domain: "sign.example", Selector: "s", Key: key,
		HeaderCanonicalization: canon.Draw(t, "header"), BodyCanonicalization: canon.Draw(t, "body"),
	}
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"From", "subject", "To", "Received", "X-Absent", "X-Other", "Cc"}), 0, 6)
	if rapid.Bool().Draw(t, "own headers") {
		s.Headers = append([]string{"DKIM-Signature"}, names.Draw(t, "headers")...)
	}
	if rapid.Bool().Draw(t, "own oversign") {
		s.Oversign = append([]string{}, names.Draw(t, "oversign")...)
	}
	if rapid.Bool().Draw(t, "times") {
		s.Time = time.Unix(1700000000, 0)
		s.Expire = time.Duration(rapid.IntRange(0, 1000000).Draw(t, "expire")) * time.Second
	}
	if rapid.Bool().Draw(t, "identity") {
		s.Identity = "joe+x@mail.sign.example"
	}
	return s
}

// push hands a body on in random chunks.
func push(t *rapid.T, body string, to func([]byte)) {
	for len(body) > 0 {
		n := rapid.IntRange(1, len(body)).Draw(t, "chunk")
		to([]byte(body[:n]))
		body = body[n:]
	}
}

// TestSignThenVerify: what a Signer signs passes, whatever the message and the chunks.
func TestSignThenVerify(t *testing.T) {
	rsa, ed := rsaKey(t), ed25519Key(t)
	dns := &answers{records: map[string][]string{"s._domainkey.sign.example": {recordOf(t, rsa), recordOf(t, ed)}}}
	signer, err := NewSigner(Signing{Domain: "x.example", Selector: "x", Key: ed})
	if err != nil {
		t.Fatal(err)
	}
	verifier := NewVerifier(VerifyOptions{Resolver: dns, Now: func() time.Time { return time.Unix(1700000000, 0) }})
	rapid.Check(t, func(rt *rapid.T) {
		m := drawMessage(rt)
		signings := []Signing{drawSigning(rt, ed), drawSigning(rt, ed)}
		if rapid.IntRange(0, 9).Draw(rt, "with RSA") == 0 {
			signings[1].Key = rsa
		}
		if err := signer.Reset(signings...); err != nil {
			rt.Fatal(err)
		}
		for _, f := range m.fields {
			if err := signer.Header([]byte(f)); err != nil {
				rt.Fatalf("%q: %v", f, err)
			}
		}
		push(rt, m.body, signer.Body)
		own, err := signer.Finish()
		if err != nil {
			rt.Fatal(err)
		}
		verifier.Reset()
		for _, f := range own {
			if err := verifier.Header(f); err != nil {
				rt.Fatalf("own field %q: %v", f, err)
			}
		}
		for _, f := range m.fields {
			if err := verifier.Header([]byte(f)); err != nil {
				rt.Fatal(err)
			}
		}
		verifier.EndOfHeaders()
		push(rt, m.body, verifier.Body)
		results := verifier.Finish(t.Context())
		if len(results) != len(signings) {
			rt.Fatalf("%d results", len(results))
		}
		for i, r := range results {
			if r.Result != Pass {
				rt.Fatalf("signature %d: %v\n%s", i, r.Err, own[i])
			}
		}
	})
}

// signedForm is what a signature covers, by the slow reference: the canonical body and the canonical chosen fields.
func signedForm(m drawnMessage, s Signing, names []string) string {
	taken := make([]bool, len(m.fields))
	var form strings.Builder
	for _, name := range names {
		found := false
		for i := len(m.fields) - 1; i >= 0 && !found; i-- {
			have, _, _ := strings.Cut(m.fields[i], ":")
			if !taken[i] && strings.EqualFold(strings.TrimRight(have, " \t"), name) {
				taken[i], found = true, true
				form.WriteString(referenceHeader(s.HeaderCanonicalization, m.fields[i]))
			}
		}
		if !found {
			form.WriteString("\x00")
		}
	}
	return form.String() + "\x00\x00" + referenceBody(s.BodyCanonicalization, m.body)
}

// namesOf gives the names in h= of a field that a Signer made.
func namesOf(own string) []string {
	h := strings.ReplaceAll(own, "\r\n\t", "")
	_, h, _ = strings.Cut(h, "h=")
	h, _, _ = strings.Cut(h, ";")
	return strings.Split(h, ":")
}

// TestChangedOctets changes one octet, or takes one away or adds one, anywhere in header or body, field names included: the signature still passes exactly if what it
// covers, by the reference, is the same as before.
func TestChangedOctets(t *testing.T) {
	key := ed25519Key(t)
	dns := &answers{records: map[string][]string{"s._domainkey.sign.example": {recordOf(t, key)}}}
	opts := VerifyOptions{Resolver: dns, Now: func() time.Time { return time.Unix(1700000000, 0) }}
	broken := 0
	rapid.Check(t, func(rt *rapid.T) {
		m := drawMessage(rt)
		s := drawSigning(rt, key)
		own := signDrawn(rt, m, s)
		names := namesOf(string(own))

		changed := drawnMessage{fields: append([]string(nil), m.fields...), body: m.body}
		octet := rapid.SampledFrom([]string{"", "x", "X", " ", "\t", "\r\n", ":", "é", "  "}).Draw(rt, "octet")
		edit := func(text string, from int) string {
			at := rapid.IntRange(from, len(text)).Draw(rt, "at")
			end := min(len(text), at+rapid.IntRange(0, 1).Draw(rt, "cut"))
			return text[:at] + octet + text[end:]
		}
		which := rapid.IntRange(0, len(m.fields)).Draw(rt, "which")
		if which == len(m.fields) {
			changed.body = edit(m.body, 0)
		} else {
			f := edit(strings.TrimSuffix(m.fields[which], "\r\n"), 0)
			if referenceValid(f) {
				changed.fields[which] = f + "\r\n"
			} else { // no longer one field: the Verifier refuses it, and the rest goes on
				if err := new(fieldBlock).add([]byte(f + "\r\n")); !errors.Is(err, ErrFieldSyntax) {
					rt.Fatalf("%q: %v", f, err)
				}
				changed.fields = slices.Delete(changed.fields, which, which+1)
			}
		}
		want := Reason("")
		before, after := signedForm(m, s, names), signedForm(changed, s, names)
		if before != after {
			want = ReasonSignatureMismatch
			if which == len(m.fields) {
				want = ReasonBodyHashMismatch
			}
			broken++
		}
		v := NewVerifier(opts)
		for _, f := range append([]string{string(own)}, changed.fields...) {
			if err := v.Header([]byte(f)); err != nil {
				rt.Fatal(err)
			}
		}
		v.Body([]byte(changed.body))
		if r := v.Finish(t.Context())[0]; r.Reason != want {
			rt.Fatalf("%q, want %q\nbefore %q\nafter %q", string(r.Reason), string(want), before, after)
		}
	})
	if broken == 0 {
		t.Error("no change mattered")
	}
}

func signDrawn(rt *rapid.T, m drawnMessage, s Signing) []byte {
	signer, err := NewSigner(s)
	if err != nil {
		rt.Fatal(err)
	}
	for _, f := range m.fields {
		if err := signer.Header([]byte(f)); err != nil {
			rt.Fatal(err)
		}
	}
	signer.Body([]byte(m.body))
	own, err := signer.Finish()
	if err != nil {
		rt.Fatal(err)
	}
	return own[0]
}

// TestChangedSignatureField changes the signature's own field octet by octet: apart from white space under relaxed, no change
// passes.
func TestChangedSignatureField(t *testing.T) {
	key := ed25519Key(t)
	dns := &answers{records: map[string][]string{"s._domainkey.sign.example": {recordOf(t, key)}}}
	for _, c := range []Canonicalization{Relaxed, Simple} {
		fields, err := SignMessage(strings.NewReader(reasonMessage), Signing{Domain: "sign.example", Selector: "s", Key: key,
			HeaderCanonicalization: c, BodyCanonicalization: c, Time: time.Unix(1700000000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		own := string(fields[0])
		for at := len("DKIM-Signature:"); at < len(own)-2; at++ {
			if own[at] == '\r' || own[at] == '\n' || own[at] == '\t' {
				continue
			}
			changed := own[:at] + string(own[at]^1) + own[at+1:]
			results, err := VerifyMessage(t.Context(), strings.NewReader(changed+reasonMessage), VerifyOptions{Resolver: dns})
			if err != nil {
				t.Fatal(err)
			}
			// The last character of base64 before padding has bits that do not count.
			if strings.HasPrefix(own[at+1:], "==") {
				continue
			}
			if len(results) != 1 || results[0].Result == Pass {
				t.Errorf("%s: octet %d of %q changed to %q: %+v", c, at, own[max(0, at-10):at+1], changed[at], results)
			}
		}
	}
}

// TestAllocations holds the ceiling on allocations: it does not depend on the body's size.
func TestAllocations(t *testing.T) {
	const ceiling = 10
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey(t), "ed25519": ed25519Key(t)} {
		for _, size := range []int{2 << 10, 1 << 20} {
			for _, c := range []Canonicalization{Relaxed, Simple} {
				t.Run(fmt.Sprintf("%s/%d/%s", name, size, c), func(t *testing.T) {
					// Prose with every kind of white space that canonicalisation touches.
					body := []byte(strings.Repeat("Some words,  a tab\there, space at the end \r\n\r\n", size/48))
					signer, err := NewSigner(Signing{Domain: "sign.example", Selector: "s", Key: key, Time: time.Unix(1700000000, 0),
						HeaderCanonicalization: c, BodyCanonicalization: c})
					if err != nil {
						t.Fatal(err)
					}
					fields, _ := referenceSplit(reasonMessage)
					raw := make([][]byte, len(fields))
					for i, f := range fields {
						raw[i] = []byte(f)
					}
					var own []byte
					sign := func() {
						if err := signer.Reset(); err != nil {
							t.Fatal(err)
						}
						for _, f := range raw {
							if err := signer.Header(f); err != nil {
								t.Fatal(err)
							}
						}
						for rest := body; len(rest) > 0; rest = rest[min(len(rest), 65535):] {
							signer.Body(rest[:min(len(rest), 65535)])
						}
						out, err := signer.Finish()
						if err != nil {
							t.Fatal(err)
						}
						own = out[0]
					}
					if n := testing.AllocsPerRun(5, sign); n > ceiling {
						t.Errorf("%v allocations per signature, at most %d", n, ceiling)
					}
					verifier := NewVerifier(VerifyOptions{Resolver: fixed{recordOf(t, key)}, LookupTimeout: -1})
					verify := func() {
						verifier.Reset()
						if err := verifier.Header(own); err != nil {
							t.Fatal(err)
						}
						for _, f := range raw {
							if err := verifier.Header(f); err != nil {
								t.Fatal(err)
							}
						}
						for rest := body; len(rest) > 0; rest = rest[min(len(rest), 65535):] {
							verifier.Body(rest[:min(len(rest), 65535)])
						}
						if r := verifier.Finish(t.Context()); len(r) != 1 || r[0].Result != Pass {
							t.Fatal(r)
						}
					}
					if n := testing.AllocsPerRun(5, verify); n > ceiling {
						t.Errorf("%v allocations per verification, at most %d", n, ceiling)
					}
				})
			}
		}
	}
}
