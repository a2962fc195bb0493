package dkim

import (
	"bytes"
	"errors"
)

// Errors of header fields pushed into a Signer or Verifier.
var (
	// ErrFieldSyntax: not one header field. The field is left out and the rest goes on.
	ErrFieldSyntax = errors.New("dkim: not a header field")
	// ErrHeaderTooLarge: more than MaxHeaderBytes or MaxHeaderFields. Nothing can be signed or verified any more.
	ErrHeaderTooLarge = errors.New("dkim: the header is too large")
)

// field locates one header field in the block; it ends with CRLF.
type field struct {
	start, end int
	nameEnd    int    // end of the name, white space before the colon left out
	colon      int    // position of the colon
	hash       uint32 // of the lower-case name
	above      int32  // index of the next field above in the same bucket, -1 for none
	taken      uint32 // the last selection round that took this field
}

// fieldBlock keeps the header of one message, from the top down.
type fieldBlock struct {
	buf    []byte
	fields []field
	bucket [64]int32 // lowest field of each hash bucket, plus one; 0 is none
	round  uint32
	full   bool
}

func (b *fieldBlock) reset() {
	b.buf, b.fields, b.full = b.buf[:0], b.fields[:0], false
	clear(b.bucket[:])
}

// add copies one field into the block and completes its line end.
func (b *fieldBlock) add(raw []byte) error {
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	raw = bytes.TrimSuffix(raw, []byte("\r"))
	f, ok := splitField(raw)
	if !ok {
		return ErrFieldSyntax
	}
	if b.full || len(b.fields) == MaxHeaderFields || len(b.buf)+len(raw)+2 > MaxHeaderBytes {
		b.full = true
		return ErrHeaderTooLarge
	}
	start := len(b.buf)
	if b.buf == nil {
		// The usual header block in one piece each, instead of growing through many.
		b.buf, b.fields = make([]byte, 0, 8<<10), make([]field, 0, 64)
	}
	b.buf = append(append(b.buf, raw...), '\r', '\n')
	f.start, f.end = start, len(b.buf)
	f.nameEnd += start
	f.colon += start
	f.hash = nameHash(b.buf[start:f.nameEnd])
	head := &b.bucket[f.hash%uint32(len(b.bucket))]
	f.above = *head - 1
	b.fields = append(b.fields, f)
	*head = int32(len(b.fields))
	return nil
}

// splitField finds the name of a field and refuses what is not exactly one field: a missing or odd name, a line break
// that is no folding (it would smuggle a second field past the choice of h=).
func splitField(raw []byte) (f field, ok bool) {
	f.colon = bytes.IndexByte(raw, ':')
	f.nameEnd = f.colon
	for f.nameEnd > 0 && isWSP(raw[f.nameEnd-1]) {
		f.nameEnd--
	}
	if f.nameEnd <= 0 {
		return f, false
	}
	for _, c := range raw[:f.nameEnd] {
		if c <= ' ' || c >= 0x7f {
			return f, false
		}
	}
	for rest := raw[f.colon:]; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return f, true
		}
		if i > 0 && rest[i-1] == '\r' && (i+1 == len(rest) || !isWSP(rest[i+1])) {
			return f, false
		}
		rest = rest[i+1:]
	}
}

func (b *fieldBlock) name(i int) []byte { return b.buf[b.fields[i].start:b.fields[i].nameEnd] }

func (b *fieldBlock) raw(i int) []byte { return b.buf[b.fields[i].start:b.fields[i].end] }

func (b *fieldBlock) value(i int) []byte {
	return b.buf[b.fields[i].colon+1 : b.fields[i].end-2]
}

// startRound begins a selection in which each field can be taken once.
func (b *fieldBlock) startRound() { b.round++ }

// take gives the lowest field of that name which this round has not taken yet, -1 when there is none (RFC 6376 §5.4.2).
func (b *fieldBlock) take(name []byte) int {
	i := b.lowest(name)
	for i >= 0 && b.fields[i].taken == b.round {
		i = b.nextAbove(i)
	}
	if i >= 0 {
		b.fields[i].taken = b.round
	}
	return i
}

// lowest gives the lowest field of that name, -1 when there is none.
func (b *fieldBlock) lowest(name []byte) int {
	hash := nameHash(name)
	i := int(b.bucket[hash%uint32(len(b.bucket))]) - 1
	for i >= 0 && !(b.fields[i].hash == hash && equalFold(b.name(i), name)) {
		i = int(b.fields[i].above)
	}
	return i
}

// nextAbove gives the next field above with the same name as field i.
func (b *fieldBlock) nextAbove(i int) int {
	name, hash := b.name(i), b.fields[i].hash
	for i = int(b.fields[i].above); i >= 0; i = int(b.fields[i].above) {
		if b.fields[i].hash == hash && equalFold(b.name(i), name) {
			break
		}
	}
	return i
}

// count tells how many fields have that name.
func (b *fieldBlock) count(name []byte) int {
	n := 0
	for i := b.lowest(name); i >= 0; i = b.nextAbove(i) {
		n++
	}
	return n
}

// nameHash is FNV-1a over the lower-case name.
func nameHash(name []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(lower(c))) * 16777619
	}
	return h
}
