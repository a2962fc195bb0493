package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// jsonReports prints the one document of --json as it goes: it may have more rows than fit into memory.
type jsonReports struct {
	out   *bufio.Writer
	shown int
	buf   bytes.Buffer
}

func newJSONReports(out io.Writer) *jsonReports {
	return &jsonReports{out: bufio.NewWriterSize(out, 64<<10)}
}

// value is a value as JSON, good until the next call.
func (j *jsonReports) value(v any) ([]byte, error) {
	j.buf.Reset()
	err := printJSON(&j.buf, v)
	return bytes.TrimSuffix(j.buf.Bytes(), []byte("\n")), err
}

func (j *jsonReports) document(d *parsedReport, rows func(each func(*parsedRow) error) error) error {
	open := `,`
	if j.shown++; j.shown == 1 {
		open = `{"documents":[`
	}
	j.out.WriteString(open)
	text, err := j.value(d)
	if err != nil {
		return err
	}
	j.out.Write(bytes.TrimSuffix(text, []byte("}")))
	j.out.WriteString(`,"rows":[`)
	first := true
	err = rows(func(r *parsedRow) error {
		text, err := j.value(r)
		if err != nil {
			return err
		}
		if !first {
			j.out.WriteByte(',')
		}
		first = false
		_, err = j.out.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	_, err = j.out.WriteString(`]}`)
	return err
}

func (j *jsonReports) end(problems []unreadableOne) error {
	if j.shown == 0 {
		j.out.WriteString(`{"documents":[`)
	}
	j.out.WriteString(`],"errors":`)
	text, err := j.value(problems)
	if err != nil {
		return err
	}
	j.out.Write(text)
	j.out.WriteString("}\n")
	return j.out.Flush()
}

// calmJSON is JSON whose texts do not steer the terminal that it is printed on. encoding/json escapes the control characters of ASCII but for DEL; those above it, and the
// ones that change the direction of writing, are left to whoever prints.
func calmJSON(text []byte) []byte {
	at := bytes.IndexFunc(text, steers)
	if at < 0 {
		return text
	}
	out := bytes.NewBuffer(make([]byte, 0, len(text)+64))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if steers(r) {
			fmt.Fprintf(out, `\u%04x`, r)
		} else {
			out.Write(text[:n])
		}
		text = text[n:]
	}
	return out.Bytes()
}

func steers(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r > 0xa0 && r < 0x10000 && unicode.Is(unicode.Bidi_Control, r)
}
