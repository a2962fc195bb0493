package dkim

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"net"
	"strings"
	"testing"
)

// TestExplainHeader signs a header and mails another one, with RSA, which shows what was signed, and with Ed25519, which does not.
func TestExplainHeader(t *testing.T) {
	replace := func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
	const original = "From: Joe <joe@sign.example>\r\nTo: a@receive.example,\r\n\tb@receive.example\r\nSubject: Re: hello there\r\n" +
		"Received: x\r\nReceived: y\r\nReply-To:joe@sign.example\r\n"
	const usual = "from:from:to:subject:subject:received:reply-to:cc"
	for _, test := range []struct {
		name   string
		c      string // canonicalisation of the header; "" = both
		h      string // "" = usual
		change func(string) string
		want   Cause
		guess  Cause // with Ed25519 where nothing is proven; "" = proven too
		text   string
	}{
		{"tag", "", "", replace("Re: hello", "[list] Re: hello"), CauseSubjectTag, "", "“[list]”"},
		{"tag behind Re:", "", "", replace("Re: hello", "Re: [my list] hello"), CauseSubjectTag, "", "“[my list]”"},
		{"spam mark", "", "", replace("Re: hello", "***SPAM*** Re: hello"), CauseSubjectTag, "", "“***SPAM***”"},
		{"mark of two words", "", "", replace("Re: hello", "EXTERNAL MAIL: Re: hello"), CauseSubjectTag, "", "“EXTERNAL MAIL:”"},
		{"tag and Cc", "", "", func(h string) string { return strings.Replace(h, "Re:", "[l] Re:", 1) + "Cc: c@receive.example\r\n" }, CauseSubjectTag, "", "“[l]” in front after signing, and a field was added: “Cc: c@receive.example”"},
		{"oversigned field added", "", "", func(h string) string { return h + "Cc: c@receive.example\r\n" }, CauseFieldAdded, "", "“Cc: c@receive.example”"},
		{"second From", "", "", func(h string) string { return h + "From: evil@receive.example\r\n" }, CauseFieldAdded, "", "“From: evil"},
		{"second From above", "", "", func(h string) string { return "From: evil@receive.example\r\n" + h }, CauseFieldAdded, "", "“From: evil"},
		{"From rewritten", "", "", replace("From: Joe", "From: list@receive.example\r\nX-Original-From: Joe"), CauseFieldRewritten, "", "X-Original-From has"},
		{"received in another order", "", "", replace("Received: x\r\nReceived: y\r\n", "Received: y\r\nReceived: x\r\n"), CauseFieldOrder, "", "from the top"},
		{"unfolded", "simple", "", replace(",\r\n\tb", ", b"), CauseHeaderChanged, CauseUnknown, ""},
		{"folded", "simple", "", replace("Re: hello", "Re:\r\n hello"), CauseFolding, "", "Subject was folded"},
		{"folded with new space", "", "", replace("hello", "hel\r\n lo"), CauseFolding, "", "Subject was folded"},
		{"folded with a tab", "simple", "", replace("Re: hello", "Re:\r\n\thello"), CauseFolding, "", "Subject was folded"},
		{"folded with a space for the tab", "simple", "", replace("\r\n\t", "\r\n "), CauseFolding, "", ""},
		{"space behind the colon", "simple", "", replace("Reply-To:", "Reply-To: "), CauseFolding, "", "Reply-To was folded"},
		{"no space behind the colon", "simple", "", replace("To: a", "To:a"), CauseFolding, "", "To was folded"},
		{"name in capitals", "simple", "", replace("Subject:", "SUBJECT:"), CauseNameCase, "", "SUBJECT was written Subject"},
		{"name respelt", "simple", "", replace("Reply-To:", "Reply-to:"), CauseNameCase, "", "Reply-to was written Reply-To"},
		{"another word", "", "", replace("hello", "goodbye"), CauseHeaderChanged, CauseUnknown, ""},
		{"removed", "", "", replace("Subject: Re: hello there\r\n", ""), CauseHeaderChanged, CauseFieldRemoved, "subject: h= names it 2×, present 0×: removed"},
		{"added and changed", "", "", func(h string) string { return strings.Replace(h, "hello", "bye", 1) + "Subject: x\r\n" }, CauseHeaderChanged, CauseFieldAdded, "subject: h= names it 2×, present 2×: added"},
	} {
		for _, c := range []string{"simple", "relaxed"} {
			for a, key := range map[string]crypto.Signer{"rsa-sha256": rsaKey(t), "ed25519-sha256": ed25519Key(t)} {
				if test.c != "" && test.c != c {
					continue
				}
				h := test.h
				if h == "" {
					h = usual
				}
				message := referenceSign(t, key, original+"\r\nHi.\r\n", "v=1; a="+a+"; c="+c+"/simple; d=sign.example; s=s; h="+h+"; bh=; b=")
				own := strings.TrimSuffix(message, original+"\r\nHi.\r\n")
				r, e := explained(t, own+test.change(original)+"\r\nHi.\r\n", VerifyOptions{Resolver: fixed{recordOf(t, key)}})
				want, proven := test.want, true
				if a == "ed25519-sha256" && test.guess != "" {
					want, proven = test.guess, false
				}
				if r.Reason != ReasonSignatureMismatch || e.Cause != want || e.Proven != proven || !strings.Contains(e.Text, test.text) {
					t.Errorf("%s %s %s: %q: %s, proven %t: %q; want %s, %t: %q", test.name, c, a, string(r.Reason), e.Cause, e.Proven, e.Text, want, proven, test.text)
				}
				if len(e.Headers) != len(r.Headers) {
					t.Errorf("%s: %v, verified with %v", test.name, e.Headers, r.Headers)
				}
			}
		}
	}
}

