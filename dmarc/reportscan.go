package dmarc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The limits of the markup of a report. What reporters write is far below.
const (
	// maxTag is the longest tag, comment's opening or declaration that is read in one piece, in octets.
	maxTag = 64 << 10
	// smallBuffer is enough for most reports, in octets; it grows to maxTag. maxTag is a multiple by a power of four.
	smallBuffer = 4 << 10
	// maxDepth is how deep elements are nested; a report needs seven.
	maxDepth = 64
)

// tokenKind is what the scanner came to.
type tokenKind uint8

const (
	endOfInput tokenKind = iota
	startTag
	endTag
	charData // a piece of text, to be decoded
	rawData  // a piece of text from a CDATA section
)

// token is one piece of markup or text. name and text are good until the next call.
type token struct {
	kind  tokenKind
	name  []byte // local, without a prefix
	space bool   // the tag names the namespace of RFC 9990
	empty bool   // <name/>
	text  []byte
}

// scanner splits the markup of a report. It knows as much XML as reports are written in, and forgives what reporters get wrong: it declares no entities, follows no
// reference, and checks neither attributes nor whether characters may be there.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int
	full     bool  // what was read last filled buf
	err      error // of r; io.EOF at the end
	cdata    bool  // within a CDATA section
	encoding encoding
}

// encoding says how octets above 127 are read.
type encoding uint8

const (
	utf8Text    encoding = iota
	westernText          // windows-1252, which those who declare ISO 8859-1 mean
)

var errTag = errors.New("a tag or declaration is too long, or does not end")

// fill reads more, keeping what was not used. It returns false when nothing more comes.
func (s *scanner) fill() bool {
	if s.err != nil {
		return false
	}
	if s.pos > 0 {
		copy(s.buf, s.buf[s.pos:s.end])
		s.end -= s.pos
		s.pos = 0
	}
	if s.full && len(s.buf) < maxTag { // more is coming than a small report has
		s.buf = append(make([]byte, 0, 4*len(s.buf)), s.buf[:s.end]...)
		s.buf = s.buf[:cap(s.buf)]
	}
	if s.end == len(s.buf) {
		return false // a token that long is none
	}
	for range 100 { // empty reads (io.ErrNoProgress)
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.full = s.end == len(s.buf)
		if err != nil {
			s.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	s.err = io.ErrNoProgress
	return false
}

// find looks for what in what follows from offset from on, and reads as much as it takes. -1: it does not come within maxTag octets.
func (s *scanner) find(from int, what string) int {
	for {
		if i := bytes.Index(s.buf[min(s.pos+from, s.end):s.end], []byte(what)); i >= 0 {
			return from + i
		}
		from = max(from, s.end-s.pos-len(what)+1)
		if !s.fill() {
			return -1
		}
	}
}

// next returns the next token; text is passed over unless it is wanted. At the end of the input, or with an error of the reader (s.err), it is endOfInput.
func (s *scanner) next(text bool) (token, error) {
	for {
		if s.pos == s.end && !s.fill() {
			return token{}, nil
		}
		if s.cdata {
			return s.section(), nil
		}
		if s.buf[s.pos] != '<' && !text {
			if i := bytes.IndexByte(s.buf[s.pos:s.end], '<'); i >= 0 {
				s.pos += i
			} else {
				s.pos = s.end
				continue
			}
		}
		if s.buf[s.pos] != '<' {
			text := s.buf[s.pos:s.end]
			if i := bytes.IndexByte(text, '<'); i >= 0 {
				text = text[:i]
			} else if i := bytes.LastIndexByte(text, '&'); i >= 0 && len(text)-i < maxReference && s.err == nil {
				// A reference may go on in what comes next.
				if i == 0 {
					if s.fill() {
						continue
					}
				} else {
					text = text[:i]
				}
			} else if s.encoding == utf8Text {
				text = wholeRunes(text, s.err != nil)
				if len(text) == 0 {
					if s.fill() {
						continue
					}
					text = s.buf[s.pos:s.end]
				}
			}
			s.pos += len(text)
			return token{kind: charData, text: text}, nil
		}
		if s.end-s.pos < 2 && !s.fill() {
			s.pos = s.end
			return token{}, nil
		}
		switch s.buf[s.pos+1] {
		case '?':
			i := s.find(2, "?>")
			if i < 0 {
				return token{}, errTag
			}
			s.declaration(s.buf[s.pos+2 : s.pos+i])
			s.pos += i + 2
		case '!':
			if err := s.bang(); err != nil {
				return token{}, err
			}
		default:
			return s.tag()
		}
	}
}

// plain reads what nearly all of a report consists of, when it is in the buffer as a whole: a tag without prefix and attributes, or the end of the element named innermost; before it only text, which is
// passed over, or, when it is wanted, put into chars as it is. It returns startTag with the name, endTag, or endOfInput for all that next has to look at; nothing was consumed then, but unwanted text.
func (s *scanner) plain(wanted bool, innermost []byte, chars, name *[]byte) tokenKind {
	rest := s.buf[s.pos:s.end]
	at := bytes.IndexByte(rest, '<')
	if at < 0 || s.cdata {
		return endOfInput
	}
	if wanted {
		for _, c := range rest[:at] {
			if c == '&' || c == '\r' || c >= utf8.RuneSelf {
				return endOfInput
			}
		}
	} else {
		s.pos += at
		rest, at = rest[at:], 0
	}
	tag := rest[at+1:]
	if len(tag) > len(innermost)+1 && tag[0] == '/' {
		if tag[len(innermost)+1] != '>' || string(tag[1:len(innermost)+1]) != string(innermost) || len(innermost) == 0 || wanted && at > maxText {
			return endOfInput
		}
		if wanted {
			*chars = append(*chars, rest[:at]...)
		}
		s.pos += at + len(innermost) + 3
		return endTag
	}
	if wanted { // an element within a text is rare
		return endOfInput
	}
	for i, c := range tag {
		if inName[c] {
			continue
		}
		if c != '>' || i == 0 {
			break
		}
		*name = tag[:i]
		s.pos += i + 2
		return startTag
	}
	return endOfInput
}

// inName are the characters of the names that plain reads.
var inName = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") {
		set[c] = true
	}
	return set
}()

