package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postseal/postseal/dkim"
)

const plainMessage = "From: Joe <joe@sign.example>\r\nTo: a@receive.example\r\nSubject: hello\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nHi.\r\n\r\nWe lost  the game. \r\n\r\n"

// signed returns the message with its new fields on top.
func signed(t testing.TB, message string, signings ...dkim.Signing) string {
	t.Helper()
	fields, err := dkim.SignMessage(strings.NewReader(message), signings...)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join(fields, nil)) + message
}

// verdicts verifies a message and gives "pass" or the reason of each signature.
func verdicts(t testing.TB, message string, opts dkim.VerifyOptions) []string {
	t.Helper()
	results, err := dkim.VerifyMessage(t.Context(), strings.NewReader(message), opts)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range results {
		word := string(r.Reason)
		if r.Result == dkim.Pass {
			word = "pass"
		}
		out = append(out, word)
	}
	return out
}

// unfold joins the lines of a field and takes the white space out of it.
func unfold(field []byte) string {
	return strings.NewReplacer("\r\n", "", "\t", "", " ", "").Replace(string(field))
}

// TestSignatureField pins the layout, which is deterministic for both algorithms.
func TestSignatureField(t *testing.T) {
	at := time.Unix(1700000000, 0)
	fields, err := dkim.SignMessage(strings.NewReader(plainMessage),
		dkim.Signing{Domain: "Sign.Example", Selector: "RSA2048", Key: readKey(t, rsa2048Path), Time: at, Expire: 7 * 24 * time.Hour, Identity: "joe@News.sign.example"},
		dkim.Signing{Domain: "sign.example", Selector: "ed", Key: readKey(t, ed25519Path),
			HeaderCanonicalization: dkim.Simple, BodyCanonicalization: dkim.Simple, Headers: []string{"From", "To", "from"}, Oversign: []string{}},
	)
	if err != nil {
		t.Fatal(err)
	}
	wantPrefix := "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sign.example;\r\n" +
		"\ts=rsa2048; i=joe@news.sign.example; t=1700000000; x=1700604800;\r\n" +
		"\th=From:From:Reply-To:Subject:Subject:Date:Date:To:To:Cc:Message-ID:\r\n" +
		"\tMIME-Version:Content-Type:Content-Transfer-Encoding;\r\n" +
		"\tbh=sTT02lKuPAH1nGYBiIjR27DGuCuXdYrdO56uQNzQX+8=;\r\n" +
		"\tb="
	if got := string(fields[0]); !strings.HasPrefix(got, wantPrefix) {
		t.Errorf("field\n%s\nwant it to begin\n%s", got, wantPrefix)
	}
	wantEd := "DKIM-Signature: v=1; a=ed25519-sha256; c=simple/simple; d=sign.example;\r\n" +
		"\ts=ed; h=From:To; bh=LKsUr59CXu+FIn3vR1ne5XUJgydHTMrvEKeeTM409yU=;\r\n" +
		"\tb="
	if got := string(fields[1]); !strings.HasPrefix(got, wantEd) {
		t.Errorf("field\n%s\nwant it to begin\n%s", got, wantEd)
	}
	for _, f := range fields {
		if !bytes.HasSuffix(f, []byte("\r\n")) || bytes.HasSuffix(f, []byte("\r\n\r\n")) {
			t.Errorf("field %q does not end in one CRLF", f)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(f), "\r\n"), "\r\n") {
			if columns := len(strings.ReplaceAll(line, "\t", strings.Repeat(" ", 8))); columns > 78 {
				t.Errorf("line of %d columns: %q", columns, line)
			}
		}
	}
}

// TestOversigning checks which additions a signature notices: of the oversigned fields any, of the others none.
func TestOversigning(t *testing.T) {
	key := readKey(t, rsa2048Path)
	opts := dkim.VerifyOptions{Resolver: recordFor(t, key)}
	message := signed(t, "List-Unsubscribe: <https://sign.example/u>\r\n"+plainMessage, dkim.Signing{Domain: "sign.example", Selector: "s", Key: key})
	for _, name := range dkim.DefaultOversign() {
		if got := verdicts(t, name+": added\r\n"+message, opts); !slices.Equal(got, []string{"signature_mismatch"}) {
			t.Errorf("added %s: %v", name, got)
		}
	}
	for _, name := range []string{"X-Other", "Received", "List-Unsubscribe", "Sender"} {
		if got := verdicts(t, name+": added\r\n"+message, opts); !slices.Equal(got, []string{"pass"}) {
			t.Errorf("added %s: %v", name, got)
		}
	}
	changed := strings.Replace(message, "<https://sign.example/u>", "<https://other.example/u>", 1)
	if got := verdicts(t, changed, opts); !slices.Equal(got, []string{"signature_mismatch"}) {
		t.Errorf("changed List-Unsubscribe: %v", got)
	}
}

