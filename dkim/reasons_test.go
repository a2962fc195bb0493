package dkim

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const reasonMessage = "From: Joe <joe@sign.example>\r\nTo: a@receive.example\r\nSubject: hello\r\n\r\nHi there.\r\n\r\nBye.\r\n"

// answers is a resolver from names to records or errors; it counts.
type answers struct {
	records map[string][]string
	errs    map[string]error
	asked   []string
}

func (a *answers) LookupTXT(_ context.Context, name string) ([]string, error) {
	a.asked = append(a.asked, name)
	if err := a.errs[name]; err != nil {
		return nil, err
	}
	if records, ok := a.records[name]; ok {
		return records, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// TestReasons makes signatures with every flaw and looks at the reason. The tags are signed as they stand, so that nothing but
// the flaw is wrong.
func TestReasons(t *testing.T) {
	const usual = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=sign.example; s=s; h=from:to:subject; bh=; b="
	rsaTags := func(edit ...string) string { return strings.NewReplacer(edit...).Replace(usual) }
	key := rsaKey(t)
	record := recordOf(t, key)
	p := strings.TrimPrefix(record, "v=DKIM1; k=rsa; ")
	pkcs1 := base64.StdEncoding.EncodeToString(pkcs1Key(key.Public().(*rsa.PublicKey)))
	const bodyLen = len("Hi there.\r\n\r\nBye.\r\n")
	huge := new(big.Int).Lsh(big.NewInt(1), 8191)
	huge.SetBit(huge, 0, 1)
	hugeRecord, err := FormatKeyRecord(&rsa.PublicKey{N: huge, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	big4097, err := FormatKeyRecord(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 4096, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	small1023, err := FormatKeyRecord(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1022, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name    string
		tags    string
		records []string // nil = the right one
		want    Reason
		bits    int
	}{
		{"good", usual, nil, "", 2048},
		{"good ed25519", rsaTags("rsa-sha256", "ed25519-sha256"), []string{recordOf(t, ed25519Key(t))}, "", 256},
		{"default c=", rsaTags(" c=relaxed/relaxed;", ""), nil, "", 2048},
		{"c= without body", rsaTags("relaxed/relaxed", "relaxed"), nil, "", 2048},
		{"white space everywhere", "v = 1 ;\r\n\ta = rsa-sha256;c=simple/simple\t; d\t=\tsign.example; s=s;\r\n h=from : to\t:\tsubject ; bh=; b=", nil, "", 2048},
		{"b= in the middle, unknown tag", "b=; v=1; a=rsa-sha256; c=simple/simple; zz=x y; d=sign.example; s=s; h=from; bh=;", nil, "", 2048},
		{"upper case d= and s=", rsaTags("d=sign.example", "d=Sign.EXAMPLE", "s=s;", "s=S;"), nil, "", 2048},
		{"empty names in h=", rsaTags("from:to:subject", ":from::to:"), nil, "", 2048},
		{"absent names in h=", rsaTags("from:to:subject", "from:from:cc:date"), nil, "", 2048},
		{"q= list", rsaTags("s=s;", "s=s; q=http/x:dns/txt;"), nil, "", 2048},
		{"i= with folding", rsaTags("s=s;", "s=s; i=joe@\r\n mail.sign.example;"), nil, "", 2048},
		{"i= quoted-printable", rsaTags("s=s;", "s=s; i=jo=3De=40x@sign.example;"), nil, "", 2048},
		{"t= in the future", rsaTags("s=s;", "s=s; t=99999999999;"), nil, "", 2048},
		{"x= to come", rsaTags("s=s;", "s=s; t=1; x=1700000000;"), nil, "", 2048},
		{"x= beyond all numbers", rsaTags("s=s;", "s=s; x="+strings.Repeat("9", 30)+";"), nil, "", 2048},
		{"l= of the body", rsaTags("s=s;", fmt.Sprintf("s=s; l=%d;", bodyLen)), nil, "", 2048},

		{"empty", "", nil, ReasonSignatureSyntax, 0},
		{"no tag list", "hello", nil, ReasonSignatureSyntax, 0},
		{"duplicate tag", rsaTags("s=s;", "s=s; s=s;"), nil, ReasonSignatureSyntax, 0},
		{"duplicate unknown tag", rsaTags("s=s;", "s=s; q1=1; q1=1;"), nil, ReasonSignatureSyntax, 0},
		{"double semicolon", rsaTags("s=s;", "s=s;;"), nil, ReasonSignatureSyntax, 0},
		{"control character", rsaTags("s=s;", "s=s; n=\x01;"), nil, ReasonSignatureSyntax, 0},
		{"no v=", rsaTags("v=1; ", ""), nil, ReasonSignatureSyntax, 0},
		{"v=2", rsaTags("v=1", "v=2"), nil, ReasonVersionUnsupported, 0},
		{"v=01", rsaTags("v=1", "v=01"), nil, ReasonVersionUnsupported, 0},
		{"no a=", rsaTags("a=rsa-sha256; ", ""), nil, ReasonSignatureSyntax, 0},
		{"rsa-sha1", rsaTags("rsa-sha256", "rsa-sha1"), nil, ReasonAlgorithmUnsupported, 0},
		{"RSA-SHA256", rsaTags("rsa-sha256", "RSA-SHA256"), nil, ReasonAlgorithmUnsupported, 0},
		{"c= unknown", rsaTags("relaxed/relaxed", "relaxed/nofws"), nil, ReasonCanonicalizationUnsupported, 0},
		{"c= too many", rsaTags("relaxed/relaxed", "relaxed/relaxed/relaxed"), nil, ReasonCanonicalizationUnsupported, 0},
		{"no d=", rsaTags("d=sign.example; ", ""), nil, ReasonSignatureSyntax, 0},
		{"d= no domain", rsaTags("d=sign.example", "d=sign.example(.evil.example"), nil, ReasonSignatureSyntax, 0},
		{"d= empty", rsaTags("d=sign.example", "d="), nil, ReasonSignatureSyntax, 0},
		{"no s=", rsaTags(" s=s;", ""), nil, ReasonSignatureSyntax, 0},
		{"no h=", rsaTags(" h=from:to:subject;", ""), nil, ReasonSignatureSyntax, 0},
		{"h= without From", rsaTags("from:to", "fro:to"), nil, ReasonFromNotSigned, 0},
		{"h= of thousands", rsaTags("from:to", "from:to"+strings.Repeat(":x", maxSignedNames)), nil, ReasonSignatureSyntax, 0},
		{"q= unknown", rsaTags("s=s;", "s=s; q=dns;"), nil, ReasonQueryUnsupported, 0},
		{"i= elsewhere", rsaTags("s=s;", "s=s; i=@other.example;"), nil, ReasonDomainMismatch, 0},
		{"i= suffix only", rsaTags("s=s;", "s=s; i=@design.example;"), nil, ReasonDomainMismatch, 0},
		{"i= above", rsaTags("s=s;", "s=s; i=@example;"), nil, ReasonDomainMismatch, 0},
		{"i= without @", rsaTags("s=s;", "s=s; i=sign.example;"), nil, ReasonDomainMismatch, 0},
		{"x= past", rsaTags("s=s;", "s=s; t=1; x=1699999999;"), nil, ReasonExpired, 0},
		{"x= before t=", rsaTags("s=s;", "s=s; t=1800000000; x=1800000000;"), nil, ReasonSignatureSyntax, 0},
		{"t= no number", rsaTags("s=s;", "s=s; t=today;"), nil, ReasonSignatureSyntax, 0},
		{"x= empty", rsaTags("s=s;", "s=s; x=;"), nil, ReasonSignatureSyntax, 0},
		{"l= no number", rsaTags("s=s;", "s=s; l=-1;"), nil, ReasonSignatureSyntax, 0},
		{"no bh=", rsaTags(" bh=;", ""), nil, ReasonSignatureSyntax, 0},
		{"bh= too short", rsaTags(" bh=;", " bh=AAAA;"), nil, ReasonSignatureSyntax, 0},
		{"bh= too long", rsaTags(" bh=;", " bh="+strings.Repeat("A", 44)+";"), nil, ReasonSignatureSyntax, 0},
		{"bh= no base64", rsaTags(" bh=;", " bh=?;"), nil, ReasonSignatureSyntax, 0},
		{"b= no base64", rsaTags("b=", "zz=; b=*"), nil, ReasonSignatureSyntax, 0},

		{"l= short", rsaTags("s=s;", "s=s; l=5;"), nil, ReasonBodyLengthShort, 2048},
		{"l=0", rsaTags("s=s;", "s=s; l=0;"), nil, ReasonBodyLengthShort, 2048},
		{"l= long", rsaTags("s=s;", fmt.Sprintf("s=s; l=%d;", bodyLen+1)), nil, ReasonBodyLengthLong, 2048},
		{"l= of 76 digits", rsaTags("s=s;", "s=s; l="+strings.Repeat("9", 76)+";"), nil, ReasonBodyLengthLong, 2048},
		{"bh= of another body", rsaTags(" bh=;", " bh="+strings.Repeat("A", 43)+"=;"), nil, ReasonBodyHashMismatch, 2048},
		{"another key", usual, []string{recordOf(t, privateKey(t, "dkimpy/keys/test.private"))}, ReasonSignatureMismatch, 1024},

		{"no record in the answer", usual, []string{}, ReasonNoKey, 0},
		{"revoked", usual, []string{"v=DKIM1; k=rsa; p="}, ReasonKeyRevoked, 0},
		{"no p=", usual, []string{"v=DKIM1; k=rsa"}, ReasonKeySyntax, 0},
		{"SPF", usual, []string{"v=spf1 -all"}, ReasonKeySyntax, 0},
		{"empty record", usual, []string{""}, ReasonKeySyntax, 0},
		{"v= wrong", usual, []string{"v=DKIM2; " + p}, ReasonKeySyntax, 0},
		{"v= lower case", usual, []string{"v=dkim1; " + p}, ReasonKeySyntax, 0},
		{"v= not first", usual, []string{p + "; v=DKIM1"}, ReasonKeySyntax, 0},
		{"p= no base64", usual, []string{"v=DKIM1; p=!!!!"}, ReasonKeySyntax, 0},
		{"p= no key", usual, []string{"v=DKIM1; p=AAAA"}, ReasonKeySyntax, 0},
		{"duplicate p=", usual, []string{record + "; " + p}, ReasonKeySyntax, 0},
		{"record of 20 kB", usual, []string{record + "; n=" + strings.Repeat("x", 20<<10)}, ReasonKeySyntax, 0},
		{"unknown k=", usual, []string{"v=DKIM1; k=dsa; " + p}, ReasonKeyTypeMismatch, 0},
		{"k=ed25519 for rsa", usual, []string{recordOf(t, ed25519Key(t))}, ReasonKeyTypeMismatch, 256},
		{"k=rsa for ed25519", rsaTags("rsa-sha256", "ed25519-sha256"), []string{record}, ReasonKeyTypeMismatch, 2048},
		{"h=sha1", usual, []string{"h=sha1; " + p}, ReasonKeyHashNotAllowed, 2048},
		{"h=sha1:sha256", usual, []string{"h=sha1 : sha256; " + p}, "", 2048},
		{"s=tlsrpt", usual, []string{"s=tlsrpt; " + p}, ReasonKeyServiceMismatch, 2048},
		{"s=tlsrpt:email", usual, []string{"s=tlsrpt:email; " + p}, "", 2048},
		{"s=*", usual, []string{"s=*; " + p}, "", 2048},
		{"g= is historic", usual, []string{"v=DKIM1; g=nobody; " + p}, "", 2048},
		{"t=s, i= in a subdomain", rsaTags("s=s;", "s=s; i=@a.sign.example;"), []string{"t=s; " + p}, ReasonDomainMismatch, 2048},
		{"t=s, i= equal", rsaTags("s=s;", "s=s; i=@SIGN.example;"), []string{"t=y:s; " + p}, "", 2048},
		{"PKCS#1", usual, []string{"p=" + pkcs1}, "", 2048},
		{"p= folded and unpadded", usual, []string{"p= " + strings.TrimRight(p[2:40]+" \t"+p[40:], "=")}, "", 2048},
		{"RSA of 512 bits", usual, []string{"p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALgSoqXVSEmfcIsOzw7oRuCCOwsmtX/SJnTWxYyj2leFxfS/AVJ+dYfY+hXqMsT7l+MZvvh/R1WzN4MO/kI/7XsCAwEAAQ=="}, ReasonKeyTooSmall, 512},
		{"RSA of 1023 bits", usual, []string{small1023}, ReasonKeyTooSmall, 1023},
		{"RSA of 4097 bits", usual, []string{big4097}, ReasonKeyTooLarge, 4097},
		{"RSA of 8192 bits", usual, []string{hugeRecord}, ReasonKeyTooLarge, 8192},

		{"a verification token beside the key", usual, []string{"google-site-verification=abc", record}, "", 2048},
		{"the second key fits", usual, []string{recordOf(t, privateKey(t, "dkimpy/keys/test.private")), record}, "", 2048},
		{"revoked beside rubbish", usual, []string{"rubbish", "v=DKIM1; p=", "more"}, ReasonKeyRevoked, 0},
		{"the key comes eleventh", usual, append(strings.Split(strings.Repeat("rubbish ", 10), " ")[:10:10], record), ReasonKeySyntax, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			signer := key
			if strings.Contains(test.tags, "ed25519") {
				signer = ed25519Key(t)
			}
			message := reasonMessage
			if strings.Contains(test.tags, "b=") {
				message = referenceSign(t, signer, message, test.tags)
			} else {
				message = "DKIM-Signature: " + test.tags + "\r\n" + message
			}
			records := test.records
			if records == nil {
				records = []string{record}
			}
			dns := &answers{records: map[string][]string{"s._domainkey.sign.example": records}}
			results, err := VerifyMessage(t.Context(), strings.NewReader(message),
				VerifyOptions{Resolver: dns, Now: func() time.Time { return time.Unix(1700000000, 0) }})
			if err != nil || len(results) != 1 {
				t.Fatal(results, err)
			}
			r := results[0]
			if r.Reason != test.want || r.Result != test.want.Result() || r.KeyBits != test.bits {
				t.Errorf("%s %q, %d bits, %v; want %q, %d bits", r.Result, string(r.Reason), r.KeyBits, r.Err, string(test.want), test.bits)
			}
			if test.want == "" && r.Err != nil || test.want != "" && !errors.Is(r.Err, test.want) {
				t.Errorf("error %v does not carry %q", r.Err, string(test.want))
			}
			if len(dns.asked) > 1 {
				t.Errorf("asked %v", dns.asked)
			}
		})
	}
}

// TestAlsoService: a key of another service counts when the caller says so, and only for that service.
func TestAlsoService(t *testing.T) {
	message := referenceSign(t, ed25519Key(t), reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from; bh=; b=")
	for _, test := range []struct {
		record, also string
		want         Reason
	}{
		{"s=tlsrpt; ", "", ReasonKeyServiceMismatch},
		{"s=tlsrpt; ", "tlsrpt", ""},
		{"s=other:tlsrpt; ", "tlsrpt", ""},
		{"s=other; ", "tlsrpt", ReasonKeyServiceMismatch},
		{"s=email; ", "tlsrpt", ""},
		{"s=; ", "tlsrpt", ReasonKeyServiceMismatch},
	} {
		dns := &answers{records: map[string][]string{"s._domainkey.sign.example": {strings.Replace(recordOf(t, ed25519Key(t)), "k=", test.record+"k=", 1)}}}
		results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns, AlsoService: test.also})
		if err != nil || len(results) != 1 || results[0].Reason != test.want {
			t.Errorf("%q with %q: %+v, %v", test.record, test.also, results, err)
		}
	}
}

// TestNoQuestionForBrokenSignatures: what fails without a key costs no DNS query.
func TestNoQuestionForBrokenSignatures(t *testing.T) {
	dns := &answers{}
	message := "DKIM-Signature: v=1; a=rsa-sha1; d=a.example; s=s; h=from; bh=; b=\r\nDKIM-Signature: x\r\n" + reasonMessage
	results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns})
	if err != nil || len(results) != 2 || len(dns.asked) != 0 {
		t.Errorf("%+v, %v, asked %v", results, err, dns.asked)
	}
}

func TestLookupTroubles(t *testing.T) {
	message := referenceSign(t, ed25519Key(t), reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from; bh=; b=")
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, ReasonNoKey},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}, ReasonDNSTimeout},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), ReasonDNSTimeout},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, ReasonDNSError},
		{errors.New("anything else"), ReasonDNSError},
	} {
		dns := &answers{errs: map[string]error{"s._domainkey.sign.example": test.err}}
		results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns})
		if err != nil || len(results) != 1 {
			t.Fatal(results, err)
		}
		if r := results[0]; r.Reason != test.want || !errors.Is(r.Err, test.err) || !errors.Is(r.Err, test.want) {
			t.Errorf("%v: %s, %v; want %s", test.err, string(r.Reason), r.Err, string(test.want))
		}
	}
}

