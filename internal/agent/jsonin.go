package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// errJSON: a state file is not the JSON that was written.
var errJSON = errors.New("not valid JSON")

// jsonReader reads JSON from a stream value by value, for state files with a hundred thousand entries: encoding/json would hold the whole
// text and everything in it, and take seconds. It reads what json.Marshal writes, and is lenient where that does not matter. The
// first error stays; reading on gives nothing.
type jsonReader struct {
	r    *bufio.Reader
	text []byte // the last string
	err  error
}

// jsonBuffer is what is read at once.
const jsonBuffer = 64 << 10

func newJSONReader(r io.Reader) *jsonReader {
	return &jsonReader{r: bufio.NewReaderSize(r, jsonBuffer)}
}

func (j *jsonReader) fail(err error) {
	if j.err == nil {
		if j.err = err; errors.Is(err, io.EOF) {
			j.err = io.ErrUnexpectedEOF
		}
	}
}

// peek returns the next octet that is not white space; 0 after an error.
func (j *jsonReader) peek() byte {
	for j.err == nil {
		b, err := j.r.ReadByte()
		if err != nil {
			j.fail(err)
			return 0
		}
		switch b {
		case ' ', '\t', '\r', '\n':
			continue
		}
		if err := j.r.UnreadByte(); err != nil {
			j.fail(err)
		}
		return b
	}
	return 0
}

// take passes over an octet if it comes next.
func (j *jsonReader) take(want byte) bool {
	if j.peek() != want || j.err != nil {
		return false
	}
	_, _ = j.r.Discard(1)
	return true
}

// list reads an array or, with names, an object; null is an empty one. each reads one value.
func (j *jsonReader) list(opens, closes byte, each func(name []byte)) {
	if j.peek() == 'n' {
		j.skip()
		return
	}
	if !j.take(opens) {
		j.fail(errJSON)
	}
	for first := true; j.err == nil && !j.take(closes); first = false {
		if !first && !j.take(',') {
			j.fail(errJSON)
			return
		}
		var name []byte
		if opens == '{' {
			if name = j.octets(); !j.take(':') {
				j.fail(errJSON)
				return
			}
		}
		each(name)
	}
}

// object reads an object; name is valid until the next value is read.
func (j *jsonReader) object(each func(name []byte)) { j.list('{', '}', each) }

func (j *jsonReader) array(each func()) { j.list('[', ']', func([]byte) { each() }) }

// octets reads a string; it is valid until the next value is read. null is "".
func (j *jsonReader) octets() []byte {
	j.text = j.text[:0]
	if j.peek() == 'n' {
		j.skip()
		return nil
	}
	if !j.take('"') {
		j.fail(errJSON)
		return nil
	}
	escaped := false
	for j.err == nil {
		part, err := j.r.ReadSlice('"')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			j.fail(err)
			return nil
		}
		j.text = append(j.text, part...)
		escaped = escaped || bytes.IndexByte(part, '\\') >= 0
		if err != nil {
			continue
		}
		if escaped && endsEscaped(j.text[:len(j.text)-1]) {
			continue // the quote is part of the text
		}
		j.text = j.text[:len(j.text)-1]
		break
	}
	if escaped && j.err == nil {
		var s string
		if err := json.Unmarshal([]byte(`"`+string(j.text)+`"`), &s); err != nil {
			j.fail(err)
		}
		j.text = append(j.text[:0], s...)
	}
	return j.text
}

// endsEscaped reports whether what follows text is escaped by it.
func endsEscaped(text []byte) bool {
	n := len(text) - len(bytes.TrimRight(text, `\`))
	return n%2 == 1
}

func (j *jsonReader) string() string { return string(j.octets()) }

// word reads a number, true, false or null.
func (j *jsonReader) word() string {
	var b [32]byte
	n := 0
	for c := j.peek(); j.err == nil; {
		if c == ',' || c == '}' || c == ']' || c <= ' ' || n == len(b) {
			break
		}
		b[n], n = c, n+1
		_, _ = j.r.Discard(1)
		next, err := j.r.Peek(1)
		if err != nil {
			break // the end of the text may be that of a word
		}
		c = next[0]
	}
	return string(b[:n])
}

func (j *jsonReader) int() int64 {
	word := j.word()
	if word == "null" || j.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		j.fail(errJSON)
	}
	return n
}

func (j *jsonReader) bool() bool { return j.word() == "true" }

// raw reads a value of any kind into what json.Unmarshal can fill; for small ones.
func (j *jsonReader) raw(into any) {
	if j.err != nil {
		return
	}
	var out bytes.Buffer
	j.copy(&out, 0)
	if j.err == nil {
		if err := json.Unmarshal(out.Bytes(), into); err != nil {
			j.fail(err)
		}
	}
}

// maxDepth bounds nesting; the state files have a depth of five.
const maxDepth = 32

// copy writes the next value down as JSON.
func (j *jsonReader) copy(out *bytes.Buffer, depth int) {
	if depth > maxDepth {
		j.fail(errJSON)
		return
	}
	write := func(s []byte) {
		text, _ := json.Marshal(string(s))
		out.Write(text)
	}
	first := true
	comma := func() {
		if !first {
			out.WriteByte(',')
		}
		first = false
	}
	switch j.peek() {
	case '{':
		out.WriteByte('{')
		j.object(func(name []byte) { comma(); write(name); out.WriteByte(':'); j.copy(out, depth+1) })
		out.WriteByte('}')
	case '[':
		out.WriteByte('[')
		j.array(func() { comma(); j.copy(out, depth+1) })
		out.WriteByte(']')
	case '"':
		write(j.octets())
	default:
		word := j.word()
		if word == "" {
			j.fail(errJSON)
		}
		out.WriteString(word)
	}
}

// skip passes over a value of any kind.
func (j *jsonReader) skip() {
	var out bytes.Buffer
	j.copy(&out, 0)
}
