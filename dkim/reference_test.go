package dkim

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The slow reference signer: RFC 6376 §3.7 on strings, sharing nothing with the package but the canonical forms of
// canon_test.go. It signs with whatever tags it is told, so that tests can make signatures that no Signer makes.

// referenceFields splits a header block into fields with their CRLF.
func referenceFields(header string) []string {
	var fields []string
	for line := range strings.SplitAfterSeq(header, "\r\n") {
		switch {
		case line == "":
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			fields[len(fields)-1] += line
		default:
			fields = append(fields, line)
		}
	}
	return fields
}

// referenceSplit separates header and body.
func referenceSplit(message string) (fields []string, body string) {
	if strings.HasPrefix(message, "\r\n") {
		return nil, message[2:]
	}
	header, body, ok := strings.Cut(message, "\r\n\r\n")
	if ok {
		header += "\r\n"
	}
	return referenceFields(header), body
}

// referenceTag gives the value of a tag in a list without folding inside values.
func referenceTag(tags, name, otherwise string) string {
	for tag := range strings.SplitSeq(tags, ";") {
		if n, value, ok := strings.Cut(tag, "="); ok && strings.TrimSpace(n) == name {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// referenceSign puts a signature with these tags on top of the message. A "bh=" and a "b=" without value are filled in
// wherever they stand.
func referenceSign(t testing.TB, key crypto.Signer, message, tags string) string {
	t.Helper()
	fields, body := referenceSplit(message)
	c := referenceTag(tags, "c", "simple/simple")
	headerCanon, bodyCanon := Simple, Simple
	if strings.HasPrefix(c, "relaxed") {
		headerCanon = Relaxed
	}
	if strings.HasSuffix(c, "/relaxed") {
		bodyCanon = Relaxed
	}
	canonical := referenceBody(bodyCanon, body)
	if l, err := strconv.Atoi(referenceTag(tags, "l", "")); err == nil && l >= 0 && l < len(canonical) {
		canonical = canonical[:l]
	}
	sum := sha256.Sum256([]byte(canonical))
	tags = strings.Replace(tags, "bh=;", "bh="+base64.StdEncoding.EncodeToString(sum[:])+";", 1)

	var data strings.Builder
	taken := make([]bool, len(fields))
	for name := range strings.SplitSeq(referenceTag(tags, "h", ""), ":") {
		for i := len(fields) - 1; i >= 0; i-- {
			have, _, _ := strings.Cut(fields[i], ":")
			if !taken[i] && strings.EqualFold(strings.TrimSpace(have), strings.TrimSpace(name)) {
				taken[i] = true
				data.WriteString(referenceHeader(headerCanon, fields[i]))
				break
			}
		}
	}
	own := "DKIM-Signature: " + tags + "\r\n"
	data.WriteString(strings.TrimSuffix(referenceHeader(headerCanon, own), "\r\n"))
	digest := sha256.Sum256([]byte(data.String()))
	options := crypto.SignerOpts(crypto.SHA256)
	if strings.HasPrefix(referenceTag(tags, "a", ""), "ed25519") {
		options = crypto.Hash(0)
	}
	sig, err := key.Sign(rand.Reader, digest[:], options)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(own, "b=") + 2
	return own[:at] + base64.StdEncoding.EncodeToString(sig) + own[at:] + message
}

func referenceHeader(c Canonicalization, field string) string {
	if c == Relaxed {
		return referenceField(field)
	}
	return field
}

// privateKey reads a key of the shared test data.
func privateKey(t testing.TB, path string) crypto.Signer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata, "dkim", path))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB) crypto.Signer     { return privateKey(t, "dkimpy/keys/2048_testkey.key") }
func ed25519Key(t testing.TB) crypto.Signer { return privateKey(t, "dkimpy/keys/rfc8032_7_1.key") }

// recordOf gives the record for a key, p= only.
func recordOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	record, err := FormatKeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// pkcs1Key is the bare RSAPublicKey.
func pkcs1Key(key *rsa.PublicKey) []byte { return x509.MarshalPKCS1PublicKey(key) }

// fixed answers every question with the same records and allocates nothing.
type fixed []string

func (f fixed) LookupTXT(context.Context, string) ([]string, error) { return f, nil }

// sum64 is bh= for octets that are hashed as they are.
func sum64(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// referenceCanon signs a message with one header canonicalisation and says in c= that it was the other.
func referenceCanon(t testing.TB, key crypto.Signer, used, said string) string {
	t.Helper()
	const header = "From: Joe  Example\r\nSubject: Hello\r\n\tthere\r\n"
	own := "DKIM-Signature: v=1; a=rsa-sha256; c=" + said + "/simple; d=sign.example; s=s; h=from:subject; bh=" + sum64("Hi.\r\n") + "; b="
	c := Simple
	if used == "relaxed" {
		c = Relaxed
	}
	var data strings.Builder
	for _, f := range referenceFields(header) {
		data.WriteString(referenceHeader(c, f))
	}
	data.WriteString(strings.TrimSuffix(referenceHeader(c, own+"\r\n"), "\r\n"))
	digest := sha256.Sum256([]byte(data.String()))
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return own + base64.StdEncoding.EncodeToString(sig) + "\r\n" + header + "\r\nHi.\r\n"
}
