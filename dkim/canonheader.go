package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// appendCanonicalField appends the canonical form of one raw field that ends with CRLF and whose name ends at nameEnd and
// colon stands at colon (RFC 6376 §3.4.1, §3.4.2).
func appendCanonicalField(dst, raw []byte, nameEnd, colon int, c Canonicalization) []byte {
	if c == Simple {
		return append(dst, raw...)
	}
	for _, ch := range raw[:nameEnd] {
		dst = append(dst, lower(ch))
	}
	dst = append(dst, ':')
	start := len(dst)
	value := raw[colon+1:]
	// Whole stretches without white space are copied at once; a stretch of white space, line breaks that fold
	// included, becomes one space, and none at either end of the value.
	for i := 0; i < len(value); {
		run := i
		for i < len(value) && value[i] > ' ' {
			i++
		}
		if i > run {
			dst = append(dst, value[run:i]...)
			continue
		}
		white := i
		for i < len(value) {
			if isWSP(value[i]) {
				i++
			} else if value[i] == '\r' && i+1 < len(value) && value[i+1] == '\n' {
				i += 2
			} else {
				break
			}
		}
		switch {
		case i == white: // a control character, a bare CR or LF among them: content like any other
			dst = append(dst, value[i])
			i++
		case i < len(value) && len(dst) > start:
			dst = append(dst, ' ')
		}
	}
	return append(dst, '\r', '\n')
}

// headerHash gathers the canonical form of the chosen fields and hashes it in few large pieces.
type headerHash struct {
	canon Canonicalization
	hash  hash.Hash
	buf   []byte
}

// flushBytes is how much canonical header is gathered before it is hashed.
const flushBytes = 4 << 10

func newSHA256() hash.Hash { return sha256.New() }

func (h *headerHash) start(with hash.Hash) {
	with.Reset()
	h.hash = with
}

// field adds field i of the block.
func (h *headerHash) field(b *fieldBlock, i int) {
	f := &b.fields[i]
	h.buf = appendCanonicalField(h.buf, b.raw(i), f.nameEnd-f.start, f.colon-f.start, h.canon)
	if len(h.buf) >= flushBytes {
		h.hash.Write(h.buf)
		h.buf = h.buf[:0]
	}
}

// last adds the signature field itself, its b= emptied; its line end does not count (RFC 6376 §3.7).
func (h *headerHash) last(raw []byte, nameEnd, colon int) {
	h.buf = appendCanonicalField(h.buf, raw, nameEnd, colon, h.canon)
	h.buf = bytes.TrimSuffix(h.buf, []byte("\r\n"))
}

func (h *headerHash) sum(dst []byte) {
	h.hash.Write(h.buf)
	h.buf = h.buf[:0]
	h.hash.Sum(dst)
}
