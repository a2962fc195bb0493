package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// bodyHash canonicalises a body as it arrives (RFC 6376 §3.4.3, §3.4.4) and hashes the stretches that canonicalisation
// leaves alone where they lie. Line ends and white space whose fate depends on what follows are counted, not stored.
type bodyHash struct {
	canon Canonicalization
	sinks []bodySink
	total int64 // octets of the canonical body so far

	breaks int  // CRLFs held back: the last lines may turn out to be empty
	white  bool // relaxed: white space held back after them
	cr     bool // a CR held back: the LF may come with the next chunk
}

// bodySink is one hash over the canonical body or its first limit octets (l=).
type bodySink struct {
	hash  hash.Hash
	limit int64 // -1 for all
	sum   [sha256.Size]byte
}

// noLimit is the limit of a sink that takes the whole body.
const noLimit = -1

// lineEnds feeds held-back CRLFs to the hash in blocks; nothing writes to it.
var lineEnds = bytes.Repeat([]byte("\r\n"), 256)

var oneSpace = []byte(" ")

// reset empties the canonicaliser and keeps the hashes for use again.
func (b *bodyHash) reset(c Canonicalization) {
	*b = bodyHash{canon: c, sinks: b.sinks[:0]}
}

// sink gives the index of the sink with that limit, made if need be.
func (b *bodyHash) sink(limit int64) int {
	for i := range b.sinks {
		if b.sinks[i].limit == limit {
			return i
		}
	}
	n := len(b.sinks)
	if n < cap(b.sinks) {
		b.sinks = b.sinks[:n+1]
	} else {
		b.sinks = append(b.sinks, bodySink{})
	}
	s := &b.sinks[n]
	s.limit = limit
	if s.hash == nil {
		s.hash = sha256.New()
	} else {
		s.hash.Reset()
	}
	return n
}

// write takes the next octets of the body.
func (b *bodyHash) write(p []byte) {
	for len(p) > 0 {
		p = p[b.hold(p):]
		if len(p) == 0 {
			return
		}
		b.release()
		end := contentEnd(p, b.canon)
		if b.canon == Relaxed {
			b.emitRelaxed(p[:end])
		} else {
			b.emit(p[:end])
		}
		p = p[end:]
	}
}

// hold takes the line ends and, if relaxed, the white space at the start of p into the state and tells how many octets
// that was. What follows them is content.
func (b *bodyHash) hold(p []byte) int {
	i := 0
	if b.cr {
		b.cr = false
		if p[0] != '\n' {
			b.release()
			b.emit(lineEnds[:1])
		} else {
			b.breakLine()
			i = 1
		}
	}
	for ; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\r' && i+1 == len(p):
			b.cr = true
		case c == '\r' && p[i+1] == '\n':
			b.breakLine()
			i++
		case b.canon == Relaxed && isWSP(c):
			b.white = true
		default:
			return i
		}
	}
	return i
}

// breakLine holds back a line end; white space before it is dropped.
func (b *bodyHash) breakLine() {
	b.white = false
	b.breaks++
}

// release hashes what was held back, because content follows it.
func (b *bodyHash) release() {
	for b.breaks > 0 {
		n := min(b.breaks, len(lineEnds)/2)
		b.emit(lineEnds[:2*n])
		b.breaks -= n
	}
	if b.white {
		b.emit(oneSpace)
		b.white = false
	}
}

// contentEnd tells where the content of p, whose first octet is content, ends: what follows are line ends and, if
// relaxed, white space, which the next chunk may turn into content or not.
func contentEnd(p []byte, c Canonicalization) int {
	end := len(p)
	if end > 1 && p[end-1] == '\r' {
		end--
	}
	for end > 1 {
		switch {
		case end > 2 && p[end-1] == '\n' && p[end-2] == '\r':
			end -= 2
		case c == Relaxed && isWSP(p[end-1]):
			end--
		default:
			return end
		}
	}
	return end
}

// emitRelaxed hashes content that begins and ends with other octets than white space.
func (b *bodyHash) emitRelaxed(p []byte) {
	start, tab := 0, -1
	for {
		if tab < start {
			if tab = bytes.IndexByte(p[start:], '\t'); tab < 0 {
				tab = len(p)
			} else {
				tab += start
			}
		}
		k := nextUnevenSpace(p, start, tab)
		if k == len(p) {
			b.emit(p[start:])
			return
		}
		next := k + 1
		for isWSP(p[next]) {
			next++
		}
		switch {
		case p[next] == '\r' && next+1 < len(p) && p[next+1] == '\n': // white space at the end of a line goes
			b.emit(p[start:k])
		case p[k] == ' ':
			b.emit(p[start : k+1])
		default:
			b.emit(p[start:k])
			b.emit(oneSpace)
		}
		start = next
	}
}

// nextUnevenSpace finds the next octet in p[from:tab] that relaxed canonicalisation may change, a space before more white space
// or before a CR, and else returns tab: the position of the next tab, or len(p). The last octet of p is not white space.
//
// Single spaces between words are too frequent to stop at each, so eight places are looked at together, and four times
// eight before branching: an octet of z is zero where a space stands before an octet that has none but the bits of space, tab
// and CR. That lets some others through ("(" and "-" among them), which isUneven sorts out.
func nextUnevenSpace(p []byte, from, tab int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
		space = ones * ' '
		other = ones * (0xff &^ (' ' | '\t' | '\r'))
	)
	i := from
	for i+33 <= tab {
		w := p[i : i+33]
		z0 := (binary.LittleEndian.Uint64(w) ^ space) | binary.LittleEndian.Uint64(w[1:])&other
		z1 := (binary.LittleEndian.Uint64(w[8:]) ^ space) | binary.LittleEndian.Uint64(w[9:])&other
		z2 := (binary.LittleEndian.Uint64(w[16:]) ^ space) | binary.LittleEndian.Uint64(w[17:])&other
		z3 := (binary.LittleEndian.Uint64(w[24:]) ^ space) | binary.LittleEndian.Uint64(w[25:])&other
		if ((z0-ones)&^z0|(z1-ones)&^z1|(z2-ones)&^z2|(z3-ones)&^z3)&highs == 0 {
			i += 32
			continue
		}
		for end := i + 32; i < end; i++ {
			if isUneven(p, i) {
				return i
			}
		}
	}
	for ; i < tab; i++ {
		if isUneven(p, i) {
			return i
		}
	}
	return tab
}

// isUneven reports whether a space stands at k that relaxed canonicalisation may change.
func isUneven(p []byte, k int) bool {
	return p[k] == ' ' && (isWSP(p[k+1]) || p[k+1] == '\r')
}

// emit hashes canonical octets.
func (b *bodyHash) emit(p []byte) {
	for i := range b.sinks {
		s := &b.sinks[i]
		q := p
		if s.limit != noLimit {
			q = p[:max(0, min(int64(len(p)), s.limit-b.total))]
		}
		s.hash.Write(q)
	}
	b.total += int64(len(p))
}

// finish ends the body and computes every sink's sum. A body with content ends in exactly one CRLF; an empty one is
// CRLF if simple, nothing if relaxed.
func (b *bodyHash) finish() {
	if b.cr {
		b.cr = false
		b.release()
		b.emit(lineEnds[:1])
	}
	b.breaks, b.white = 0, false
	if b.total > 0 || b.canon == Simple {
		b.emit(lineEnds[:2])
	}
	for i := range b.sinks {
		s := &b.sinks[i]
		s.hash.Sum(s.sum[:0])
	}
}