// silent answers when the context ends.
type silent struct{}

func (silent) LookupTXT(ctx context.Context, name string) ([]string, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: ctx.Err().Error(), Name: name, IsTimeout: true}
}

// TestLookupTimeout: a silent resolver holds a message up for LookupTimeout in all, not per signature; a deadline of the
// caller's comes first.
func TestLookupTimeout(t *testing.T) {
	message := reasonMessage
	for i := range 3 {
		message = referenceSign(t, ed25519Key(t), message, fmt.Sprintf("v=1; a=ed25519-sha256; d=sign.example; s=s%d; h=from; bh=; b=", i))
	}
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ limit, callers, want time.Duration }{
			{0, 0, LookupTimeout},
			{2 * time.Second, 0, 2 * time.Second},
			{0, 3 * time.Second, 3 * time.Second},
		} {
			ctx := t.Context()
			if test.callers > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.callers)
				defer cancel()
			}
			start := time.Now()
			results, err := VerifyMessage(ctx, strings.NewReader(message), VerifyOptions{Resolver: silent{}, LookupTimeout: test.limit})
			if err != nil || len(results) != 3 {
				t.Fatal(results, err)
			}
			for _, r := range results {
				if r.Reason != ReasonDNSTimeout || r.Result != TempError {
					t.Errorf("%+v", r)
				}
			}
			if took := time.Since(start); took != test.want {
				t.Errorf("took %s, want %s", took, test.want)
			}
		}
	})
}