// TestExplainKey: signatures of other keys, other hashes and other forms.
func TestExplainKey(t *testing.T) {
	key, other := rsaKey(t), privateKey(t, "dkimpy/keys/test.private")
	const tags = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=sign.example; s=s; h=from:subject; bh=; b="
	good := referenceSign(t, key, reasonMessage, tags)
	sha1Signed := func() string {
		digest := make([]byte, crypto.SHA1.Size())
		sig, err := key.Sign(rand.Reader, digest, crypto.SHA1)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(good, "; b=") + 4
		return good[:at] + base64.StdEncoding.EncodeToString(sig) + good[strings.Index(good, "\r\n"):]
	}
	for _, test := range []struct {
		name, message string
		records       []string
		want          Cause
		proven        bool
		text          string
	}{
		{"another key of another size", good, []string{recordOf(t, other)}, CauseNotThisKey, true, "has 256 octets"},
		{"another key", referenceSign(t, privateKey(t, "dkimpy/keys/2048_testkey.key"), reasonMessage, tags), []string{recordOf(t, freshRSA(t))}, CauseNotThisKey, true, "Another private key"},
		{"b= damaged", damaged(good), []string{recordOf(t, key)}, CauseNotThisKey, true, "b= was damaged"},
		{"the second record has the key", strings.Replace(good, "hello", "Hello", 1), []string{recordOf(t, other), recordOf(t, key)}, CauseHeaderChanged, true, ""},
		{"another hash", sha1Signed(), []string{recordOf(t, key)}, CauseOtherHash, true, "another hash"},
		{"relaxed though c= says simple", referenceCanon(t, key, "relaxed", "simple"), []string{recordOf(t, key)}, CauseOtherCanonicalization, true, "relaxed header canonicalisation, but c= says simple"},
		{"simple though c= says relaxed", referenceCanon(t, key, "simple", "relaxed"), []string{recordOf(t, key)}, CauseOtherCanonicalization, true, "simple header canonicalisation, but c= says relaxed"},
	} {
		r, e := explained(t, test.message, VerifyOptions{Resolver: fixed(test.records)})
		if r.Reason != ReasonSignatureMismatch || e.Cause != test.want || e.Proven != test.proven || !strings.Contains(e.Text, test.text) {
			t.Errorf("%s: %q: %s, proven %t: %q; want %s, %t: %q", test.name, string(r.Reason), e.Cause, e.Proven, e.Text, test.want, test.proven, test.text)
		}
	}

	// A key that is gone by the time of the question, and a resolver that fails.
	results, err := VerifyMessage(t.Context(), strings.NewReader(strings.Replace(good, "hello", "Hello", 1)), VerifyOptions{Resolver: fixed{recordOf(t, key)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, resolver := range []Resolver{fixed{}, fixed{"v=DKIM1; p="}, &answers{errs: map[string]error{"s._domainkey.sign.example": &net.DNSError{IsTimeout: true}}}} {
		e, err := Explain(t.Context(), opener(good), VerifyOptions{Resolver: resolver}, results[0])
		if err != nil || e.Cause != CauseUnknown || e.Proven {
			t.Errorf("%+v, %v", e, err)
		}
	}

	// A record that was put right in between.
	e, err := Explain(t.Context(), opener(good), VerifyOptions{Resolver: fixed{recordOf(t, key)}}, results[0])
	if err != nil || e.Cause != CauseUnknown || e.Proven || !strings.Contains(e.Text, "published now the signature verifies") {
		t.Errorf("%+v, %v", e, err)
	}
}

// damaged changes one character in the middle of b=.
func damaged(message string) string {
	at := strings.Index(message, "; b=") + 40
	with := "A"
	if message[at] == 'A' {
		with = "B"
	}
	return message[:at] + with + message[at+1:]
}

func freshRSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := GenerateKey(RSA2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestExplainList: a list changes body and header, and both are said.
func TestExplainList(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"rsa-sha256": rsaKey(t), "ed25519-sha256": ed25519Key(t)} {
		signed := referenceSign(t, key, reasonMessage, "v=1; a="+name+"; c=relaxed/relaxed; d=sign.example; s=s; h=from:subject; bh=; b=")
		for header, text := range map[string]string{
			"Subject: hello":        " The header is as it was signed.",
			"Subject: [list] hello": " The subject got “[list]” in front after signing.",
			"Subject: other":        " The header, or the signature itself, changed as well.",
		} {
			message := strings.Replace(signed, "Subject: hello", header, 1) + "footer\r\n"
			_, e := explained(t, message, VerifyOptions{Resolver: fixed{recordOf(t, key)}})
			if e.Cause != CauseTextAppended || !e.Proven || !strings.HasSuffix(e.Text, text) {
				t.Errorf("%s: %+v, want %q", name, e, text)
			}
		}
	}
}
