package lifecycle

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
)

const nonceHeader = "Postseal-Canary"

// zone answers TXT questions; a name that is missing does not exist.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if txt, ok := z[strings.TrimSuffix(name, ".")]; ok {
		return txt, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// deaf is a resolver that never answers.
type deaf struct{}

func (deaf) LookupTXT(context.Context, string) ([]string, error) {
	return nil, errors.New("i/o timeout")
}

// counting counts questions.
type counting struct {
	zone
	asked int
}

func (c *counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.asked++
	return c.zone.LookupTXT(ctx, name)
}

func makeKey(t *testing.T, algorithm dkim.KeyAlgorithm) (key crypto.Signer, record string) {
	t.Helper()
	key, err := dkim.GenerateKey(algorithm, nil)
	if err != nil {
		t.Fatal(err)
	}
	record, err = dkim.FormatKeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, record
}

// canaryOf is a message with the nonce, signed; over lists what is signed and oversigned beside From.
func canaryOf(t *testing.T, nonce string, key crypto.Signer, domain, selector string, over ...string) []byte {
	t.Helper()
	plain := fmt.Sprintf("From: Postseal <postmaster@%s>\r\nSubject: canary\r\n%s: %s\r\n\r\nnever sent\r\n", domain, nonceHeader, nonce)
	return signed(t, []byte(plain), key, domain, selector, over...)
}

func signed(t *testing.T, message []byte, key crypto.Signer, domain, selector string, over ...string) []byte {
	t.Helper()
	fields, err := dkim.SignMessage(bytes.NewReader(message), dkim.Signing{Domain: domain, Selector: selector, Key: key,
		HeaderCanonicalization: dkim.Relaxed, BodyCanonicalization: dkim.Relaxed, Headers: []string{"Subject"}, Oversign: append([]string{"From"}, over...)})
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Join(fields, nil), message...)
}

