package dkim

import (
	"encoding/base64"
	"strconv"
)

const (
	signatureName    = "DKIM-Signature"
	algRSASHA256     = "rsa-sha256"
	algEd25519SHA256 = "ed25519-sha256"
	keyNameInfix     = "._domainkey."

	// fieldCapacity holds a usual finished field with an RSA-2048 signature.
	fieldCapacity = 1024
)

var fromName = []byte("From")

// fieldWriter lays out a DKIM-Signature field and folds it between tags, and inside h= and b=.
type fieldWriter struct {
	b      []byte
	column int
}

// tag adds "name=value" on this line or the next.
func (w *fieldWriter) tag(name, value string) {
	w.open(len(name) + 1 + len(value) + 1)
	w.text(name)
	w.text("=")
	w.text(value)
	w.text(";")
}

// open adds the white space before n octets that belong together.
func (w *fieldWriter) open(n int) {
	if w.column+1+n > foldColumn {
		w.fold()
		return
	}
	w.text(" ")
}

func (w *fieldWriter) fold() {
	w.b = append(w.b, "\r\n\t"...)
	w.column = 8
}

func (w *fieldWriter) text(s string) {
	w.b = append(w.b, s...)
	w.column += len(s)
}

// appendField lays out the field up to and with "b=", which stays empty and comes last.
func (s *Signer) appendField(dst []byte, p *Prepared, bodySum []byte) []byte {
	w := fieldWriter{b: dst}
	w.text(signatureName)
	w.text(":")
	w.tag("v", "1")
	w.tag("a", p.algorithm)
	w.tag("c", canonicalizationName(p.want.HeaderCanonicalization, p.want.BodyCanonicalization))
	w.tag("d", p.domain)
	w.tag("s", p.selector)
	if p.want.Identity != "" {
		w.tag("i", p.want.Identity)
	}
	var digits [20]byte
	at := p.want.Time
	if !s.at.IsZero() {
		at = s.at
	}
	if !at.IsZero() {
		t := at.Unix()
		w.tag("t", string(strconv.AppendInt(digits[:0], t, 10)))
		if p.want.Expire != 0 {
			w.tag("x", string(strconv.AppendInt(digits[:0], t+int64(p.want.Expire.Seconds()), 10)))
		}
	}
	s.appendNames(&w, p)
	var sum [44]byte
	base64.StdEncoding.Encode(sum[:], bodySum)
	w.open(len("bh=;") + len(sum))
	w.text("bh=")
	w.b = append(w.b, sum[:]...)
	w.text(";")
	w.fold()
	w.text("b=")
	return w.b
}

// appendNames adds h=.
func (s *Signer) appendNames(w *fieldWriter, p *Prepared) {
	first := true
	for _, n := range p.names {
		for range s.times(n) {
			if first {
				w.open(len("h=") + len(n.name) + 1)
				w.text("h=")
			} else {
				w.text(":")
				if w.column+len(n.name)+1 > foldColumn {
					w.fold()
				}
			}
			first = false
			w.b = append(w.b, n.name...)
			w.column += len(n.name)
		}
	}
	w.text(";")
}

// appendSignature completes a field that ends with "b=".
func appendSignature(field, sig []byte) []byte {
	const (
		lineStart = len("\tb=") + 7 // the tab counts for eight columns
		group     = 3               // octets that become four characters
	)
	w := fieldWriter{b: field, column: lineStart}
	for len(sig) > 0 {
		n := min(len(sig), (foldColumn-w.column)/4*group)
		if n == 0 {
			w.fold()
			continue
		}
		w.b = base64.StdEncoding.AppendEncode(w.b, sig[:n])
		w.column = foldColumn
		sig = sig[n:]
	}
	return append(w.b, '\r', '\n')
}

// canonicalizationName is the value of c= with both parts named.
func canonicalizationName(header, body Canonicalization) string {
	switch {
	case header == Relaxed && body == Relaxed:
		return "relaxed/relaxed"
	case header == Relaxed:
		return "relaxed/simple"
	case body == Relaxed:
		return "simple/relaxed"
	}
	return "simple/simple"
}
