package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
)

// insertWatch looks for lines inserted in between, when the body streams through for the second time: before one of its last
// lines, as footers stand above the closing boundary of MIME, or near the top, as banners stand below the header of a part.
type insertWatch struct {
	hash.Hash // of the canonical body
	want      [sha256.Size]byte
	sum       [sha256.Size]byte // scratch
	state     []byte            // scratch
	spare     hash.Hash         // set to states
	tails     [][]byte          // what may follow inserted lines
	total     int               // lines of the body
	banners   bool              // the body is small enough for those

	lines   int
	line    []byte   // the beginning of the one under way
	tops    [][]byte // the beginnings of the first lines
	states  [][]byte // of Hash before each of the first lines
	skipped []skipped
	found   skipped // before one of the last lines
	quote   lineQuote
}

// skipped is the body without the lines from, to-1.
type skipped struct {
	from, to int
	hash     hash.Hash
}

func newInsertWatch(s *signature, ends *endWatch, octets int64) *insertWatch {
	return &insertWatch{Hash: sha256.New(), want: s.sum, spare: sha256.New(), tails: ends.tails(), total: ends.lines, banners: octets <= maxBannerBody}
}

// Sum is asked by bodyHash, which has no use for it here.
func (w *insertWatch) Sum(b []byte) []byte { return b }

// Write takes canonical octets. bodyHash never parts the octets of a CRLF.
func (w *insertWatch) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if w.lines == 0 && len(w.states) == 0 {
			w.startLine()
		}
		end := bytes.Index(rest, lineEnds[:2])
		ends := end >= 0
		if !ends {
			end = len(rest)
		}
		w.put(rest[:end])
		if rest = rest[end:]; ends {
			w.put(rest[:2])
			rest = rest[2:]
			w.lines++
			w.endLine()
			w.startLine()
		}
	}
	return len(p), nil
}

func (w *insertWatch) put(p []byte) {
	w.Hash.Write(p)
	for i := range w.skipped {
		w.skipped[i].hash.Write(p)
	}
	if len(w.line) < quotedOctets {
		w.line = append(w.line, p[:min(len(p), quotedOctets)]...)
	}
	if w.found.to > 0 {
		w.quote.add(bytes.TrimRight(p, "\r\n"))
	}
}

// endLine keeps the first lines for quoting.
func (w *insertWatch) endLine() {
	if w.banners && len(w.tops) < maxTopLines+maxBannerLines {
		w.tops = append(w.tops, bytes.Clone(w.line))
	}
	w.line = w.line[:0]
	if w.found.to > 0 {
		w.quote.lineEnd()
	}
}

// startLine asks at the place before a line whether lines were inserted here, and begins the bodies that leave out what
// ends here.
func (w *insertWatch) startLine() {
	current, ok := w.Hash.(encoding.BinaryAppender)
	if !ok || w.found.to > 0 {
		return
	}
	// The standard library's SHA-256 has no error to return here.
	w.state, _ = current.AppendBinary(w.state[:0])
	for i, tail := range w.tails {
		if to := w.total - i - 1; w.lines < to && w.lines <= maxPrefixLines && w.restore(w.spare, w.state) {
			w.spare.Write(tail)
			if w.spare.Sum(w.sum[:0]); w.sum == w.want {
				w.found = skipped{from: w.lines, to: to}
				return
			}
		}
	}
	if !w.banners {
		return
	}
	for from := max(0, w.lines-maxBannerLines); from < len(w.states); from++ {
		h := sha256.New()
		if w.restore(h, w.states[from]) {
			w.skipped = append(w.skipped, skipped{from: from, to: w.lines, hash: h})
		}
	}
	if len(w.states) < maxTopLines && w.lines == len(w.states) {
		w.states = append(w.states, bytes.Clone(w.state))
	}
}

// restore sets a hash to a state.
func (w *insertWatch) restore(h hash.Hash, state []byte) bool {
	to, ok := h.(encoding.BinaryUnmarshaler)
	return ok && to.UnmarshalBinary(state) == nil
}

func (w *insertWatch) explain() (Explanation, bool) {
	found, first := w.found, w.quote.text
	for i := 0; i < len(w.skipped) && found.to == 0; i++ {
		s := w.skipped[i]
		if s.hash.Sum(w.sum[:0]); w.sum != w.want {
			continue
		}
		found = s
		for _, line := range w.tops[s.from:min(s.to, len(w.tops))] {
			if first = bytes.TrimSpace(line); len(first) > 0 {
				break
			}
		}
	}
	if found.to == 0 {
		return Explanation{}, false
	}
	below := "line"
	if n := w.total - found.to; n > 1 {
		below = counted(n, "line")
	}
	return Explanation{Cause: CauseTextInserted, Proven: true, Text: fmt.Sprintf("%s added after signing, between line %d and the last %s; the first with text is %s.",
		were(found.to-found.from, "line"), found.from, below, quote(first))}, true
}