// TestLimits: the eleventh signature and the eleventh key are not looked at, one name is asked for once.
func TestLimits(t *testing.T) {
	key := ed25519Key(t)
	dns := &answers{records: map[string][]string{}}
	message := reasonMessage
	for i := range 12 {
		selector := fmt.Sprintf("s%d", i%4)
		dns.records[selector+"._domainkey.sign.example"] = []string{recordOf(t, key)}
		message = referenceSign(t, key, message, "v=1; a=ed25519-sha256; d=sign.example; s="+selector+"; h=from; bh=; b=")
	}
	results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns})
	if err != nil || len(results) != 12 || len(dns.asked) != 4 {
		t.Fatalf("%d results, %v, asked %v", len(results), err, dns.asked)
	}
	for i, r := range results {
		want := Reason("")
		if i >= MaxSignatures {
			want = ReasonTooManySignatures
		}
		if r.Reason != want || r.Index != i {
			t.Errorf("signature %d: %+v", i, r)
		}
	}
	results, err = VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns, MaxKeys: 3, MaxSignatures: 5})
	if err != nil || len(results) != 12 {
		t.Fatal(results, err)
	}
	for i, r := range results {
		want := Reason("")
		switch {
		case i >= 5:
			want = ReasonTooManySignatures
		case i >= 3:
			want = ReasonTooManyKeys
		}
		if r.Reason != want || want != "" && r.Result != Policy {
			t.Errorf("signature %d: %+v", i, r)
		}
	}
}