// TestSeveralSignaturesInOnePass signs with every canonicalisation pair and both algorithms at once.
func TestSeveralSignaturesInOnePass(t *testing.T) {
	keys := map[string]crypto.Signer{"rsa": readKey(t, rsa2048Path), "ed": readKey(t, ed25519Path)}
	records := namedRecords{}
	var signings []dkim.Signing
	for name, key := range keys {
		for _, header := range []dkim.Canonicalization{dkim.Relaxed, dkim.Simple} {
			for _, body := range []dkim.Canonicalization{dkim.Relaxed, dkim.Simple} {
				selector := fmt.Sprintf("%s-%s-%s", name, header, body)
				records[selector+"._domainkey.sign.example"] = recordFor(t, key)
				signings = append(signings, dkim.Signing{Domain: "sign.example", Selector: selector, Key: key,
					HeaderCanonicalization: header, BodyCanonicalization: body, Time: time.Unix(1700000000, 0)})
			}
		}
	}
	message := signed(t, plainMessage, signings...)
	results, err := dkim.VerifyMessage(t.Context(), strings.NewReader(message), dkim.VerifyOptions{Resolver: records})
	if err != nil || len(results) != 8 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for i, r := range results {
		if r.Result != dkim.Pass || r.Selector != signings[i].Selector || r.Index != i || !r.Aligned {
			t.Errorf("signature %d: %+v", i, r)
		}
	}
}

