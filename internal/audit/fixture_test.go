package audit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/dkim"
)

// good are keys without fault, made once.
type good struct {
	rsa, ed       crypto.Signer
	rsaP, edP     string // as they stand in p=
	records       []string
	signedRSA     []byte // a message
	signedEdwards []byte
}

var goodKeys = sync.OnceValue(func() good {
	var g good
	var err error
	if g.rsa, err = dkim.GenerateKey(dkim.RSA2048, nil); err != nil {
		panic(err)
	}
	if g.ed, err = dkim.GenerateKey(dkim.Ed25519, nil); err != nil {
		panic(err)
	}
	for _, key := range []crypto.Signer{g.rsa, g.ed} {
		record, err := dkim.FormatKeyRecord(key.Public())
		if err != nil {
			panic(err)
		}
		g.records = append(g.records, record)
	}
	_, g.rsaP, _ = strings.Cut(g.records[0], "p=")
	_, g.edP, _ = strings.Cut(g.records[1], "p=")
	g.signedRSA, g.signedEdwards = signed(g.rsa), signed(g.ed)
	return g
})

// signed is a message with one signature.
func signed(key crypto.Signer) []byte {
	const from, body = "From: a@example.org\r\n", "hello\r\n"
	s, err := dkim.NewSigner(dkim.Signing{Domain: "example.org", Selector: "s", Key: key})
	if err != nil {
		panic(err)
	}
	if err := s.Header([]byte(from)); err != nil {
		panic(err)
	}
	s.Body([]byte(body))
	fields, err := s.Finish()
	if err != nil {
		panic(err)
	}
	return slices.Concat(fields[0], []byte(from), []byte("\r\n"), []byte(body))
}

// oneRecord answers every question with one record.
type oneRecord string

func (r oneRecord) LookupTXT(context.Context, string) ([]string, error) {
	return []string{string(r)}, nil
}

// verifierTakes reports whether package dkim's verifier works with the record for some signature: whatever it says then, it is not the
// record's fault as a record.
func verifierTakes(t testing.TB, record string) bool {
	t.Helper()
	for _, message := range [][]byte{goodKeys().signedRSA, goodKeys().signedEdwards} {
		results, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(message), dkim.VerifyOptions{Resolver: oneRecord(record)})
		if err != nil || len(results) != 1 {
			t.Fatalf("%v, %v", results, err)
		}
		switch results[0].Reason {
		case dkim.ReasonKeySyntax, dkim.ReasonKeyTypeMismatch, dkim.ReasonKeyHashNotAllowed, dkim.ReasonKeyServiceMismatch, dkim.ReasonKeyTooSmall:
		default:
			return true
		}
	}
	return false
}

// lintText is LintDKIM of a value as somebody wrote it.
func lintText(text string) RecordLint { return LintDKIM(ReadValue(text)) }

// ids are the findings' ids, once each.
func ids(l RecordLint) []string {
	var list []string
	for _, f := range l.Findings {
		if !slices.Contains(list, f.ID) {
			list = append(list, f.ID)
		}
	}
	slices.Sort(list)
	return list
}

// find returns the first finding of an id.
func find(l RecordLint, id string) *Finding {
	for i := range l.Findings {
		if l.Findings[i].ID == id {
			return &l.Findings[i]
		}
	}
	return nil
}

// modulus is a number of that many bits without a small factor; nobody knows its factors, and nobody has to.
func modulus(bits int) *big.Int {
	random := rand.New(rand.NewPCG(uint64(bits), 1))
	b := make([]byte, (bits+7)/8)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	n := new(big.Int).SetBytes(b)
	n.SetBit(n, bits-1, 1)
	n.SetBit(n, bits-2, 1)
	n.SetBit(n, 0, 1)
	for i := n.BitLen(); i > bits; i-- {
		n.SetBit(n, i-1, 0)
	}
	for weakness(n) != "" {
		n.Add(n, big.NewInt(2))
	}
	return n
}

// rsaRecord is the record of a key with this modulus and exponent, whatever they are.
func rsaRecord(n *big.Int, e int64) string {
	m := material{n: n, e: big.NewInt(e)}
	if e <= 0 {
		m.e = big.NewInt(1)
	}
	_, p := m.published()
	return "v=DKIM1; k=rsa; p=" + p
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pkcs8(key crypto.Signer) []byte { return must(x509.MarshalPKCS8PrivateKey(key)) }

func rsaPrivate(key crypto.Signer) *rsa.PrivateKey { return key.(*rsa.PrivateKey) }

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
