package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Document is one report, unwrapped as far as it takes, and not read yet. It can be read again and again, but not by several at the same time.
type Document struct {
	// Name says where it was found, for people: "mail.eml, report.xml.gz".
	Name string
	kind kind
	open func() io.Reader
}

// Problem is something in an input that should be a report and cannot be read.
type Problem struct {
	Name string
	Err  error
}

type kind uint8

const (
	noReport kind = iota
	xmlDocument
	jsonDocument
	failureDocument
	gzipped
	zipped
	mailMessage
	base64Text
)

// Open finds the reports in an input: a document itself, gzip, zip, a mail with any of these attached, a mail forwarded in a mail. What it is, its octets say; names and media types
// are often wrong. An input without a report gives a Problem, so that nothing is dropped silently. input must stay as it is while the documents are used.
func Open(name string, input []byte) (documents []Document, problems []Problem) {
	o := &opener{inflate: maxInflatedInAll, hold: maxHeld}
	if len(input) > MaxInput {
		return nil, []Problem{{name, fault.New(fault.Invalid, "it has more than %d MiB", MaxInput>>20)}}
	}
	o.octets(name, input, 0)
	if len(o.documents)+len(o.problems) == 0 {
		o.problem(name, "there is no report in it")
	}
	return o.documents, o.problems
}

type opener struct {
	documents []Document
	problems  []Problem
	parts     int   // of mails that were looked at
	files     int   // of archives
	inflate   int64 // what documents may inflate to yet
	hold      int64 // what may be unpacked into memory yet
}

func (o *opener) problem(name, format string, args ...any) {
	o.failed(name, fault.New(fault.Invalid, format, args...))
}

func (o *opener) failed(name string, err error) {
	switch n := len(o.problems); {
	case n < maxProblems-1:
		o.problems = append(o.problems, Problem{name, err})
	case n == maxProblems-1:
		o.problems = append(o.problems, Problem{name, fault.New(fault.Invalid, "there are more than %d problems in one input; this one and the others are not told", maxProblems-1)})
	}
}

// held reports whether so much may be unpacked into memory beside what is there already.
func (o *opener) held(name string, octets int) bool {
	if o.hold -= int64(octets); o.hold < 0 {
		o.problem(name, "what is packed in this input takes more than %d MiB", maxHeld>>20)
	}
	return o.hold >= 0
}

func (o *opener) document(d Document) {
	if len(o.documents) == maxDocuments {
		o.problem(d.Name, "there are more than %d documents in one input; this one was not read", maxDocuments)
		return
	}
	o.documents = append(o.documents, d)
}

// octets looks at what is there as a whole.
func (o *opener) octets(name string, data []byte, wraps int) {
	if wraps > maxWraps {
		o.problem(name, "it is wrapped more than %d times", maxWraps)
		return
	}
	switch k := sniff(data); k {
	case xmlDocument, jsonDocument, failureDocument:
		o.document(Document{name, k, func() io.Reader { return bytes.NewReader(data) }})
	case gzipped:
		o.inflated(name, int64(len(data)), func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(data)) }, wraps)
	case zipped:
		o.zip(name, data, wraps)
	case mailMessage:
		o.mail(name, withoutFromLine(data), wraps)
	case base64Text:
		packed := packedText(data)
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(packed)))
		n, _ := base64.StdEncoding.Decode(plain, packed) // as far as it goes
		if o.held(name, len(packed)+len(plain)) {
			o.octets(name, plain[:n], wraps+1)
		}
	default:
		o.problem(name, "it is no report, no archive and no mail: it begins with %s", beginning(data))
	}
}

// beginning shows the first octets.
func beginning(data []byte) string {
	const shown = 24
	if len(data) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%q", data[:min(len(data), shown)])
}

// inflated looks at what comes out of a compressed stream. What is a document is not kept: it is inflated as it is read, and from the beginning when it is read again.
func (o *opener) inflated(name string, size int64, open func() (io.Reader, error), wraps int) {
	limit := min(MaxInflated, max(freeInflated, size*maxRatio))
	seen := new(int64)
	begin := func() io.Reader {
		r, err := open()
		if err != nil {
			return failing{fault.Wrap(fault.Invalid, err, "it cannot be inflated: %v", err)}
		}
		return &inflating{r: r, left: limit, budget: &o.inflate, seen: seen}
	}
	begun := begin()
	head := make([]byte, sniffed)
	n, err := io.ReadFull(begun, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		o.failed(name, unwrapped(err))
		return
	}
	again := func() io.Reader {
		if begun == nil {
			return begin()
		}
		r := io.MultiReader(bytes.NewReader(head[:n]), begun)
		begun = nil
		return r
	}
	switch k := sniff(head[:n]); k {
	case xmlDocument, jsonDocument:
		o.document(Document{name, k, again})
	default:
		// Archives in archives and mails are small, or they are none.
		most := min(MaxInput, o.hold)
		data, err := io.ReadAll(io.LimitReader(again(), most+1))
		switch {
		case int64(len(data)) > most:
			o.problem(name, "it inflates to more than %d MiB that are no report", most>>20)
		case err != nil:
			o.failed(name, unwrapped(err))
		case o.held(name, len(data)):
			o.octets(name, data, wraps+1)
		}
	}
}

