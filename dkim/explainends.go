package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
)

// endWatch takes the place of a hash below bodyHash. It sees the canonical body and asks at every line end whether the signed
// body ended there, and near the top whether it began there. Sum of a SHA-256 leaves its state alone, so asking costs a block
// of hashing per line.
type endWatch struct {
	hash.Hash                   // of the canonical body
	want      [sha256.Size]byte // bh=
	sum       [sha256.Size]byte // scratch
	last      []byte            // state of Hash before the last line end of a line with content

	octets  int64
	lines   int  // that ended
	partial bool // a line is under way

	first, added lineQuote // the first line with text, and that behind the signed body
	blank        int       // lines before the first with text

	at       int64 // where the signed body ended, -1 = not found
	atLines  int
	top      int         // lines above the signed body, where it ended at atLines
	suffixes []hash.Hash // of the rests that begin after the first lines
	tail     [][]byte    // the last lines with their line ends, as far as they are short
	small    []byte      // the canonical body, its first maxSmallBody octets
}

// lineQuote gathers the beginning of the first line that is not blank.
type lineQuote struct {
	text []byte
	done bool
}

// quotedOctets is how much of a line is kept; excerpt shortens it further.
const quotedOctets = 64

func (q *lineQuote) add(p []byte) {
	if !q.done && len(q.text) < quotedOctets {
		q.text = append(q.text, p[:min(len(p), quotedOctets)]...)
	}
}

func (q *lineQuote) lineEnd() {
	if q.done = q.done || len(bytes.TrimSpace(q.text)) > 0; !q.done {
		q.text = q.text[:0]
	}
}

func newEndWatch(s *signature) *endWatch {
	w := &endWatch{Hash: sha256.New(), want: s.sum, at: -1}
	var empty []byte
	if s.body == Simple {
		empty = lineEnds[:2]
	}
	if sha256.Sum256(empty) == s.sum {
		w.at = 0
	}
	return w
}

// Sum is asked by bodyHash, which has no use for it here.
func (w *endWatch) Sum(b []byte) []byte { return b }

// Write takes canonical octets. bodyHash never parts the octets of a CRLF.
func (w *endWatch) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.Index(rest, lineEnds[:2])
		if end == 0 {
			w.lineEnd()
			rest = rest[2:]
			continue
		}
		if end < 0 {
			end = len(rest)
		}
		w.partial = true
		w.put(rest[:end])
		w.keep(rest[:end])
		w.first.add(rest[:end])
		if w.at >= 0 {
			w.added.add(rest[:end])
		}
		rest = rest[end:]
	}
	return len(p), nil
}

// put hashes octets, for the whole and for every rest that began before them.
func (w *endWatch) put(p []byte) {
	w.Hash.Write(p)
	w.octets += int64(len(p))
	w.small = append(w.small, p[:min(len(p), maxSmallBody-len(w.small))]...)
	for _, h := range w.suffixes {
		h.Write(p)
	}
}

func (w *endWatch) lineEnd() {
	if w.first.lineEnd(); !w.first.done {
		w.blank++
	}
	w.added.lineEnd()
	if state, ok := w.Hash.(encoding.BinaryAppender); ok && w.partial {
		// The standard library's SHA-256 has no error to return here.
		w.last, _ = state.AppendBinary(w.last[:0])
	}
	w.put(lineEnds[:2])
	w.keep(lineEnds[:2])
	w.lines++
	if w.partial && w.at < 0 && w.lines <= maxPrefixLines {
		if w.Hash.Sum(w.sum[:0]); w.sum == w.want {
			w.at, w.atLines = w.octets, w.lines
		}
		for i := 0; i < len(w.suffixes) && w.at < 0 && w.lines <= maxWrappedLines; i++ {
			if w.suffixes[i].Sum(w.sum[:0]); w.sum == w.want {
				w.at, w.atLines, w.top = w.octets, w.lines, i+1
			}
		}
	}
	w.partial = false
	if len(w.suffixes) < maxSuffixLines {
		w.suffixes = append(w.suffixes, sha256.New())
	}
}