// TestSignerReset uses one Signer for many messages and for other keys.
func TestSignerReset(t *testing.T) {
	rsaKey, edKey := readKey(t, rsa2048Path), readKey(t, ed25519Path)
	signing := dkim.Signing{Domain: "sign.example", Selector: "s", Key: edKey}
	s, err := dkim.NewSigner(signing)
	if err != nil {
		t.Fatal(err)
	}
	push := func(subject, body string) []byte {
		for _, f := range []string{"From: a@sign.example\r\n", "Subject: " + subject + "\r\n"} {
			if err := s.Header([]byte(f)); err != nil {
				t.Fatal(err)
			}
		}
		s.Body([]byte(body))
		fields, err := s.Finish()
		if err != nil || len(fields) != 1 {
			t.Fatal(fields, err)
		}
		return fields[0]
	}
	first := push("one", "body\r\n")
	kept := bytes.Clone(first)
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if second := push("two", "other\r\n"); bytes.Equal(second, first) {
		t.Error("two messages, one signature")
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if again := push("one", "body\r\n"); !bytes.Equal(again, kept) || !bytes.Equal(first, kept) {
		t.Error("the same message has another signature after Reset, or the old field was overwritten")
	}
	if err := s.Reset(dkim.Signing{Domain: "bad domain", Selector: "s", Key: rsaKey}); !errors.Is(err, dkim.ErrDomain) {
		t.Errorf("Reset: %v", err)
	}
	signing.Key, signing.BodyCanonicalization = rsaKey, dkim.Simple
	if err := s.Reset(signing); err != nil {
		t.Fatal(err)
	}
	if f := unfold(push("three", "body\r\n")); !strings.Contains(f, "a=rsa-sha256;c=relaxed/simple;") {
		t.Errorf("after Reset with another key: %s", f)
	}
}

// TestUse chooses the key after the header, as a mail server does that knows the author only then, and counts what that costs.
func TestUse(t *testing.T) {
	key := readKey(t, ed25519Path)
	prepared := map[string]*dkim.Prepared{}
	for _, domain := range []string{"one.example", "two.example"} {
		p, err := dkim.Prepare(dkim.Signing{Domain: domain, Selector: "s", Key: key, Expire: 7 * 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		prepared[domain] = p
	}
	s, err := dkim.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	header, body := []byte("From: a@sign.example\r\n"), []byte("body\r\n")
	sign := func(domains ...*dkim.Prepared) [][]byte {
		if err := s.Reset(); err != nil {
			t.Fatal(err)
		}
		if err := s.Header(header); err != nil {
			t.Fatal(err)
		}
		s.Use(time.Unix(1700000000, 0), domains...)
		s.Body(body)
		fields, err := s.Finish()
		if err != nil || len(fields) != len(domains) {
			t.Fatal(fields, err)
		}
		return fields
	}
	both := sign(prepared["one.example"], prepared["two.example"])
	for i, want := range []string{"d=one.example;", "d=two.example;"} {
		if f := unfold(both[i]); !strings.Contains(f, want) || !strings.Contains(f, "t=1700000000;x=1700604800;h=From:From:") {
			t.Errorf("%s: %s", want, f)
		}
		message := string(both[i]) + string(header) + "\r\n" + string(body)
		opts := dkim.VerifyOptions{Resolver: recordFor(t, key), Now: func() time.Time { return time.Unix(1700000000, 0) }}
		if got := verdicts(t, message, opts); !slices.Equal(got, []string{"pass"}) {
			t.Errorf("%s: %v", want, got)
		}
	}
	if f := unfold(sign(prepared["two.example"])[0]); !strings.Contains(f, "d=two.example;") {
		t.Error(f)
	}
	const ceiling = 4
	if n := testing.AllocsPerRun(10, func() { sign(prepared["one.example"]) }); n > ceiling {
		t.Errorf("%v allocations, at most %d", n, ceiling)
	}
}

// TestSignaturesUnderneath: "DKIM-Signature" in Headers covers the signatures that a message brings along.
func TestSignaturesUnderneath(t *testing.T) {
	key := readKey(t, ed25519Path)
	opts := dkim.VerifyOptions{Resolver: recordFor(t, key)}
	first := signed(t, plainMessage, dkim.Signing{Domain: "one.example", Selector: "s", Key: key})
	second := signed(t, first, dkim.Signing{Domain: "two.example", Selector: "s", Key: key, Headers: []string{"From", "DKIM-Signature"}})
	if got := verdicts(t, second, opts); !slices.Equal(got, []string{"pass", "pass"}) {
		t.Error(got)
	}
	third := signed(t, second, dkim.Signing{Domain: "three.example", Selector: "s", Key: key})
	if got := verdicts(t, third, opts); !slices.Equal(got, []string{"pass", "pass", "pass"}) {
		t.Error(got)
	}
	changed := strings.Replace(third, "d=one.example", "d=ten.example", 1)
	if got := verdicts(t, changed, opts); !slices.Equal(got, []string{"pass", "signature_mismatch", "signature_mismatch"}) {
		t.Error(got)
	}
}

// badKey is a signer of a kind or with an answer that DKIM cannot use.
type badKey struct {
	pub crypto.PublicKey
	err error
}

func (k badKey) Public() crypto.PublicKey { return k.pub }
func (k badKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, k.err
}

func TestSigningErrors(t *testing.T) {
	key := readKey(t, rsa2048Path)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small := &rsa.PublicKey{N: new(big.Int).Rsh(readKey(t, rsa1024Path).Public().(*rsa.PublicKey).N, 1), E: 65537}
	good := dkim.Signing{Domain: "sign.example", Selector: "s", Key: key, Time: time.Unix(1700000000, 0)}
	for name, test := range map[string]struct {
		edit func(*dkim.Signing)
		want error
	}{
		"empty domain":          {func(s *dkim.Signing) { s.Domain = "" }, dkim.ErrDomain},
		"domain with space":     {func(s *dkim.Signing) { s.Domain = "a b.example" }, dkim.ErrDomain},
		"domain with semicolon": {func(s *dkim.Signing) { s.Domain = "a;b=c.example" }, dkim.ErrDomain},
		"domain with CRLF":      {func(s *dkim.Signing) { s.Domain = "a.example\r\nX-Evil: 1" }, dkim.ErrDomain},
		"empty label":           {func(s *dkim.Signing) { s.Domain = "a..example" }, dkim.ErrDomain},
		"final dot":             {func(s *dkim.Signing) { s.Domain = "a.example." }, dkim.ErrDomain},
		"long label":            {func(s *dkim.Signing) { s.Domain = strings.Repeat("a", 64) + ".example" }, dkim.ErrDomain},
		"long domain":           {func(s *dkim.Signing) { s.Domain = strings.Repeat("a.", 126) + "aa" }, dkim.ErrDomain},
		"broken UTF-8":          {func(s *dkim.Signing) { s.Domain = "a\xff.example" }, dkim.ErrDomain},
		"empty selector":        {func(s *dkim.Signing) { s.Selector = "" }, dkim.ErrSelector},
		"selector with colon":   {func(s *dkim.Signing) { s.Selector = "a:b" }, dkim.ErrSelector},
		"name too long":         {func(s *dkim.Signing) { s.Domain = strings.Repeat("a.", 120) + "aa" }, dkim.ErrSelector},
		"no key":                {func(s *dkim.Signing) { s.Key = nil }, dkim.ErrKeyUnsupported},
		"ECDSA":                 {func(s *dkim.Signing) { s.Key = ec }, dkim.ErrKeyUnsupported},
		"RSA of 1023 bits":      {func(s *dkim.Signing) { s.Key = badKey{pub: small} }, dkim.ErrKeyUnsupported},
		"identity elsewhere":    {func(s *dkim.Signing) { s.Identity = "a@other.example" }, dkim.ErrIdentity},
		"identity no domain":    {func(s *dkim.Signing) { s.Identity = "a" }, dkim.ErrIdentity},
		"identity suffix":       {func(s *dkim.Signing) { s.Identity = "a@design.example" }, dkim.ErrIdentity},
		"identity semicolon":    {func(s *dkim.Signing) { s.Identity = "a;b@sign.example" }, dkim.ErrIdentity},
		"expire without time":   {func(s *dkim.Signing) { s.Time, s.Expire = time.Time{}, time.Hour }, dkim.ErrSigning},
		"expire at once":        {func(s *dkim.Signing) { s.Expire = time.Millisecond }, dkim.ErrSigning},
		"expire negative":       {func(s *dkim.Signing) { s.Expire = -time.Hour }, dkim.ErrSigning},
		"time before 1970":      {func(s *dkim.Signing) { s.Time = time.Unix(-1, 0) }, dkim.ErrSigning},
		"bad header name":       {func(s *dkim.Signing) { s.Headers = []string{"From", "To:"} }, dkim.ErrSigning},
		"header with space":     {func(s *dkim.Signing) { s.Headers = []string{"Fr om"} }, dkim.ErrSigning},
		"header with semicolon": {func(s *dkim.Signing) { s.Oversign = []string{"X;v=2"} }, dkim.ErrSigning},
		"empty header name":     {func(s *dkim.Signing) { s.Headers = []string{""} }, dkim.ErrSigning},
		"oversigned signatures": {func(s *dkim.Signing) { s.Oversign = []string{"From", "dkim-signature"} }, dkim.ErrSigning},
		"canonicalization":      {func(s *dkim.Signing) { s.BodyCanonicalization = 2 }, dkim.ErrSigning},
	} {
		s := good
		test.edit(&s)
		if _, err := dkim.NewSigner(good, s); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}

	device := errors.New("the device is gone")
	for name, test := range map[string]struct {
		signing dkim.Signing
		message string
		want    error
	}{
		"no From":         {good, "To: a@b.example\r\n\r\nx\r\n", dkim.ErrNoFrom},
		"empty":           {good, "", dkim.ErrNoFrom},
		"two Froms":       {good, "From: a@b.example\r\nfrom : c@d.example\r\n\r\nx\r\n", dkim.ErrSeveralFroms},
		"no field":        {good, "From a@b.example Tue Nov 14\r\nFrom: a@b.example\r\n\r\nx\r\n", dkim.ErrFieldSyntax},
		"folded first":    {good, " folded: x\r\nFrom: a@b.example\r\n\r\nx\r\n", dkim.ErrFieldSyntax},
		"large header":    {good, "From: a@b.example\r\nX: " + strings.Repeat("x", dkim.MaxHeaderBytes) + "\r\n\r\n", dkim.ErrHeaderTooLarge},
		"many fields":     {good, "From: a@b.example\r\n" + strings.Repeat("X: 1\r\n", dkim.MaxHeaderFields) + "\r\n", dkim.ErrHeaderTooLarge},
		"many signed":     {good, "From: a@b.example\r\n" + strings.Repeat("To: x@y.example\r\n", 300) + "\r\n", dkim.ErrHeaderTooLarge},
		"LF in CRLF body": {good, "From: a@b.example\r\n\r\nx\ny\r\n", dkim.ErrLineEnds},
		"LF in header":    {good, "From: a@b.example\r\nX: a\nb\r\n\r\nx\r\n", dkim.ErrLineEnds},
		"CR in body":      {good, "From: a@b.example\r\n\r\nx\ry\r\n", dkim.ErrLineEnds},
		"CR at the end":   {good, "From: a@b.example\r\n\r\nx\r", dkim.ErrLineEnds},
		"CR CR LF":        {good, "From: a@b.example\r\n\r\nx\r\r\n", dkim.ErrLineEnds},
		"CRLF in LF body": {good, "From: a@b.example\n\nx\r\n", dkim.ErrLineEnds},
		"CR in LF header": {good, "From: a@b.example\nX: a\rb\n\nx\n", dkim.ErrLineEnds},
		"CR only":         {good, "From: a@b.example\rX: y\r\rx\r", dkim.ErrLineEnds},
		"key fails":       {dkim.Signing{Domain: "d.example", Selector: "s", Key: badKey{key.Public(), device}}, plainMessage, device},
	} {
		for chunking, r := range map[string]io.Reader{
			"at once":   strings.NewReader(test.message),
			"by octets": iotest.OneByteReader(strings.NewReader(test.message)),
		} {
			if len(test.message) > 1<<20 && chunking == "by octets" {
				continue
			}
			if fields, err := dkim.SignMessage(r, test.signing); !errors.Is(err, test.want) || fields != nil {
				t.Errorf("%s, %s: %v, want %v", name, chunking, err, test.want)
			}
		}
	}
	broken := errors.New("broken")
	for _, after := range []string{"", "From: a@b.ex", plainMessage} {
		r := io.MultiReader(strings.NewReader(after), iotest.ErrReader(broken))
		if _, err := dkim.SignMessage(r, good); !errors.Is(err, broken) {
			t.Errorf("after %q: %v", after, err)
		}
	}
}

// TestLineEndsOfFiles signs the same message with CRLF and with LF: the signature is the same, only its own line ends differ.
func TestLineEndsOfFiles(t *testing.T) {
	key := readKey(t, rsa2048Path)
	signing := dkim.Signing{Domain: "sign.example", Selector: "s", Key: key, HeaderCanonicalization: dkim.Simple, BodyCanonicalization: dkim.Simple}
	unix := strings.ReplaceAll(plainMessage, "\r\n", "\n")
	for _, message := range []string{plainMessage, "From: a@sign.example\r\n", "From: a@sign.example", "From: a@sign.example\r\n\r\n", "From: a@sign.example\r\n\r\nno end"} {
		withCRLF, err := dkim.SignMessage(strings.NewReader(message), signing)
		if err != nil {
			t.Fatal(err)
		}
		lf := strings.ReplaceAll(message, "\r\n", "\n")
		withLF, err := dkim.SignMessage(iotest.HalfReader(strings.NewReader(lf)), signing)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(lf, "\n") {
			if want := strings.ReplaceAll(string(withCRLF[0]), "\r\n", "\n"); string(withLF[0]) != want {
				t.Errorf("LF message %q: field %q, want %q", lf, withLF[0], want)
			}
			opts := dkim.VerifyOptions{Resolver: recordFor(t, key)}
			if got := verdicts(t, string(withLF[0])+lf, opts); !slices.Equal(got, []string{"pass"}) {
				t.Errorf("LF message %q: %v", lf, got)
			}
		}
	}
	if strings.Contains(unix, "\r") {
		t.Fatal("the LF message has CRs")
	}
}

// TestSignUnsignedMessages signs every unsigned message of the sources that has one From, both ways, and verifies the result.
func TestSignUnsignedMessages(t *testing.T) {
	keys := []crypto.Signer{readKey(t, rsa2048Path), readKey(t, ed25519Path)}
	ran := 0
	for _, pattern := range []string{"dkimpy/unsigned-*.eml", "dkimpy/message-mbox.eml", "go-msgauth/unsigned.eml", "go-msgauth/sign/unsigned.eml"} {
		paths, err := filepath.Glob(filepath.Join(testdata, "dkim", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			message, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				fields, err := dkim.SignMessage(bytes.NewReader(message), dkim.Signing{Domain: "sign.example", Selector: "s", Key: key})
				if strings.Contains(path, "nofrom") {
					if !errors.Is(err, dkim.ErrNoFrom) {
						t.Errorf("%s: %v", path, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				ran++
				results, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(append(fields[0], message...)), dkim.VerifyOptions{Resolver: recordFor(t, key)})
				if err != nil || results[0].Result != dkim.Pass {
					t.Errorf("%s: %+v %v", path, results, err)
				}
			}
		}
	}
	t.Logf("%d messages signed and verified", ran)
	if ran < 16 {
		t.Errorf("%d ran, want at least 16", ran)
	}
}