// wholeRunes leaves out a character that goes on in what comes next.
func wholeRunes(text []byte, last bool) []byte {
	if last || len(text) == 0 || text[len(text)-1] < utf8.RuneSelf {
		return text
	}
	for i := 1; i <= utf8.UTFMax && i <= len(text); i++ {
		if tail := text[len(text)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return text[:len(text)-i]
			}
			break
		}
	}
	return text
}

// declaration reads the encoding of <?xml … encoding="…"?>.
func (s *scanner) declaration(text []byte) {
	if !bytes.HasPrefix(text, []byte("xml")) {
		return
	}
	_, value, _ := bytes.Cut(text, []byte("encoding"))
	value = bytes.Trim(value, " \t\r\n=\"'")
	if i := bytes.IndexAny(value, "\"' \t\r\n"); i >= 0 {
		value = value[:i]
	}
	switch string(bytes.ToLower(value)) {
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
		if _, wide := s.r.(*utf16Reader); !wide {
			s.encoding = westernText
		}
	}
}

// bang passes over comments and document types, and enters CDATA sections.
func (s *scanner) bang() error {
	for s.end-s.pos < len("<![CDATA[") && s.fill() {
	}
	rest := s.buf[s.pos:s.end]
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")):
		s.pos += 4
		for {
			if i := s.find(0, "-->"); i >= 0 {
				s.pos += i + 3
				return nil
			}
			if s.err != nil {
				return errTag
			}
			s.pos = s.end - 2 // a comment may be of any length
		}
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		s.pos += 9
		s.cdata = true
		return nil
	}
	// A document type may have an internal subset; nothing of it is used.
	quote, depth := byte(0), 0
	for i := 2; ; i++ {
		if s.pos+i >= s.end && !s.fill() {
			return errTag
		}
		if s.pos+i >= s.end {
			return errTag
		}
		switch c := s.buf[s.pos+i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			depth++
		case c == '>' && depth > 0:
			depth--
		case c == '>':
			s.pos += i + 1
			return nil
		}
	}
}

// section returns the next piece of a CDATA section.
func (s *scanner) section() token {
	const end = "]]>"
	text := s.buf[s.pos:s.end]
	if i := bytes.Index(text, []byte(end)); i >= 0 {
		s.pos += i + len(end)
		s.cdata = false
		return token{kind: rawData, text: text[:i]}
	}
	keep := 0 // the end may begin here
	for keep < len(end)-1 && keep < len(text) && text[len(text)-1-keep] == ']' {
		keep++
	}
	if s.encoding == utf8Text && keep == 0 {
		text = wholeRunes(text, s.err != nil)
	} else {
		text = text[:len(text)-keep]
	}
	if len(text) == 0 {
		if !s.fill() {
			text = s.buf[s.pos:s.end]
			s.pos = s.end
		}
		return token{kind: rawData, text: text}
	}
	s.pos += len(text)
	return token{kind: rawData, text: text}
}

// tag reads a start or end tag.
func (s *scanner) tag() (token, error) {
	body, err := s.tagBody()
	if err != nil {
		return token{}, err
	}
	t := token{kind: startTag}
	if len(body) > 0 && body[0] == '/' {
		t.kind, body = endTag, body[1:]
	} else if n := len(body); n > 0 && body[n-1] == '/' {
		t.empty, body = true, body[:n-1]
	}
	from, to := 0, len(body)
	for i, c := range body {
		if c > ':' {
			continue
		}
		if c == ':' && from == 0 {
			from = i + 1 // the prefix is left out
		} else if c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '/' {
			to = i
			t.space = bytes.Contains(body[i:], []byte(Namespace))
			break
		}
	}
	t.name = body[from:to]
	return t, nil
}

// tagBody is what stands between < and >, and goes behind it.
func (s *scanner) tagBody() ([]byte, error) {
	at := s.pos + 1
	for i, c := range s.buf[at:s.end] {
		switch c {
		case '>':
			s.pos = at + i + 1
			return s.buf[at : at+i], nil
		case '"', '\'':
			return s.longTag()
		}
	}
	return s.longTag()
}