// keep gathers the last lines, for insertWatch.
func (w *endWatch) keep(p []byte) {
	if n := len(w.tail); n == 0 || bytes.HasSuffix(w.tail[n-1], lineEnds[:2]) {
		if n < maxTailLines {
			w.tail = append(w.tail, nil)
		} else { // the oldest makes room
			oldest := w.tail[0]
			copy(w.tail, w.tail[1:])
			w.tail[n-1] = oldest[:0]
		}
	}
	last := &w.tail[len(w.tail)-1]
	if len(*last) > maxTailLine {
		p = p[len(p)-min(len(p), 2):] // too long to be of use; only its end matters
	}
	*last = append(*last, p...)
}

// tails gives what may follow inserted lines: the last line, the last two, and so on.
func (w *endWatch) tails() [][]byte {
	var out [][]byte
	var rest []byte
	for i := len(w.tail) - 1; i >= 0 && len(w.tail[i]) <= maxTailLine; i-- {
		rest = append(bytes.Clone(w.tail[i]), rest...)
		out = append(out, rest)
	}
	return out
}

// explain says what the line ends have shown, after the last one.
func (w *endWatch) explain() (Explanation, bool) {
	e := Explanation{Proven: true}
	if w.at >= 0 {
		e.Cause = CauseTextAppended
		e.Text = fmt.Sprintf("%s added at the end after signing, %s; the first with text is %s.",
			were(w.lines-w.atLines, "line"), counted(int(w.octets-w.at), "octet"), quote(w.added.text))
		switch {
		case w.at > 0 && w.top > 0 && w.atLines == w.lines:
			e.Cause, e.Text = CauseTextPrepended, w.prepended(w.top)
		case w.top > 0:
			e.Text = fmt.Sprintf("%s added at the top and %s at the end after signing; the first with text at the end is %s.",
				were(w.top, "line"), counted(w.lines-w.atLines, "line"), quote(w.added.text))
		case w.at == 0:
			e.Text = fmt.Sprintf("The body was empty when it was signed; all of its %s (%s) came later.",
				counted(w.lines, "line"), counted(int(w.octets), "octet"))
		}
		return e, true
	}
	for i, h := range w.suffixes {
		if h.Sum(w.sum[:0]); i+1 < w.lines && w.sum == w.want {
			e.Cause, e.Text = CauseTextPrepended, w.prepended(i+1)
			return e, true
		}
	}
	if text := w.explainEnd(); text != "" {
		e.Cause, e.Text = CauseFinalLineEnd, text
		return e, true
	}
	return Explanation{}, false
}

// prepended is the sentence for lines added at the top.
func (w *endWatch) prepended(lines int) string {
	text := were(lines, "line") + " added at the top after signing"
	if w.blank < lines {
		text += "; the first with text is " + quote(w.first.text)
	}
	return text + "."
}

// explainEnd tries other line ends behind the last content than the one that RFC 6376 §3.4.3 asks for.
func (w *endWatch) explainEnd() string {
	for breaks := 0; breaks <= maxBlankEnd; breaks++ {
		h := sha256.New()
		if state, ok := h.(encoding.BinaryUnmarshaler); ok && w.last != nil {
			if err := state.UnmarshalBinary(w.last); err != nil {
				return ""
			}
		}
		h.Write(lineEnds[:2*breaks])
		if h.Sum(w.sum[:0]); w.sum != w.want {
			continue
		}
		switch {
		case breaks == 0:
			return "The signer hashed the body without a last line end, which canonicalisation adds."
		case breaks == 1:
			return "The signer hashed a line end for the empty body, which relaxed canonicalisation leaves out."
		}
		return fmt.Sprintf("The signer hashed %s at the end, which canonicalisation leaves out.", counted(breaks-1, "blank line"))
	}
	return ""
}
