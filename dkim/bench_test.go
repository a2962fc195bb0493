package dkim_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// benchFields is the header of the messages that are measured.
var benchFields = []string{
	"Received: from client.example.org (client.example.org [192.0.2.7])\r\n\tby mx.example.org with ESMTPSA id 4XyZ; Tue, 14 Nov 2023 22:13:19 +0000\r\n",
	"From: Ann Example <ann@example.org>\r\n",
	"To: Bob <bob@receive.example>, Carl <carl@receive.example>,\r\n\tDora <dora@receive.example>\r\n",
	"Subject: Quarterly report with a subject of the usual length\r\n",
	"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
	"Message-ID: <20231114221320.4711@example.org>\r\n",
	"MIME-Version: 1.0\r\n",
	"Content-Type: text/plain; charset=utf-8\r\n",
}

// benchBody makes a body of about n octets: 76-column base64, or prose.
func benchBody(n int, prose bool) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		if !prose {
			line := make([]byte, 57)
			for i := range line {
				line[i] = byte(r.Uint32())
			}
			b.WriteString(base64.StdEncoding.EncodeToString(line))
		} else {
			for column := 0; column < 66; {
				word := make([]byte, 2+r.IntN(8))
				for i := range word {
					word[i] = 'a' + byte(r.IntN(26))
				}
				if column > 0 {
					b.WriteByte(' ')
				}
				b.Write(word)
				column += len(word) + 1
			}
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// chunkBytes is how milters deliver bodies.
const chunkBytes = 65535

func pushBody(body []byte, to func([]byte)) {
	for len(body) > 0 {
		n := min(len(body), chunkBytes)
		to(body[:n])
		body = body[n:]
	}
}

// readKey reads one of the private keys of the shared test data.
func readKey(t testing.TB, path string) crypto.Signer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata, "dkim", path))
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	rsa2048Path = "dkimpy/keys/2048_testkey.key"
	rsa1024Path = "dkimpy/keys/test.private"
	ed25519Path = "dkimpy/keys/rfc8032_7_1.key"
)

// oneRecord answers every question with the record of a key.
type oneRecord []string

func (r oneRecord) LookupTXT(context.Context, string) ([]string, error) { return r, nil }

func recordFor(t testing.TB, key crypto.Signer) oneRecord {
	t.Helper()
	txt, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return oneRecord{txt}
}

type bodyKind struct {
	name string
	body []byte
}

func benchBodies() []bodyKind {
	return []bodyKind{
		{"2k", benchBody(2<<10, false)},
		{"50k", benchBody(50<<10, false)},
		{"1m", benchBody(1<<20, false)},
		{"1mt", benchBody(1<<20, true)},
	}
}

func BenchmarkSign(b *testing.B) {
	for _, kind := range benchBodies() {
		for _, path := range []string{rsa2048Path, ed25519Path} {
			b.Run(fmt.Sprintf("%s/%s", kind.name, filepath.Base(path)), func(b *testing.B) {
				s, err := dkim.NewSigner(dkim.Signing{Domain: "example.org", Selector: "s", Key: readKey(b, path), Time: time.Unix(1700000000, 0)})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(kind.body)))
				b.ReportAllocs()
				for b.Loop() {
					signOnce(b, s, kind.body)
				}
			})
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, kind := range benchBodies() {
		for _, path := range []string{rsa2048Path, ed25519Path} {
			b.Run(fmt.Sprintf("%s/%s", kind.name, filepath.Base(path)), func(b *testing.B) {
				key := readKey(b, path)
				s, err := dkim.NewSigner(dkim.Signing{Domain: "example.org", Selector: "s", Key: key, Time: time.Unix(1700000000, 0)})
				if err != nil {
					b.Fatal(err)
				}
				field := signOnce(b, s, kind.body)
				v := dkim.NewVerifier(dkim.VerifyOptions{Resolver: recordFor(b, key)})
				ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
				defer cancel()
				b.SetBytes(int64(len(kind.body)))
				b.ReportAllocs()
				for b.Loop() {
					verifyOnce(b, ctx, v, field, kind.body)
				}
			})
		}
	}
}

// signOnce signs the benchmark's message with a Signer that is kept.
func signOnce(t testing.TB, s *dkim.Signer, body []byte) []byte {
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	for _, f := range benchFieldBytes {
		if err := s.Header(f); err != nil {
			t.Fatal(err)
		}
	}
	pushBody(body, s.Body)
	fields, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return fields[0]
}

func verifyOnce(t testing.TB, ctx context.Context, v *dkim.Verifier, field, body []byte) {
	v.Reset()
	if err := v.Header(field); err != nil {
		t.Fatal(err)
	}
	for _, f := range benchFieldBytes {
		if err := v.Header(f); err != nil {
			t.Fatal(err)
		}
	}
	v.EndOfHeaders()
	pushBody(body, v.Body)
	if results := v.Finish(ctx); len(results) != 1 || results[0].Result != dkim.Pass {
		t.Fatalf("%+v", results)
	}
}

var benchFieldBytes = func() (fields [][]byte) {
	for _, f := range benchFields {
		fields = append(fields, []byte(f))
	}
	return fields
}()
