package intake

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	netsmtp "net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// certificateFiles writes a certificate for localhost and 127.0.0.1, and returns its pool.
func certificateFiles(t testing.TB, dir string, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func smtpConfig() Config {
	return Config{SMTP: SMTP{Listen: "127.0.0.1:0", Name: "reports.example.org"}}
}

// dialSMTP greets.
func dialSMTP(t testing.TB, addr string) *netsmtp.Client {
	t.Helper()
	c, err := netsmtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("client.reporter.example"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// send sends a mail and returns the first reply that is an error.
func send(c *netsmtp.Client, from string, mail []byte, to ...string) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, writeErr := w.Write(mail)
	return errors.Join(w.Close(), writeErr)
}

func codeOf(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

func TestSMTPTakesReportsForKnownAddresses(t *testing.T) {
	r := newRig(t)
	in, _ := r.start(smtpConfig())
	c := dialSMTP(t, in.Addr())
	mail := r.signed(letter("reports+example.org@example.org", "one.xml", aReport(t, "1", 3)))
	if err := send(c, "bounces@reporter.example", mail, "Reports+Example.ORG@example.org", "reports@EXAMPLE.org"); err != nil {
		t.Fatal(err)
	}
	got := r.shelf.kept()
	if len(got) != 1 || !bytes.Equal(got[0].Octets, mail) {
		t.Fatalf("%d arrivals, or other octets", len(got))
	}
	a := got[0]
	want := "dmarc=pass header.from=reporter.example; dkim=pass header.d=reporter.example header.s=s1; spf=fail smtp.mailfrom=reporter.example"
	if a.Way != report.BySMTP || a.Place != "127.0.0.1" || a.Sender != "reporter.example" || a.Trust != report.Verified || a.Verdict != want || a.Name != "one.xml@reporter.example" ||
		fmt.Sprint(a.To) != "[reports+example.org@example.org reports@example.org]" {
		t.Errorf("%+v", a)
	}
	for _, unknown := range []string{"reports+elsewhere.example@example.org", "reports@elsewhere.example", "postmaster@example.org", "probe@example.org", "probe+short@example.org", "reports+@example.org"} {
		if err := send(c, "a@reporter.example", mail, unknown); codeOf(err) != 550 || !strings.Contains(err.Error(), "takes DMARC and TLS reports") {
			t.Errorf("%s: %v", unknown, err)
		}
	}
	for _, e := range []string{"AUTH", "STARTTLS", "BINARYMIME", "DSN"} {
		if ok, _ := c.Extension(e); ok {
			t.Errorf("%s is offered", e)
		}
	}
	for _, e := range []string{"8BITMIME", "SMTPUTF8", "PIPELINING", "SIZE"} {
		if ok, _ := c.Extension(e); !ok {
			t.Errorf("%s is not offered", e)
		}
	}
	s := in.Status()[0]
	if !s.Up || s.Counts.Stored != 1 || s.Counts.Verified != 1 || s.Counts.Refused != 6 || s.Counts.Octets != uint64(len(mail)) || s.LastInput.IsZero() {
		t.Errorf("%+v", s)
	}
}

// What is not verified is stored all the same, and says why.
func TestSMTPSaysWhyAMailIsNotVerified(t *testing.T) {
	r := newRig(t)
	in, _ := r.start(smtpConfig())
	c := dialSMTP(t, in.Addr())
	plain := letter("reports@example.org", "x.xml", aReport(t, "2", 1))
	changed := bytes.Replace(r.signed(letter("reports@example.org", "y.xml", aReport(t, "3", 1))), []byte("Subject: Report"), []byte("Subject: Other"), 1)
	forged := bytes.Replace(plain, []byte("reports@reporter.example"), []byte("x@stranger.example"), 1)
	twice := append([]byte("From: someone@stranger.example\r\n"), r.signed(plain)...)
	broken := r.net.Zone("broken.example", 1)
	broken.TXT("_dmarc.broken.example", "v=DMARC1; p=reject")
	for _, s := range broken.Servers() {
		s.Fail(fakedns.ServFail)
	}
	trouble := bytes.Replace(plain, []byte("reports@reporter.example"), []byte("x@broken.example"), 1)
	for _, c2 := range []struct {
		name, from string
		mail       []byte
		want       string
	}{
		{"unsigned", "a@stranger.example", plain, "dmarc=fail header.from=reporter.example; dkim=none; spf=none reason=no_record smtp.mailfrom=stranger.example"},
		{"changed", "", changed, "dmarc=fail header.from=reporter.example; dkim=fail reason=signature_mismatch header.d=reporter.example header.s=s1; spf=none reason=no_record smtp.helo=client.reporter.example"},
		{"another author", "a@reporter.example", forged, "dmarc=fail header.from=stranger.example; dkim=none; spf=fail smtp.mailfrom=reporter.example"},
		{"two authors", "a@reporter.example", twice, "dmarc=permerror reason=from_multiple_fields; dkim=fail reason=signature_mismatch header.d=reporter.example header.s=s1; spf=fail smtp.mailfrom=reporter.example"},
		{"no DNS", "a@reporter.example", trouble, "dmarc=temperror reason=dns_error header.from=broken.example; dkim=none; spf=fail smtp.mailfrom=reporter.example"},
	} {
		before := len(r.shelf.kept())
		if err := send(c, c2.from, c2.mail, "reports@example.org"); err != nil {
			t.Errorf("%s: %v", c2.name, err)
			continue
		}
		got := r.shelf.kept()[before:]
		if len(got) != 1 || got[0].Trust != report.Unverified || got[0].Verdict != c2.want {
			t.Errorf("%s: %+v\nwant %s", c2.name, got, c2.want)
		}
	}
}

// SPF of the envelope is enough for DMARC, when it is aligned.
func TestSMTPBelievesSPF(t *testing.T) {
	r := newRig(t)
	r.zone.TXT("reporter.example", "v=spf1 ip4:127.0.0.1 -all")
	in, _ := r.start(smtpConfig())
	if err := send(dialSMTP(t, in.Addr()), "b@reporter.example", letter("reports@example.org", "x.xml", aReport(t, "4", 1)), "reports@example.org"); err != nil {
		t.Fatal(err)
	}
	if a := r.shelf.kept()[0]; a.Trust != report.Verified || a.Sender != "reporter.example" {
		t.Errorf("%+v", a)
	}
}

// The client keeps a mail until it is stored.
func TestSMTPDefersWhatCannotBeStored(t *testing.T) {
	r := newRig(t)
	in, _ := r.start(smtpConfig())
	mail := r.signed(letter("reports@example.org", "x.xml", aReport(t, "5", 1)))
	c := dialSMTP(t, in.Addr())
	for _, trouble := range []struct {
		err  error
		code int
		text string
	}{
		{errDown, 451, "the database is away"},
		{errors.New("pq: secret detail"), 451, "could not be stored"},
		{fault.New(fault.Invalid, "it is never taken"), 554, "never taken"},
	} {
		r.shelf.fail(1, trouble.err)
		err := send(c, "a@reporter.example", mail, "reports@example.org")
		if codeOf(err) != trouble.code || !strings.Contains(err.Error(), trouble.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", trouble.err, err)
		}
	}
	if len(r.shelf.kept()) != 0 {
		t.Error("something was stored")
	}
	for range 2 { // and once more, as a client does that did not get the reply
		if err := send(c, "a@reporter.example", mail, "reports@example.org"); err != nil {
			t.Error(err)
		}
	}
	if len(r.shelf.kept()) != 1 {
		t.Errorf("stored %d times", len(r.shelf.kept()))
	}
	if n := in.Status()[0].Counts; n.Deferred != 2 || n.Refused != 1 || n.Stored != 2 || n.Again != 1 {
		t.Errorf("%+v", n)
	}
}

// TLS with the certificate of the files, also when they changed.
func TestSMTPStartTLSReadsTheCertificateAgain(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	now := time.Now()
	r.needs.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	dir := t.TempDir()
	cert, key := certificateFiles(t, dir, 1)
	cfg := smtpConfig()
	cfg.SMTP.Certificate, cfg.SMTP.Key = cert, key
	in, _ := r.start(cfg)
	serial := func() int64 {
		text, err := os.ReadFile(filepath.Join(dir, "roots.pem"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		c := dialSMTP(t, in.Addr())
		if err := c.StartTLS(&tls.Config{ServerName: "localhost", RootCAs: pool}); err != nil {
			t.Fatal(err)
		}
		state, _ := c.TLSConnectionState()
		if err := send(c, "a@reporter.example", letter("x", "x.xml", aReport(t, "6", 1)), "reports@example.org"); err != nil {
			t.Error(err)
		}
		return state.PeerCertificates[0].SerialNumber.Int64()
	}
	copyRoots := func() {
		text, _ := os.ReadFile(cert)
		old, _ := os.ReadFile(filepath.Join(dir, "roots.pem"))
		if err := os.WriteFile(filepath.Join(dir, "roots.pem"), append(old, text...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	copyRoots()
	if n := serial(); n != 1 {
		t.Errorf("serial %d", n)
	}
	later := func() { mu.Lock(); now = now.Add(certificateLook); mu.Unlock() }
	if err := os.WriteFile(key, []byte("half of it"), 0o644); err != nil {
		t.Fatal(err)
	}
	later()
	if n := serial(); n != 1 {
		t.Errorf("serial %d while the files are being written", n)
	}
	certificateFiles(t, dir, 2)
	copyRoots()
	later()
	if n := serial(); n != 2 {
		t.Errorf("serial %d", n)
	}
}

// A probe is told of with all that was found, and is no report.
func TestSMTPProbe(t *testing.T) {
	r := newRig(t)
	in, _ := r.start(smtpConfig())
	c := dialSMTP(t, in.Addr())
	token := "abcdefghijklmnop234567"
	mail := append([]byte("Received: from mx1 by relay\r\n\tid 1; Thu, 26 Nov 2026 10:00:02 +0000\r\nReceived: from app by mx1; Thu, 26 Nov 2026 10:00:01 +0000\r\n"), r.signed(letter("probe@example.org", "p.txt", []byte("hello, this is a probe\r\n")))...)
	mail = append(mail, "a disclaimer of the relay\r\n"...)
	if err := send(c, "a@reporter.example", mail, "probe+"+token+"@example.org"); err != nil {
		t.Fatal(err)
	}
	v, ok := r.probes.verdict(token)
	if !ok || len(r.shelf.kept()) != 0 {
		t.Fatalf("told %v, stored %d", ok, len(r.shelf.kept()))
	}
	if len(v.Signatures) != 1 {
		t.Fatalf("%+v", v)
	}
	s := v.Signatures[0]
	if s.Domain != "reporter.example" || s.Selector != "s1" || s.Result != "fail" || s.Reason != "body_hash_mismatch" || !s.Aligned || s.Cause != "text_appended" || !s.Proven {
		t.Errorf("%+v", s)
	}
	if v.Hops != 2 || len(v.Received) != 2 || !strings.HasPrefix(v.Received[0], "from mx1 by relay id 1") || v.From != "reporter.example" || v.DMARC.Result != "fail" || v.DMARC.Policy != "reject" ||
		v.SPF.Result != "fail" || v.SPF.Domain != "reporter.example" || v.Peer.String() != "127.0.0.1" || v.HELO != "client.reporter.example" || v.MailFrom != "a@reporter.example" || v.MessageID != "p.txt@reporter.example" {
		t.Errorf("%+v", v)
	}
	if _, _, ok := v.Signed(); ok {
		t.Error("it counts as signed")
	}
	if err := send(c, "a@reporter.example", r.signed(letter("probe@example.org", "p.txt", nil)), "probe+"+token+"@example.org"); err != nil {
		t.Fatal(err)
	}
	if v, _ := r.probes.verdict(token); v.DMARC.Result != "pass" || v.Trust() != report.Verified {
		t.Errorf("%+v", v)
	} else if domain, selector, ok := v.Signed(); !ok || domain != "reporter.example" || selector != "s1" {
		t.Errorf("signed: %q %q %v", domain, selector, ok)
	}
	for _, trouble := range []struct {
		err  error
		code int
	}{{errDown, 451}, {fault.New(fault.NotFound, "there is no such probe"), 0}} {
		r.probes.failing = trouble.err
		if err := send(c, "a@reporter.example", mail, "probe+"+token+"@example.org"); codeOf(err) != trouble.code {
			t.Errorf("%v: %v", trouble.err, err)
		}
	}
}

// A key may be for TLS reports alone (RFC 8460 §3). Then it vouches for those, and not for a DMARC report that looks like one.
func TestSMTPKeysOfTLSReports(t *testing.T) {
	r := newRig(t)
	record, err := dkim.FormatKeyRecord(r.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	r.zone.TXT("s1._domainkey.reporter.example", strings.Replace(record, "v=DKIM1;", "v=DKIM1; s=tlsrpt;", 1))
	in, _ := r.start(smtpConfig())
	c := dialSMTP(t, in.Addr())
	fields := "TLS-Report-Domain: example.org\r\nTLS-Report-Submitter: reporter.example\r\n"
	tlsReport := []byte(`{"organization-name":"Reporter","date-range":{"start-datetime":"2026-11-26T00:00:00Z","end-datetime":"2026-11-26T23:59:59Z"},"contact-info":"x@reporter.example","report-id":"1",
"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],"policy-domain":"example.org"},"summary":{"total-successful-session-count":5,"total-failure-session-count":0}}]}`)
	for _, c2 := range []struct {
		name   string
		fields string
		file   []byte
		want   report.Trust
	}{
		{"TLS report", fields, tlsReport, report.Verified},
		{"without its fields", "", tlsReport, report.Unverified},
		{"DMARC report", fields, aReport(t, "1", 3), report.Unverified},
		{"nothing", fields, []byte("words"), report.Unverified},
	} {
		before := len(r.shelf.kept())
		if err := send(c, "a@reporter.example", r.signed(append([]byte(c2.fields), letter("reports@example.org", c2.name, c2.file)...)), "reports@example.org"); err != nil {
			t.Fatal(err)
		}
		if a := r.shelf.kept()[before]; a.Trust != c2.want {
			t.Errorf("%s: %s: %s", c2.name, a.Trust, a.Verdict)
		}
	}
}