// TestHeaderTooLarge: once a field is missing nothing passes, whatever fits.
func TestHeaderTooLarge(t *testing.T) {
	key := ed25519Key(t)
	message := referenceSign(t, key, reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from; bh=; b=")
	fields, body := referenceSplit(message)
	v := NewVerifier(VerifyOptions{Resolver: &answers{records: map[string][]string{"s._domainkey.sign.example": {recordOf(t, key)}}}})
	run := func(extra []byte) Result {
		v.Reset()
		for _, f := range fields {
			if err := v.Header([]byte(f)); err != nil {
				t.Fatal(err)
			}
		}
		if extra != nil {
			if err := v.Header(extra); !errors.Is(err, ErrHeaderTooLarge) {
				t.Errorf("Header: %v", err)
			}
		}
		v.EndOfHeaders()
		v.Body([]byte(body))
		results := v.Finish(t.Context())
		if len(results) != 1 {
			t.Fatal(results)
		}
		return results[0]
	}
	if r := run(nil); r.Result != Pass {
		t.Errorf("%+v", r)
	}
	if r := run([]byte("X: " + strings.Repeat("x", MaxHeaderBytes) + "\r\n")); r.Reason != ReasonHeaderTooLarge || r.Result != Policy {
		t.Errorf("%+v", r)
	}
	if r := run(nil); r.Result != Pass {
		t.Errorf("after Reset: %+v", r)
	}
	if _, err := VerifyMessage(t.Context(), strings.NewReader("X: "+strings.Repeat("x", 2*MaxHeaderBytes)+"\r\n\r\n"), VerifyOptions{}); !errors.Is(err, ErrHeaderTooLarge) {
		t.Errorf("VerifyMessage: %v", err)
	}
}

// TestFieldsThatAreNone are passed over, and cannot smuggle a field past the choice of h=.
func TestFieldsThatAreNone(t *testing.T) {
	v := NewVerifier(VerifyOptions{Resolver: &answers{}})
	for _, raw := range []string{"", "\r\n", ":", ": x", " : x", "no colon", "Na me: x", "N\xe4me: x", "N\x00: x", "A: b\r\nFrom: evil\r\n", "A: b\r\n\r\n", " From: x\r\n"} {
		if err := v.Header([]byte(raw)); !errors.Is(err, ErrFieldSyntax) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for _, raw := range []string{"A:", "A:\r\n", "A : b\r\n", "A: b\r\n c\r\n", "A: b\r\n\t\r\n", "A: b\nc", "A: b\n", "a!#$%&'*+-/=?^_`{|}~: x"} {
		if err := v.Header([]byte(raw)); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestInternationalDomains: U-labels are looked up and compared as A-labels (RFC 8616).
func TestInternationalDomains(t *testing.T) {
	key := ed25519Key(t)
	dns := &answers{records: map[string][]string{"schlüssel._domainkey.bücher.example": nil,
		"xn--schlssel-95a._domainkey.xn--bcher-kva.example": {"t=s; " + strings.TrimPrefix(recordOf(t, key), "v=DKIM1; ")}}}
	from := "From: Jürgen <jürgen@BÜCHER.example>\r\n\r\nHallo\r\n"
	for _, identity := range []string{"@bücher.example", "jürgen@xn--bcher-kva.example", "@XN--BCHER-KVA.example"} {
		message := referenceSign(t, key, from, "v=1; a=ed25519-sha256; d=bücher.example; s=Schlüssel; i="+identity+"; h=from; bh=; b=")
		results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns})
		if err != nil || len(results) != 1 || results[0].Result != Pass || !results[0].Aligned ||
			results[0].Domain != "xn--bcher-kva.example" || results[0].Selector != "xn--schlssel-95a" {
			t.Errorf("i=%s: %+v, %v, asked %q", identity, results, err, dns.asked)
		}
	}
	fields, err := SignMessage(strings.NewReader(from), Signing{Domain: "bücher.example", Selector: "s", Key: key, Identity: "a@mail.Bücher.example"})
	if err != nil || !strings.Contains(string(fields[0]), "d=xn--bcher-kva.example;") || !strings.Contains(string(fields[0]), "i=a@mail.xn--bcher-kva.example;") {
		t.Errorf("%q, %v", fields, err)
	}
}

// TestTestingFlag: t=y is reported and changes nothing.
func TestTestingFlag(t *testing.T) {
	key := ed25519Key(t)
	message := referenceSign(t, key, reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from; bh=; b=")
	for flags, want := range map[string]bool{"": false, "t=y; ": true, "t=s : y; ": true, "t=Y; ": false, "t=other; ": false} {
		dns := &answers{records: map[string][]string{"s._domainkey.sign.example": {flags + strings.TrimPrefix(recordOf(t, key), "v=DKIM1; ")}}}
		results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: dns})
		if err != nil || results[0].Result != Pass || results[0].Testing != want {
			t.Errorf("%q: %+v %v", flags, results, err)
		}
	}
}

func TestBest(t *testing.T) {
	for _, test := range []struct {
		words []ResultWord
		want  ResultWord
	}{
		{nil, None},
		{[]ResultWord{Fail}, Fail},
		{[]ResultWord{Fail, PermError}, Fail},
		{[]ResultWord{PermError, Pass, Fail}, Pass},
		{[]ResultWord{Policy, TempError}, TempError},
		{[]ResultWord{Fail, Policy}, Policy},
		{[]ResultWord{PermError, Neutral}, Neutral},
	} {
		var results []Result
		for _, w := range test.words {
			results = append(results, Result{Result: w})
		}
		if got := Best(results); got != test.want {
			t.Errorf("%v: %s, want %s", test.words, got, test.want)
		}
	}
}

// TestLongHeaders: more canonical header than is gathered before it is hashed, by fields and in one field.
func TestLongHeaders(t *testing.T) {
	key := ed25519Key(t)
	dns := &answers{records: map[string][]string{"s._domainkey.sign.example": {recordOf(t, key)}}}
	message := "To: " + strings.Repeat("somebody@receive.example,\r\n ", 2000) + "x@y.example\r\n" +
		strings.Repeat("Received: from a by b\r\n", 200) + reasonMessage
	for _, c := range []string{"relaxed", "simple"} {
		signed := referenceSign(t, key, message, "v=1; a=ed25519-sha256; c="+c+"; d=sign.example; s=s; h=from:to:to"+strings.Repeat(":received", 201)+"; bh=; b=")
		results, err := VerifyMessage(t.Context(), strings.NewReader(signed), VerifyOptions{Resolver: dns})
		if err != nil || len(results) != 1 || results[0].Result != Pass {
			t.Errorf("%s: %+v, %v", c, results, err)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	cause := errors.New("the cause")
	for want, err := range map[string]error{
		"dkim: expired":                 ReasonExpired,
		"dkim: no_key: s._domainkey.d":  &Error{Reason: ReasonNoKey, Detail: "s._domainkey.d"},
		"dkim: dns_error: x: the cause": &Error{Reason: ReasonDNSError, Detail: "x", Err: cause},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	err := error(&Error{Reason: ReasonDNSError, Err: cause})
	if !errors.Is(err, cause) || !errors.Is(err, ReasonDNSError) || errors.Is(err, ReasonNoKey) {
		t.Error("the error does not carry its reason and its cause")
	}
}
