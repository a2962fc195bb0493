package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/dkim"
)

// Whose mail is signed.
const (
	domain   = "example.org"
	selector = "bench"
)

// chunkBytes is how milters deliver bodies; every library that takes pieces gets pieces of this size.
const chunkBytes = 65535

// signed are the names in h= wherever a library lets us choose.
var signed = []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"}

var headerFields = []string{
	"Received: from client.example.org (client.example.org [192.0.2.7])\r\n\tby mx.example.org with ESMTPSA id 4XyZ; Tue, 14 Nov 2023 22:13:19 +0000",
	"From: Ann Example <ann@example.org>",
	"To: Bob <bob@receive.example>, Carl <carl@receive.example>,\r\n\tDora <dora@receive.example>",
	"Subject: Quarterly report with a subject of the usual length",
	"Date: Tue, 14 Nov 2023 22:13:20 +0000",
	"Message-ID: <20231114221320.4711@example.org>",
	"MIME-Version: 1.0",
	"Content-Type: text/plain; charset=utf-8",
}

// attachedFields are those of a large message in base64: an attachment, as such a message is in life. rspamd would look at each of its words otherwise.
var attachedFields = append(slices.Clone(headerFields[:len(headerFields)-1]), "Content-Type: application/octet-stream", "Content-Transfer-Encoding: base64")

// message is one message in the forms in which the libraries want it.
type message struct {
	name   string   // of the row in the tables
	domain string   // of its author
	header []string // without the CRLF at the ends
	raw    []byte
	body   []byte // the part of raw after the empty line
	path   string // a file with raw
}

// fields are the header fields with their CRLF.
func (m *message) fields() (out [][]byte) {
	for _, f := range m.header {
		out = append(out, []byte(f+"\r\n"))
	}
	return out
}

// headerOf is the header of a message of another domain.
func headerOf(name string) (out []string) {
	for _, f := range headerFields {
		out = append(out, strings.ReplaceAll(f, domain, name))
	}
	return out
}

func newMessage(name, domain string, header []string, body []byte) *message {
	m := &message{name: name, domain: domain, header: header, body: body}
	m.raw = bytes.Join(append(m.fields(), []byte("\r\n"), m.body), nil)
	return m
}

// messages writes the four messages of the comparison.
func messages(dir string) ([]*message, error) {
	var out []*message
	for _, x := range []struct {
		name  string
		bytes int
		prose bool
	}{{"2 KiB", 2 << 10, false}, {"50 KiB", 50 << 10, false}, {"1 MiB base64", 1 << 20, false}, {"1 MiB prose", 1 << 20, true}} {
		header := headerFields
		if x.bytes >= 1<<20 && !x.prose {
			header = attachedFields
		}
		m := newMessage(x.name, domain, header, makeBody(x.bytes, x.prose))
		m.path = filepath.Join(dir, fmt.Sprintf("message-%d.eml", len(out)))
		if err := os.WriteFile(m.path, m.raw, 0o600); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// makeBody makes about n octets: base64 in 76 columns, or words of 2 to 9 letters in lines of about 70 columns.
func makeBody(n int, prose bool) []byte {
	r := mathrand.New(mathrand.NewPCG(1, 2)) // the same message in every run
	var b bytes.Buffer
	for b.Len() < n {
		if prose {
			proseLine(&b, r)
		} else {
			octets := make([]byte, 57)
			for i := range octets {
				octets[i] = byte(r.Uint32())
			}
			b.WriteString(base64.StdEncoding.EncodeToString(octets))
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

func proseLine(b *bytes.Buffer, r *mathrand.Rand) {
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

// keyPair is the key that every library signs with, made anew in each run.
type keyPair struct {
	private    *rsa.PrivateKey
	record     string
	path       string // PKCS#1 PEM: the form that all of them read
	recordPath string
}

func makeKey(dir string) (*keyPair, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	k := &keyPair{private: private, path: filepath.Join(dir, "key.pem"), recordPath: filepath.Join(dir, "record.txt")}
	if k.record, err = dkim.FormatKeyRecord(private.Public()); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	if err := os.WriteFile(k.path, text, 0o600); err != nil {
		return nil, err
	}
	return k, os.WriteFile(k.recordPath, []byte(k.record), 0o600)
}
