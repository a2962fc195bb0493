package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// ruleCase is a value with all findings that it has.
type ruleCase struct {
	id       string // the rule that the case is about
	value    string
	want     string   // all ids, in order, separated by a space; "" for a record without findings
	severity Severity // of the rule's finding; "" in the cases that come close and do not raise it
	valid    bool
	seen     string // part of the message
	fix      string // part of the fix
}

// ruleCases has for each rule values that raise it and values that come close and do not.
var ruleCases = sync.OnceValue(func() []ruleCase {
	g := goodKeys()
	good, ed := g.records[0], g.records[1]
	R, E := "p="+g.rsaP, "p="+g.edP
	cut := func(s string, at ...int) string {
		var parts []string
		last := 0
		for _, i := range append(at, len(s)) {
			parts = append(parts, `"`+s[last:i]+`"`)
			last = i
		}
		return strings.Join(parts, " ")
	}
	publicPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(g.rsa.Public()))}))
	privatePEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(g.rsa)}))
	flat := func(s string) string { return strings.ReplaceAll(s, "\n", "") }
	certificate := b64(must(x509.CreateCertificate(rand.Reader,
		&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Unix(2e9, 0)},
		&x509.Certificate{SerialNumber: big.NewInt(1)}, g.rsa.Public(), g.rsa)))
	curve := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	edSPKI := b64(must(x509.MarshalPKIXPublicKey(g.ed.Public())))
	edPKCS8 := pkcs8(g.ed)
	seedAndPublic := append(slices.Clone(edPKCS8[16:]), must(x509.MarshalPKIXPublicKey(g.ed.Public()))[12:]...)
	bare := b64(x509.MarshalPKCS1PublicKey(&rsaPrivate(g.rsa).PublicKey))
	long := "v=DKIM1; k=rsa; n=" + strings.Repeat("x", 200) + "; " + R
	note := "n=" + strings.Repeat("x", 100) + "; "

	return []ruleCase{
		{"", good, "", "", true, "", ""},
		{"", ed, "", "", true, "", ""},
		{"", good + ";", "", "", true, "", ""},
		{"", "v=DKIM1;k=rsa;" + R + " ; ", "", "", true, "", ""},
		{"", "v=DKIM1; k=rsa; p=", "", "", true, "", ""},
		{"", "v=DKIM1; h=sha256; k=rsa; s=email; t=s; " + R, "", "", true, "", ""},

		{"DKIM-S04", "v=DKIM1; k=rsa", "DKIM-S04", Error, false, "no p=", "publish the whole record again"},
		{"DKIM-S04", "v=DKIM1; k=rsa; P=" + g.rsaP, "DKIM-S04 DKIM-S16", Error, false, "no p=", ""},
		{"DKIM-S04", "", "DKIM-S04 DKIM-S12", Error, false, "", ""},
		{"DKIM-S04", "v=DKIM1; k=rsa; p=;", "", "", true, "", ""},

		{"DKIM-S05", "v=DKIM1; k=rsa; " + R[:100] + "*" + R[101:], "DKIM-S05", Error, false, `"*" at character 99`, ""},
		{"DKIM-S05", "v=DKIM1; k=rsa; " + R[:len(R)-1], "DKIM-S05", Error, false, "293 of its 294 octets", ""},
		{"DKIM-S05", "v=DKIM1; k=rsa; " + R[:len(R)-3], "DKIM-S05", Error, false, "389 characters", ""},
		{"DKIM-S05", "v=DKIM1; k=ed25519; " + E + "=", "DKIM-S05", Error, false, "2 padding signs", "publish " + ed},
		{"DKIM-S05", "v=DKIM1; k=ed25519; " + strings.TrimRight(E, "="), "DKIM-S05", Warning, true, "padding", "publish " + ed},
		{"DKIM-S05", "v=DKIM1; k=ed25519; p=__" + g.edP[2:], "DKIM-S05", Error, false, "base64url", "publish v=DKIM1; k=ed25519; p=//" + g.edP[2:]},
		{"DKIM-S05", "v=DKIM1; k=rsa; " + R[:202], "DKIM-S05", Error, false, "150 of its 294 octets", ""},
		{"DKIM-S05", "v=DKIM1; k=rsa; p=aGVsbG8=", "DKIM-S05", Error, false, "5 octets are no public key", ""},
		{"DKIM-S05", good, "", "", true, "", ""},

		{"DKIM-S06", "v=DKIM1; k=rsa; p=\"" + g.rsaP + "\"", "DKIM-S06", Error, false, `(")`, "publish " + good},
		{"DKIM-S06", `\"v=DKIM1; k=rsa; ` + R + `\"`, "DKIM-S06", Error, false, "", "publish " + good},
		{"DKIM-S06", "“" + good + "”", "DKIM-S06", Error, false, "(“)", "publish " + good},
		{"DKIM-S06", "'" + good + "'", "DKIM-S06", Error, false, "", "publish " + good},
		{"DKIM-S06", `"\"` + good[:200] + `" "` + good[200:] + `\""`, "DKIM-S06", Error, false, "", `publish "v=DKIM1; k=rsa; p=`},
		{"DKIM-S06", good[:100] + `" "` + good[100:], "DKIM-S06 DKIM-S09", Error, false, "", "publish " + good},
		{"DKIM-S06", cut(good, 200), "", "", true, "", ""},
		{"DKIM-S06", `v=DKIM1; k=rsa; n=the "new" key; ` + R, "DKIM-S21", "", true, "", ""},

		{"DKIM-S07", `v=DKIM1\; k=rsa\; ` + R, "DKIM-S07", Error, false, `\;`, "publish " + good},
		{"DKIM-S07", `"v=DKIM1\\; k=rsa\\; ` + R + `"`, "DKIM-S07 DKIM-S30", Error, false, "", `publish "v=DKIM1; k=rsa; p=`},
		{"DKIM-S07", `"v=DKIM1\; k=rsa\; ` + R[:200] + `" "` + R[200:] + `"`, "", "", true, "", ""},

		{"DKIM-S08", "v=DK IM1; k=rsa; " + R, "DKIM-S08", Error, false, `"v=DK IM1"`, "publish " + good},
		{"DKIM-S08", "v=DKIM1; k=r sa; " + R, "DKIM-S08", Error, false, `"k=r sa"`, "publish " + good},
		{"DKIM-S08", "v=DKIM1; h=sha 256; k=rsa; " + R, "DKIM-S08", Error, false, "", "h=sha256"},
		{"DKIM-S08", "v=DKIM1; k=rsa; s=e mail; " + R, "DKIM-S08", Error, false, "", "s=email"},
		{"DKIM-S08", "v=DKIM1; rsa; " + R, "DKIM-S08", Error, false, `"rsa" is no tag=value`, "publish " + good},
		{"DKIM-S08", "v=DKIM1; k k=rsa; " + R, "DKIM-S08", Error, false, "", ""},
		{"DKIM-S08", "v=DKIM1;; k=rsa; " + R, "DKIM-S08", Error, false, "semicolon without a tag", "publish " + good},
		{"DKIM-S08", cut("v=DKIM1; k=rsa; "+R, 11, 200), "", "", true, "", ""},
		{"DKIM-S08", "v = DKIM1 ; k = rsa ; p = " + g.rsaP, "", "", true, "", ""},

		{"DKIM-S08", "v=DKIM1; k=rsa; n=" + strings.Repeat("x", 16<<10), "DKIM-S08", Error, false, "octets", ""},
		{"DKIM-S08", strings.Repeat(";a=;b", 3000), "DKIM-S04 DKIM-S08 DKIM-S12 DKIM-S13 DKIM-S16", Error, false, "", ""},

		{"DKIM-S09", "v=DKIM1; k=rsa; " + R[:100] + " " + R[100:], "DKIM-S09", Warning, true, "", "publish " + good},
		{"DKIM-S09", "v=DKIM1; k=rsa; " + R[:100] + "\r\n " + R[100:], "DKIM-S09", Warning, true, "", "publish " + good},
		{"DKIM-S09", cut(good, 200) + " ", "", "", true, "", ""},
		{"DKIM-S09", "v=DKIM1; k=rsa; p= " + g.rsaP + " ;", "", "", true, "", ""},

		{"DKIM-S10", "k=rsa; v=DKIM1; " + R, "DKIM-S10", Error, false, "", "publish " + good},
		{"DKIM-S10", "p=; v=DKIM1", "DKIM-S10", Error, false, "", "publish v=DKIM1; k=rsa; p="},
		{"DKIM-S10", " v=DKIM1; k=rsa; " + R, "", "", true, "", ""},

		{"DKIM-S11", "v=dkim1; k=rsa; " + R, "DKIM-S11", Error, false, `"dkim1"`, "publish " + good},
		{"DKIM-S11", "v=DKIM; k=rsa; " + R, "DKIM-S11", Error, false, "", "publish " + good},
		{"DKIM-S11", "v=DKIM1,; k=rsa; " + R, "DKIM-S11", Error, false, "", "publish " + good},
		{"DKIM-S11", "v=; k=rsa; " + R, "DKIM-S11", Error, false, "", "publish " + good},
		{"DKIM-S11", "v =\tDKIM1; k=rsa; " + R, "", "", true, "", ""},

		{"DKIM-S12", "k=rsa; " + R, "DKIM-S12", Info, true, "", "publish " + good},
		{"DKIM-S12", "V=DKIM1; k=rsa; " + R, "DKIM-S12 DKIM-S16", Info, true, "", "publish " + good},

		{"DKIM-S13", "v=DKIM1; k=rsa; k=rsa; " + R, "DKIM-S13", Error, false, "k=", "publish " + good},
		{"DKIM-S13", "v=DKIM1; k=rsa; " + R + "; p=", "DKIM-S13", Error, false, "p=", "keep the one"},
		{"DKIM-S13", "v=DKIM1; k=rsa; K=rsa; " + R, "DKIM-S16", "", true, "", ""},

		{"DKIM-S14", "v=DKIM1; k=RSA; " + R, "DKIM-S14", Error, false, `"RSA"`, "publish " + good},
		{"DKIM-S14", "v=DKIM1; k=rsa-sha256; " + R, "DKIM-S14", Error, false, "", "publish " + good},
		{"DKIM-S14", "v=DKIM1; k=ed25519-sha256; " + E, "DKIM-S14", Error, false, "", "publish " + ed},
		{"DKIM-S14", "v=DKIM1; k=dsa; p=", "DKIM-S14", Error, false, "", ""},
		{"DKIM-S14", "v=DKIM1; k=; " + R, "DKIM-S14", Error, false, "", "publish " + good},
		{"DKIM-S14", "v=DKIM1; " + R, "", "", true, "", ""},

		{"DKIM-S15", "v=DKIM1; k=ed25519; " + R, "DKIM-S15", Error, false, "RSA key", "publish " + good},
		{"DKIM-S15", "v=DKIM1; k=rsa; " + E, "DKIM-S15", Error, false, "32 octets", "publish " + ed},
		{"DKIM-S15", "v=DKIM1; " + E, "DKIM-S15", Error, false, "without k=", "publish " + ed},
		{"DKIM-S15", "v=DKIM1; k=rsa; p=" + edSPKI, "DKIM-S15", Error, false, "", "publish " + ed},
		{"DKIM-S15", "v=DKIM1; k=rsa; p=" + b64(must(x509.MarshalPKIXPublicKey(curve.Public()))), "DKIM-S15", Error, false, "elliptic curve", "new key"},
		{"DKIM-S15", ed, "", "", true, "", ""},

		{"DKIM-S16", "v=DKIM1; k=rsa; g=; " + R, "DKIM-S16", Warning, true, "RFC 4871", "publish " + good},
		{"DKIM-S16", "v=DKIM1; k=rsa; foo=1; " + R, "DKIM-S16", Info, true, "foo=", "publish " + good},
		{"DKIM-S16", "v=DKIM1; k=rsa; h=sha256; s=*; t=s; " + R, "", "", true, "", ""},

		{"DKIM-S17", "v=DKIM1; h=sha1; k=rsa; " + R, "DKIM-S17", Error, false, `h="sha1"`, "publish " + good},
		{"DKIM-S17", "v=DKIM1; h=SHA256; k=rsa; " + R, "DKIM-S17", Error, false, "", ""},
		{"DKIM-S17", "v=DKIM1; h=; k=rsa; " + R, "DKIM-S17", Error, false, "", ""},
		{"DKIM-S17", "v=DKIM1; h=sha1 : sha256; k=rsa; " + R, "", "", true, "", ""},

		{"DKIM-S18", "v=DKIM1; k=rsa; s=tlsrpt; " + R, "DKIM-S18", Error, false, `s="tlsrpt"`, "publish " + good},
		{"DKIM-S18", "v=DKIM1; k=rsa; s=EmAiL; " + R, "DKIM-S18", Error, false, "", ""},
		{"DKIM-S18", "v=DKIM1; k=rsa; s=tlsrpt:email; " + R, "", "", true, "", ""},

		{"DKIM-S19", "v=DKIM1; k=rsa; t=y; " + R, "DKIM-S19", Warning, true, "", "publish " + good},
		{"DKIM-S19", "v=DKIM1; k=rsa; t=y:s; " + R, "DKIM-S19", Warning, true, "", "publish v=DKIM1; k=rsa; t=s; " + R},
		{"DKIM-S19", "v=DKIM1; k=rsa; t=s; " + R, "", "", true, "", ""},

		{"DKIM-S21", "v=DKIM1; k=rsa; n=for mx1; t=s; " + R, "DKIM-S21", Info, true, "for mx1", "publish v=DKIM1; k=rsa; t=s; " + R},
		{"DKIM-S21", "v=DKIM1; k=rsa; t=s; " + R, "", "", true, "", ""},

		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + flat(privatePEM), "DKIM-S22", Error, false, "PRIVATE KEY", "publish v=DKIM1; k=rsa; p= to revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + unspaced(privatePEM), "DKIM-S22", Error, false, "", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + b64(pkcs8(g.rsa)), "DKIM-S22", Error, false, "PKCS#8", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + b64(pkcs8(g.rsa))[:200], "DKIM-S22", Error, false, "PKCS#8", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + b64(x509.MarshalPKCS1PrivateKey(rsaPrivate(g.rsa))), "DKIM-S22", Error, false, "PKCS#1", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=ed25519; p=" + b64(edPKCS8), "DKIM-K06 DKIM-S22", Error, false, "seed", "k=ed25519; p= to revoke"},
		{"DKIM-S22", "v=DKIM1; k=ed25519; p=" + b64(edPKCS8[12:]), "DKIM-K06 DKIM-S22", Error, false, "seed", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=ed25519; p=" + b64(edPKCS8[14:]), "DKIM-K06 DKIM-S22", Error, false, "seed", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=ed25519; p=" + b64(seedAndPublic), "DKIM-K06 DKIM-S22", Error, false, "with its public key", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + b64(must(x509.MarshalECPrivateKey(curve))), "DKIM-S22", Error, false, "elliptic curve", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; p=" + b64([]byte("openssh-key-v1\x00none")), "DKIM-S22", Error, false, "OpenSSH", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; n=" + b64(pkcs8(g.rsa)) + "; " + R, "DKIM-S21 DKIM-S22", Error, true, "PKCS#8", "revoke"},
		{"DKIM-S22", b64(pkcs8(g.rsa)), "DKIM-S04 DKIM-S08 DKIM-S12 DKIM-S22", Error, false, "PKCS#8", "revoke"},
		{"DKIM-S22", "v=DKIM1; k=rsa; n=the private key is on mx1; " + R, "DKIM-S21", "", true, "", ""},
		{"DKIM-S22", "v=DKIM1; k=ed25519; p=" + b64(append([]byte{4, 32}, make([]byte, 30)...)), "", "", true, "", ""},

		{"DKIM-S23", "v=DKIM1; k=rsa; p=" + flat(publicPEM), "DKIM-S23", Error, false, "PUBLIC KEY", "publish " + good},
		{"DKIM-S23", "v=DKIM1; k=rsa; p=" + unspaced(publicPEM), "DKIM-S23", Error, false, "PUBLICKEY", "publish " + good},
		{"DKIM-S23", publicPEM, "DKIM-S04 DKIM-S08 DKIM-S12 DKIM-S23 DKIM-S26", Error, false, "PUBLIC KEY", "publish " + good},
		{"DKIM-S23", "v=DKIM1; k=rsa; p=" + certificate, "DKIM-S23", Error, false, "certificate", "publish " + good},
		{"DKIM-S23", "v=DKIM1; k=rsa; n=--; " + R, "DKIM-S21", "", true, "", ""},

		{"DKIM-S25", "v=spf1 include:_spf.example.org -all", "DKIM-S25", Error, false, "SPF", "wildcard"},
		{"DKIM-S25", "V=DMARC1; p=none", "DKIM-S25", Error, false, "DMARC", "_dmarc.DOMAIN"},
		{"DKIM-S25", `"v=spf1 -all"`, "DKIM-S25", Error, false, "SPF", ""},
		{"DKIM-S25", "v=DKIM1; k=rsa; n=v=spf1; " + R, "DKIM-S21", "", true, "", ""},

		{"DKIM-S26", "v=DKIM1; k=rsa; " + R[:100] + "\u00a0" + R[100:], "DKIM-S05 DKIM-S09 DKIM-S26", Warning, false, "U+00A0", "publish " + good},
		{"DKIM-S26", "v=DKIM1;\u200b k=rsa; " + R, "DKIM-S08 DKIM-S26", Warning, false, "zero-width", "publish " + good},
		{"DKIM-S26", "v=DKIM1;\n k=rsa; " + R, "DKIM-S08 DKIM-S26", Warning, false, "line feed", "publish " + good},
		{"DKIM-S26", "v=DKIM1； k=rsa; " + R, "DKIM-S11 DKIM-S26", Warning, false, "", "publish " + good},
		{"DKIM-S26", "v=DKIM1; k=rsa; n=für mx1; " + R, "DKIM-S21 DKIM-S26", Warning, true, "U+00FC (ü)", ""},
		{"DKIM-S26", "v=DKIM1; k=rsa; n=\xff; " + R, "DKIM-S21 DKIM-S26", Warning, true, "no UTF-8", ""},
		{"DKIM-S26", "v=DKIM1;\t k=rsa;\r\n\t" + R, "", "", true, "", ""},

		{"DKIM-S27", "v=DKIM1 k=rsa; " + R, "DKIM-S11 DKIM-S27", Warning, false, `"k=rsa"`, "publish " + good},
		{"DKIM-S27", "v=DKIM1, k=rsa, " + R, "DKIM-S04 DKIM-S11 DKIM-S27", Warning, false, "", "publish " + good},
		{"DKIM-S27", "v=DKIM1; k=rsa " + R, "DKIM-S04 DKIM-S14 DKIM-S27", Warning, false, "", "publish " + good},
		{"DKIM-S27", "v=DKIM1; k=ed25519; " + E + " t=s", "DKIM-S05 DKIM-S09 DKIM-S27", Warning, false, `"t=s"`, "publish v=DKIM1; k=ed25519; t=s; " + E},
		{"DKIM-S27", "v=DKIM1; k=rsa; n=" + "note " + R, "DKIM-S04 DKIM-S21 DKIM-S27", Warning, false, "", "n=note; " + R},
		{"DKIM-S27", "v=DKIM1; k=rsa; n=see k=rsa; " + R, "DKIM-S21", "", true, "", ""},
		{"DKIM-S27", "v=DKIM1; k=ed25519; " + E[:20] + " " + E[20:44] + " " + E[44:], "DKIM-S09", "", true, "", ""},

		{"DKIM-S30", `"` + good + `"`, "DKIM-S30", Warning, true, "410 octets", `"` + good[:255] + `" "` + good[255:] + `"`},
		{"DKIM-S30", (note + good)[:255], "DKIM-S05 DKIM-S10 DKIM-S21 DKIM-S30", Warning, false, "255 octets", ""},
		{"DKIM-S30", cut(good, 255), "", "", true, "", ""},
		{"DKIM-S30", good, "", "", true, "", ""},
		{"DKIM-S30", cut(long, 255, 510), "DKIM-S21", "", true, "", ""},

		{"DKIM-K01", rsaRecord(modulus(1023), 65537), "DKIM-K01 DKIM-K20", Error, false, "1023 bits", "new key"},
		{"DKIM-K01", rsaRecord(modulus(512), 65537), "DKIM-K01 DKIM-K20", Error, false, "512 bits", "new key"},
		{"DKIM-K02", rsaRecord(modulus(1024), 65537), "DKIM-K02 DKIM-K20", Warning, true, "1024 bits", "new key"},
		{"DKIM-K02", rsaRecord(modulus(2047), 65537), "DKIM-K02 DKIM-K20", Warning, true, "2047 bits", "new key"},
		{"DKIM-K02", rsaRecord(modulus(2048), 65537), "", "", true, "", ""},
		{"DKIM-K03", rsaRecord(modulus(4097), 65537), "DKIM-K03", Warning, true, "4097 bits", ""},
		{"DKIM-K03", rsaRecord(modulus(4096), 65537), "DKIM-K04", "", true, "", ""},
		{"DKIM-K04", rsaRecord(modulus(3072), 65537), "DKIM-K04", Info, true, "3072 bits", ""},
		{"DKIM-K04", rsaRecord(modulus(4096), 65537), "DKIM-K04", Info, true, "4096 bits", ""},
		{"DKIM-K04", rsaRecord(modulus(2048), 65537), "", "", true, "", ""},

		{"DKIM-K05", rsaRecord(modulus(2048), 3), "DKIM-K05", Warning, true, "is 3", "new key"},
		{"DKIM-K05", rsaRecord(modulus(2048), 1), "DKIM-K05", Error, false, "is 1", "new key"},
		{"DKIM-K05", rsaRecord(modulus(2048), 65536), "DKIM-K05", Error, false, "is 65536", "new key"},
		{"DKIM-K05", rsaRecord(modulus(2048), 1<<33+1), "DKIM-K05", Error, false, "34 bits", "new key"},
		{"DKIM-K05", rsaRecord(modulus(2048), 65537), "", "", true, "", ""},

		{"DKIM-K06", "v=DKIM1; k=ed25519; p=" + edSPKI, "DKIM-K06", Error, false, "44 octets", "publish " + ed},
		{"DKIM-K06", "v=DKIM1; k=ed25519; p=" + b64(make([]byte, 31)), "DKIM-K06", Error, false, "31 octets", ""},
		{"DKIM-K06", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "", "", true, "", ""},
		// 32 octets of zero are a point of small order, under which everybody can sign.
		{"DKIM-S05", "v=DKIM1; k=ed25519; p=" + b64(make([]byte, 32)), "DKIM-S05", Error, false, "small order", ""},

		{"DKIM-K07", "v=DKIM1; k=rsa; p=" + bare, "DKIM-K07", Warning, true, "PKCS#1", "publish " + good},
		{"DKIM-K07", good, "", "", true, "", ""},

		{"DKIM-K08", rsaRecord(new(big.Int).Lsh(modulus(2047), 1), 65537), "DKIM-K08", Error, false, "even", "new key"},
		{"DKIM-K08", rsaRecord(new(big.Int).Mul(modulus(2032), big.NewInt(65521)), 65537), "DKIM-K08", Error, true, "divisible by 65521", "new key"},
		{"DKIM-K08", rsaRecord(new(big.Int).Mul(modulus(2032), big.NewInt(65537)), 65537), "", "", true, "", ""},
		{"DKIM-K08", rsaRecord(closePrimes(1024, 10), 65537), "DKIM-K08", Error, true, "Fermat", "new key"},
		{"DKIM-K08", rsaRecord(new(big.Int).Exp(modulus(1024), big.NewInt(2), nil), 65537), "DKIM-K08", Error, true, "Fermat", "new key"},

		{"DKIM-K09", rsaRecord(rocaModulus(2048), 65537), "DKIM-K09", Error, true, "ROCA", "new key"},
		{"DKIM-K09", good, "", "", true, "", ""},

		{"DKIM-K20", rsaRecord(modulus(1536), 65537), "DKIM-K02 DKIM-K20", Info, true, "DKIM2", "new key"},
		{"DKIM-K20", ed, "", "", true, "", ""},
	}
})

