package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"fmt"
)

// explainSpaces looks for one change of white space in a small canonical body: every place is tried, so the work grows with the
// square of the size. It comes when nothing else was proven.
func (w *endWatch) explainSpaces() (Explanation, bool) {
	body := w.small
	prefix, spare := sha256.New(), sha256.New()
	to, ok := spare.(encoding.BinaryUnmarshaler)
	from, both := prefix.(encoding.BinaryAppender)
	if !ok || !both || len(body) == 0 || w.octets != int64(len(body)) {
		return Explanation{}, false
	}
	var state []byte
	// is asks whether the body is what was signed, with what stands there instead of its next octets.
	is := func(at int, instead string, octets int) bool {
		if err := to.UnmarshalBinary(state); err != nil {
			return false
		}
		spare.Write([]byte(instead))
		spare.Write(body[at+octets:])
		spare.Sum(w.sum[:0])
		return w.sum == w.want
	}
	line := 1
	proven := func(cause Cause, text string) (Explanation, bool) {
		return Explanation{Cause: cause, Proven: true, Text: fmt.Sprintf(text, line)}, true
	}
	for at := range body {
		// The standard library's SHA-256 has no error to return here.
		state, _ = from.AppendBinary(state[:0])
		end := at
		for end < len(body) && isWSP(body[end]) {
			end++
		}
		run := end - at
		switch {
		case run > 0 && (is(at, "", run) || is(at, " ", run) || is(at, "", 1)):
			return proven(CauseWhiteSpace, "White space was added in line %d after signing.")
		case run > 0 && is(at, "\r\n", run), is(at, "\r\n", 0):
			return proven(CauseLineEnds, "Line %d was two lines when it was signed; the line end between them was taken away.")
		case is(at, " ", 0), is(at, "\t", 0):
			return proven(CauseWhiteSpace, "White space was taken away in line %d after signing.")
		case bytes.HasPrefix(body[at:], lineEnds[:2]) && at+2 < len(body) && (is(at, "", 2) || is(at, " ", 2)):
			return proven(CauseLinesBroken, "Line %d was broken in two after signing.")
		}
		prefix.Write(body[at : at+1])
		if body[at] == '\n' {
			line++
		}
	}
	return Explanation{}, false
}