func TestCanary(t *testing.T) {
	key, record := makeKey(t, dkim.Ed25519)
	other, otherRecord := makeKey(t, dkim.Ed25519)
	rsa, rsaRecord := makeKey(t, dkim.RSA2048)
	const domain, selector, nonce = "example.com", "mx1-2606abcd", "canary_17"
	name := selector + "._domainkey." + domain
	live := zone{name: {record}, "s2._domainkey." + domain: {otherRecord}}
	good := canaryOf(t, nonce, key, domain, selector, nonceHeader)
	onTop := func(message []byte) []byte { // above From, below the signature
		if !bytes.Contains(message, []byte("\r\nFrom: ")) {
			t.Fatal("no From in the message")
		}
		return bytes.Replace(message, []byte("\r\nFrom: "), []byte("\r\n"+nonceHeader+": "+nonce+"\r\nFrom: "), 1)
	}
	for _, c := range []struct {
		name     string
		resolver dkim.Resolver
		message  []byte
		record   string
		nonce    string
		want     string // part of the sentence; "" = it verifies
		code     fault.Code
	}{
		{name: "good", message: good},
		{name: "good, with RSA", resolver: zone{name: {rsaRecord}}, record: rsaRecord, message: canaryOf(t, nonce, rsa, domain, selector, nonceHeader)},
		{name: "good, with another signature on top", message: signed(t, good, other, domain, "s2")},
		{name: "the nonce of another question", message: canaryOf(t, "canary_16", key, domain, selector, nonceHeader), want: "does not carry the nonce"},
		{name: "a replayed canary with the new nonce pasted in", want: "its signature is fail",
			message: bytes.Replace(canaryOf(t, "canary_16", key, domain, selector, nonceHeader), []byte("canary_16"), []byte(nonce), 1)},
		{name: "a replayed canary with a second nonce on top", want: "does not carry the nonce",
			message: onTop(canaryOf(t, "canary_16", key, domain, selector, nonceHeader))},
		{name: "any old mail with the nonce on top", want: "does not cover the nonce",
			message: onTop(signed(t, []byte("From: a@example.com\r\nSubject: hello\r\n\r\nhello\r\n"), key, domain, selector))},
		{name: "any old mail with the nonce before everything", want: "does not cover the nonce",
			message: append([]byte(nonceHeader+": "+nonce+"\r\n"), signed(t, []byte("From: a@example.com\r\nSubject: hello\r\n\r\nhello\r\n"+nonceHeader+": "+nonce+"\r\n"), key, domain, selector)...)},
		{name: "the nonce is not signed", message: canaryOf(t, nonce, key, domain, selector), want: "does not cover the nonce"},
		{name: "the nonce is in the body only", want: "does not carry the nonce",
			message: signed(t, []byte("From: a@example.com\r\nSubject: hello\r\n\r\n"+nonceHeader+": "+nonce+"\r\n"), key, domain, selector)},
		{name: "another selector", message: canaryOf(t, nonce, other, domain, "s2", nonceHeader), want: "no signature of selector " + selector},
		{name: "another domain", message: canaryOf(t, nonce, key, "example.net", selector, nonceHeader), want: "no signature of selector"},
		{name: "another key", message: canaryOf(t, nonce, other, domain, selector, nonceHeader), want: "its signature is fail (signature_mismatch)"},
		{name: "changed on the way", message: bytes.Replace(good, []byte("never sent"), []byte("ever sent"), 1), want: "body_hash_mismatch"},
		{name: "no record yet", resolver: zone{}, message: good, want: "no_key"},
		{name: "a revoked record", resolver: zone{name: {TombstoneValue}}, message: good, want: "its signature is permerror"},
		{name: "the same key in another record", resolver: zone{name: {record + "; n=other"}}, message: good, want: "not the expected one"},
		{name: "two records", resolver: zone{name: {record, "v=spf1 -all"}}, message: good, want: "not the expected one"},
		{name: "the expected record stands at another name", resolver: zone{name: {record + "; n=x"}, "s2._domainkey." + domain: {record}},
			message: signed(t, good, key, domain, "s2"), want: "not the expected one"},
		{name: "DNS does not answer", resolver: deaf{}, message: good, want: "could not be looked up", code: fault.Unavailable},
		{name: "no message", message: nil, want: "does not carry the nonce"},
		{name: "no nonce asked for", nonce: "-", message: canaryOf(t, "", key, domain, selector, nonceHeader), want: "does not carry the nonce"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resolver := c.resolver
			if resolver == nil {
				resolver = live
			}
			want, asked := record, nonce
			if c.record != "" {
				want = c.record
			}
			if c.nonce != "" {
				asked = ""
			}
			err := Canaries{Resolver: resolver, NonceHeader: nonceHeader}.Verify(t.Context(), domain, selector, want, asked, c.message)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it counts as proof")
			}
			code := c.code
			if code == "" {
				code = fault.Invalid
			}
			if message, _ := fault.Show(err); !strings.Contains(message, c.want) || fault.CodeOf(err) != code {
				t.Errorf("%s (%s), want %s (%s)", message, fault.CodeOf(err), c.want, code)
			}
		})
	}
	asked := &counting{zone: live}
	if err := (Canaries{Resolver: asked, NonceHeader: nonceHeader}).Verify(t.Context(), domain, selector, record, nonce, good); err != nil || asked.asked != 1 {
		t.Errorf("%d questions for one canary (%v): two answers may differ", asked.asked, err)
	}
}

// FuzzCanary: whatever an agent sends, nothing but a signature over the nonce is proof.
func FuzzCanary(f *testing.F) {
	key, err := dkim.GenerateKey(dkim.Ed25519, nil)
	if err != nil {
		f.Fatal(err)
	}
	record, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		f.Fatal(err)
	}
	const domain, selector = "example.com", "s1"
	c := Canaries{Resolver: zone{selector + "._domainkey." + domain: {record}}, NonceHeader: nonceHeader}
	sign := func(nonce string, over ...string) []byte {
		plain := []byte("From: a@" + domain + "\r\n" + nonceHeader + ": " + nonce + "\r\nSubject: canary\r\n\r\nbody\r\n")
		fields, err := dkim.SignMessage(bytes.NewReader(plain), dkim.Signing{Domain: domain, Selector: selector, Key: key, Oversign: append([]string{"From"}, over...)})
		if err != nil {
			f.Fatal(err)
		}
		return append(bytes.Join(fields, nil), plain...)
	}
	// Everything that was ever signed here: other questions, and one that does not cover its nonce.
	f.Add(sign("old", nonceHeader))
	f.Add(sign("new"))
	f.Add(bytes.Replace(sign("old", nonceHeader), []byte(": old"), []byte(": new"), 1))
	f.Add([]byte(nonceHeader + ": new\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if err := c.Verify(t.Context(), domain, selector, record, "new", message); err == nil {
			t.Errorf("proof without a signature: %q", message)
		}
	})
}