func TestRules(t *testing.T) {
	t.Parallel()
	raised, spared := map[string]bool{}, map[string]bool{}
	for _, c := range ruleCases() {
		l := lintText(c.value)
		if got := strings.Join(ids(l), " "); got != c.want || l.Valid != c.valid {
			t.Errorf("%s: %.120q: valid %v, %s; want %v, %s\n%+v", c.id, c.value, l.Valid, got, c.valid, c.want, l.Findings)
		}
		if got := verifierTakes(t, ReadValue(c.value).Text); got != c.valid {
			t.Errorf("%s: %.120q: the verifier takes it: %v", c.id, c.value, got)
		}
		f := find(l, c.id)
		if c.severity == "" {
			spared[c.id] = true
			if f != nil {
				t.Errorf("%s: %.120q: %+v", c.id, c.value, *f)
			}
			continue
		}
		raised[c.id] = true
		if f == nil || f.Severity != c.severity || !strings.Contains(f.Message, c.seen) || !strings.Contains(f.Fix, c.fix) {
			t.Errorf("%s: %.120q: %+v, want %s, %q, %q", c.id, c.value, f, c.severity, c.seen, c.fix)
		}
	}
	for id := range raised {
		// A short key is the near case of a right one and the other way round: K01 has K02's cases.
		if !spared[id] && id != "DKIM-K01" && id != "DKIM-S12" {
			t.Errorf("%s has no case that comes close", id)
		}
	}
}