// longTag is a tag that is not in the buffer as a whole, or has attributes in quotes, in which a > may stand.
func (s *scanner) longTag() ([]byte, error) {
	n, err := s.tagEnd()
	if err != nil {
		return nil, err
	}
	body := s.buf[s.pos+1 : s.pos+n]
	s.pos += n + 1
	return body, nil
}

// tagEnd finds the > that ends a tag whose attributes are in quotes.
func (s *scanner) tagEnd() (int, error) {
	quote := byte(0)
	for i := 1; ; i++ {
		if s.pos+i >= s.end && !s.fill() {
			return 0, errTag
		}
		switch c := s.buf[s.pos+i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i, nil
		}
	}
}

// maxReference is the longest reference that is read, in octets: "&#x10FFFF;".
const maxReference = 12

// appendText decodes a piece of text, at most until dst has limit octets: references, line ends, encoding.
func (s *scanner) appendText(dst []byte, t token, limit int) []byte {
	text := t.text
	for len(text) > 0 && len(dst) < limit {
		c := text[0]
		switch {
		case c == '&' && t.kind == charData:
			var n int
			dst, n = appendReference(dst, text)
			text = text[n:]
		case c == '\r':
			if len(text) < 2 || text[1] != '\n' {
				dst = append(dst, '\n')
			}
			text = text[1:]
		case c < utf8.RuneSelf:
			i := 1
			for i < len(text) && text[i] < utf8.RuneSelf && text[i] != '&' && text[i] != '\r' {
				i++
			}
			dst = append(dst, text[:min(i, limit-len(dst))]...)
			text = text[i:]
		case s.encoding != utf8Text:
			dst = utf8.AppendRune(dst, western(c))
			text = text[1:]
		default:
			r, n := utf8.DecodeRune(text)
			dst = utf8.AppendRune(dst, r) // RuneError for what is none
			text = text[n:]
		}
	}
	return dst
}

// western is the character of an octet above 127 in windows-1252.
func western(c byte) rune {
	if c >= 0xa0 {
		return rune(c)
	}
	return [...]rune{
		'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
		0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ',
	}[c-0x80]
}

// appendReference decodes a reference at the beginning of text and says how long it was. What is no known one stands for itself.
func appendReference(dst, text []byte) ([]byte, int) {
	end := bytes.IndexByte(text[:min(len(text), maxReference)], ';')
	if end > 1 {
		switch name := text[1:end]; string(name) {
		case "amp":
			return append(dst, '&'), end + 1
		case "lt":
			return append(dst, '<'), end + 1
		case "gt":
			return append(dst, '>'), end + 1
		case "quot":
			return append(dst, '"'), end + 1
		case "apos":
			return append(dst, '\''), end + 1
		default:
			if r, ok := numeric(name); ok {
				return utf8.AppendRune(dst, r), end + 1
			}
		}
	}
	return append(dst, '&'), 1
}

func numeric(name []byte) (rune, bool) {
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil || n == 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

// utf16Reader turns UTF-16 into UTF-8.
type utf16Reader struct {
	r    io.Reader
	big  bool
	in   [4096]byte
	have int
	out  []byte
	err  error
}

func (u *utf16Reader) Read(b []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		var n int
		n, u.err = u.r.Read(u.in[u.have:])
		u.have += n
		u.decode()
	}
	n := copy(b, u.out)
	u.out = u.out[n:]
	return n, nil
}

// decode turns what was read into UTF-8, but for a character that goes on.
func (u *utf16Reader) decode() {
	unit := func(i int) rune {
		if u.big {
			return rune(u.in[i])<<8 | rune(u.in[i+1])
		}
		return rune(u.in[i+1])<<8 | rune(u.in[i])
	}
	u.out = u.out[:0]
	i := 0
	for ; i+1 < u.have; i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			if i+3 >= u.have && u.err == nil {
				break
			}
			if i+3 < u.have {
				if pair := utf16.DecodeRune(r, unit(i+2)); pair != utf8.RuneError {
					u.out = utf8.AppendRune(u.out, pair)
					i += 2
					continue
				}
			}
			r = utf8.RuneError
		}
		u.out = utf8.AppendRune(u.out, r)
	}
	u.have = copy(u.in[:], u.in[i:u.have])
}

// newScanner looks at the first octets for the encoding.
func newScanner(r io.Reader) *scanner {
	s := &scanner{r: r, buf: make([]byte, smallBuffer)}
	for s.end < 3 && s.fill() {
	}
	head := s.buf[:s.end]
	switch {
	case bytes.HasPrefix(head, []byte("\ufeff")):
		s.pos = 3
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}), bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		rest := bytes.Clone(head[2:])
		tail := io.MultiReader(bytes.NewReader(rest), r)
		if s.err != nil {
			tail = bytes.NewReader(rest)
		}
		s.r, s.end, s.err = &utf16Reader{r: tail, big: head[0] == 0xfe}, 0, nil
	}
	return s
}

func errDepth() error { return fmt.Errorf("elements are nested more than %d deep", maxDepth) }