func unwrapped(err error) error {
	if fault.CodeOf(err) != "" {
		return err
	}
	return fault.Wrap(fault.Invalid, err, "it cannot be inflated: %v", err)
}

// inflating ends a stream that inflates to too much: by itself, or together with the others of its input. What comes out again when it is read again is counted once.
type inflating struct {
	r      io.Reader
	left   int64  // of what this stream may inflate to
	at     int64  // what came out
	seen   *int64 // what came out in any reading of this stream
	budget *int64 // what all streams may inflate to yet
	err    error  // with which it ended
}

func (l *inflating) Read(b []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left+1)])
	if err != nil && err != io.EOF {
		err = fault.Wrap(fault.Invalid, err, "it cannot be inflated: %v", err)
	}
	if int64(n) > l.left {
		n, err = int(l.left), fault.New(fault.Invalid, "it inflates to more than a report does; that is how archives attack")
	}
	if more := l.at + int64(n) - *l.seen; more > *l.budget {
		n -= int(more - *l.budget)
		err = fault.New(fault.Invalid, "the documents of this input inflate to more than %d MiB together; that is how archives attack", maxInflatedInAll>>20)
	}
	l.left, l.at = l.left-int64(n), l.at+int64(n)
	if more := l.at - *l.seen; more > 0 {
		*l.seen, *l.budget = l.at, *l.budget-more
	}
	l.err = err
	return n, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// zip looks at the files of an archive. Their names are shown and never used.
func (o *opener) zip(name string, data []byte, wraps int) {
	if bytes.Count(data, []byte("PK\x01\x02")) > maxDirectory {
		o.problem(name, "the archive holds more than %d files", maxDirectory)
		return
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		o.problem(name, "the archive cannot be read: %v", err)
		return
	}
	found := 0
	for _, f := range archive.File {
		if f.FileInfo().IsDir() || strings.HasPrefix(f.Name, "__MACOSX/") {
			continue
		}
		if found++; found > maxDocuments {
			o.problem(name, "the archive holds more than %d files; the others were not read", maxDocuments)
			return
		}
		if o.files++; o.files > maxFiles {
			o.problem(name, "there are more than %d files in the archives of this input; the others were not read", maxFiles)
			return
		}
		o.inflated(name+", "+kept(path.Base(f.Name)), int64(f.CompressedSize64), func() (io.Reader, error) { return f.Open() }, wraps)
	}
	if found == 0 {
		o.problem(name, "the archive is empty")
	}
}

// sniffed is how much is looked at to tell what something is, in octets. Mail may begin with long fields.
const sniffed = 4096

var (
	fieldLine    = regexp.MustCompile(`^(From [^\n]*\n)?[!-9;-~]{1,76}:`)
	feedbackLine = regexp.MustCompile(`(?i)(^|\n)Feedback-Type:`)
	base64Line   = regexp.MustCompile(`^[A-Za-z0-9+/=\s]{40,}$`)
)

// sniff tells what octets are by how they begin.
func sniff(data []byte) kind {
	head := data[:min(len(data), sniffed)]
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipped
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}), bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return xmlDocument // UTF-16
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n\x00")
	switch {
	case len(text) == 0:
		return noReport
	case text[0] == '<':
		return xmlDocument
	case text[0] == '{':
		return jsonDocument
	case fieldLine.Match(text) && bytes.HasPrefix(bytes.ToLower(text), []byte("feedback-type:")):
		return failureDocument
	case fieldLine.Match(text):
		return mailMessage
	case base64Line.Match(text):
		return base64Text
	}
	// Some reporters have text before the document.
	if i := bytes.Index(text, []byte("<?xml")); i >= 0 || bytes.Contains(text, []byte("<feedback")) {
		return xmlDocument
	}
	return noReport
}

// withoutFromLine leaves out the line that mailboxes have before a mail.
func withoutFromLine(data []byte) []byte {
	data = bytes.TrimLeft(data, " \t\r\n")
	if bytes.HasPrefix(data, []byte("From ")) {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return data
}

// packedText is base64 without spaces.
func packedText(data []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, data)
}

// kept is a text of a stranger, bounded and without what would confuse a terminal or a table.
func kept(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if s = strings.TrimSpace(s); len(s) > maxKept {
		s = strings.ToValidUTF8(s[:maxKept], "")
	}
	return s
}