// Every fix that is a record is one that leaves nothing to mend, except what the owner has to decide.
func TestCorrectedRecordsAreRight(t *testing.T) {
	t.Parallel()
	corrected := 0
	for _, c := range ruleCases() {
		mendsMend(t, LintDKIM, c.value)
		l := lintText(c.value)
		if l.Corrected == "" {
			continue
		}
		corrected++
		again := lintText(l.Corrected)
		for _, id := range ids(again) {
			if id != "DKIM-S19" && id != "DKIM-S21" && !strings.HasPrefix(id, "DKIM-K") {
				t.Errorf("%.120q: corrected to %q, which has %s", c.value, l.Corrected, id)
			}
		}
		if again.Corrected != l.Corrected {
			t.Errorf("%q becomes %q", l.Corrected, again.Corrected)
		}
	}
	if corrected < 90 {
		t.Errorf("only %d cases have a corrected record", corrected)
	}
}

// docs/lint.md has each rule that the cases raise with its severity, and no other.
func TestEveryRuleIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (DKIM-[SK]\d+) \| ([a-z, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	raised := map[string]bool{}
	for _, c := range ruleCases() {
		for _, f := range lintText(c.value).Findings {
			raised[f.ID] = true
			if !strings.Contains(documented[f.ID], string(f.Severity)) {
				t.Errorf("docs/lint.md does not say that %s can be %s", f.ID, f.Severity)
			}
		}
	}
	for id := range documented {
		if !raised[id] {
			t.Errorf("docs/lint.md has %s, which no case raises", id)
		}
	}
}

func TestKeyOfAGoodRecord(t *testing.T) {
	t.Parallel()
	for record, want := range map[string]RecordLint{
		goodKeys().records[0]:     {Valid: true, KeyType: "rsa", Bits: 2048},
		goodKeys().records[1]:     {Valid: true, KeyType: "ed25519", Bits: 256},
		"v=DKIM1; k=ed25519; p=":  {Valid: true, KeyType: "ed25519", Revoked: true},
		"v=DKIM1; k=ed448; p=abc": {},
	} {
		got := lintText(record)
		if got.Valid != want.Valid || got.KeyType != want.KeyType || got.Bits != want.Bits || got.Revoked != want.Revoked {
			t.Errorf("%.60q: %+v", record, got)
		}
	}
}

// The worst comes first, so that a person who reads one line reads the right one.
func TestFindingsAreInOrder(t *testing.T) {
	t.Parallel()
	l := lintText("n=x; g=; k=RSA; p=" + goodKeys().rsaP)
	var got []string
	for _, f := range l.Findings {
		got = append(got, string(f.Severity)+" "+f.ID)
	}
	want := []string{"error DKIM-S14", "warning DKIM-S16", "info DKIM-S12", "info DKIM-S21"}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// FuzzRecordLint: no panic, validity as package dkim's verifier has it, an error for every record that is not valid, and a corrected
// record that is accepted and stays as it is.
func FuzzRecordLint(f *testing.F) {
	for _, file := range []string{"mox-dkim", "mailcheck-dkim"} {
		var suite struct{ Cases []struct{ Record string } }
		readJSON(f, "../../../shared/testdata/records/"+file+".json", &suite)
		for _, c := range suite.Cases {
			f.Add(c.Record)
		}
	}
	g := goodKeys()
	for _, text := range []string{
		g.records[0], g.records[1], `( "v=DKIM1\; k=rsa\; " "p=` + g.rsaP[:100] + `" ; comment` + "\n" + `"` + g.rsaP[100:] + `" )`,
		"a._domainkey 3600 IN TXT \"v=DKIM1; p=\"", "v=DKIM1 k=rsa, p=“" + g.rsaP + "”", "v=DKIM1; p=-----BEGIN PRIVATE KEY-----",
		"v=DKIM1; k=ed25519; p=" + b64(pkcs8(g.ed)), "v=spf1 -all", rsaRecord(modulus(512), 1),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := ReadValue(text)
		l := LintDKIM(v)
		if l.Valid != verifierTakes(t, v.Text) {
			t.Fatalf("%q: valid %v", v.Text, l.Valid)
		}
		worst := Info
		for _, found := range l.Findings {
			if found.ID == "" || found.Message == "" || found.Fix == "" {
				t.Fatalf("%q: %+v", v.Text, found)
			}
			if found.Severity == Error {
				worst = Error
			}
		}
		if !l.Valid && worst != Error {
			t.Fatalf("%q is not valid and nothing says why: %+v", v.Text, l.Findings)
		}
		if l.Corrected == "" {
			return
		}
		if _, err := dkim.ParseKeyRecord(l.Corrected); err != nil {
			t.Fatalf("%q: corrected to %q: %v", v.Text, l.Corrected, err)
		}
		if again := lintText(l.Corrected); again.Corrected != l.Corrected {
			t.Fatalf("%q becomes %q", l.Corrected, again.Corrected)
		}
	})
}
