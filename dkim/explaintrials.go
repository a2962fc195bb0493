package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// lineSplitter cuts a body at its CRLFs. A line comes in one piece, or in several if it is longer than maxExplainedLine.
type lineSplitter struct {
	emit    func(text []byte, first, ends bool) // first: begins a line; ends: a CRLF follows
	buf     []byte
	midLine bool
}

func (l *lineSplitter) write(chunk []byte) {
	l.buf = append(l.buf, chunk...)
	rest := l.buf
	for {
		end := bytes.Index(rest, lineEnds[:2])
		if end < 0 {
			break
		}
		l.emit(rest[:end], !l.midLine, true)
		l.midLine = false
		rest = rest[end+2:]
	}
	if len(rest) > maxExplainedLine { // but for a CR that may be half a line end
		l.emit(rest[:len(rest)-1], !l.midLine, false)
		l.midLine = true
		rest = rest[len(rest)-1:]
	}
	l.buf = append(l.buf[:0], rest...)
}

func (l *lineSplitter) finish() {
	if len(l.buf) > 0 {
		l.emit(l.buf, !l.midLine, false)
	}
}

// bodyTrial is one hypothesis: the body, edited back, hashes to bh=.
type bodyTrial struct {
	cause Cause
	text  string
	edit  func(t *bodyTrial, text []byte, first, ends bool)
	end   func(t *bodyTrial) // after the last line; nil = nothing to do

	idle bool // what the hypothesis undoes did not occur, so it proves nothing
	hash bodyHash
	out  []byte // scratch of edit
	held []byte // what edit waits with
}

func newBodyTrial(s *signature, c Canonicalization, cause Cause, text string, edit func(t *bodyTrial, text []byte, first, ends bool)) *bodyTrial {
	t := &bodyTrial{cause: cause, text: text, edit: edit}
	t.hash.reset(c)
	t.hash.sink(s.limit)
	return t
}

func (t *bodyTrial) write(p []byte) {
	if len(p) > 0 {
		t.hash.write(p)
	}
}

// line passes a piece on, edited or not.
func (t *bodyTrial) line(text []byte, ends bool) {
	t.write(text)
	if ends {
		t.write(lineEnds[:2])
	}
}

func (t *bodyTrial) finish() [sha256.Size]byte {
	if t.end != nil {
		t.end(t)
	}
	t.hash.finish()
	return t.hash.sinks[0].sum
}

// bodyTrials are the hypotheses that need one pass, the narrower ones first where several may fit.
func bodyTrials(s *signature) []*bodyTrial {
	var trials []*bodyTrial
	add := func(c Canonicalization, cause Cause, text string, edit func(t *bodyTrial, text []byte, first, ends bool)) *bodyTrial {
		t := newBodyTrial(s, c, cause, text, edit)
		trials = append(trials, t)
		return t
	}
	same := func(t *bodyTrial, text []byte, _, ends bool) { t.line(text, ends) }
	// start edits the beginning of lines.
	start := func(from, to string) func(t *bodyTrial, text []byte, first, ends bool) {
		return func(t *bodyTrial, text []byte, first, ends bool) {
			if first && bytes.HasPrefix(text, []byte(from)) {
				t.write([]byte(to))
				text = text[len(from):]
			}
			t.line(text, ends)
		}
	}
	if s.body == Simple {
		add(Simple, CauseWhiteSpace, "White space was added at line ends after signing.", func(t *bodyTrial, text []byte, _, ends bool) {
			if ends || len(text) < maxExplainedLine {
				text = bytes.TrimRight(text, " \t")
			}
			t.line(text, ends)
		})
		add(Simple, CauseWhiteSpace, "The space behind “--” at the head of the mail signature was taken away.", func(t *bodyTrial, text []byte, first, ends bool) {
			if first && ends && string(text) == "--" {
				text = []byte("-- ")
			}
			t.line(text, ends)
		})
		add(Relaxed, CauseWhiteSpace, "White space within lines or at their ends differs: it was added after signing, or the signer used relaxed body canonicalisation though c= says simple.", same)
	} else {
		add(Simple, CauseOtherCanonicalization, "The signer used simple body canonicalisation, but c= says relaxed.", same)
	}
	add(s.body, CauseDots, "Dots at line starts were doubled for SMTP and not taken back.", start("..", "."))
	add(s.body, CauseDots, "Dots at line starts were halved once too often, or the signer hashed them doubled.", start(".", ".."))
	add(s.body, CauseFromQuoted, "“From ” at line starts became “>From ” after signing.", func(t *bodyTrial, text []byte, first, ends bool) {
		if quoted := bytes.TrimLeft(text, ">"); first && len(quoted) < len(text) && bytes.HasPrefix(quoted, []byte("From ")) {
			text = text[1:]
		}
		t.line(text, ends)
	})
	add(s.body, CauseFromQuoted, "“>From ” at line starts became “From ” after signing.", start("From ", ">From "))
	addLineEndTrials(s, add)
	addEncodingTrials(s, add)
	return trials
}

type addTrial func(c Canonicalization, cause Cause, text string, edit func(t *bodyTrial, text []byte, first, ends bool)) *bodyTrial

// addLineEndTrials: what servers do with a CR or LF of its own, and what signers hash that see lines with LF.
func addLineEndTrials(s *signature, add addTrial) {
	for _, kind := range []struct{ cr, lf, text string }{
		{"\r\n", "\r\n", "Line ends were made bare CR or LF after signing."},
		{"", "\r\n", "Bare CRs were put in, or CRLFs became LF, after signing."},
		{"", "", "Bare CRs or LFs were put in after signing."},
		{"\r\n", "\n", "Line ends were made bare CR after signing."},
	} {
		add(s.body, CauseLineEnds, kind.text, func(t *bodyTrial, text []byte, _, ends bool) {
			t.out = t.out[:0]
			for _, c := range text {
				switch c {
				case '\r':
					t.out = append(t.out, kind.cr...)
				case '\n':
					t.out = append(t.out, kind.lf...)
				default:
					t.out = append(t.out, c)
				}
			}
			t.line(t.out, ends)
		})
	}
	const bare = "The signer hashed lines that ended in a bare LF; they were completed to CRLF later."
	for _, plainEnd := range []bool{true, false} {
		t := add(s.body, CauseLineEnds, bare, func(t *bodyTrial, text []byte, _, ends bool) {
			t.write(text)
			if ends {
				t.write([]byte("\n"))
			}
		})
		if plainEnd {
			// Such a signer ends the body in one LF, where bodyHash puts a CRLF.
			t.hash.sinks[0].hash = &bareLineEnds{Hash: t.hash.sinks[0].hash}
			t.edit = func(t *bodyTrial, text []byte, _, ends bool) { t.line(text, ends) }
		}
	}
}

// bareLineEnds is a hash of a body whose CRLFs are LFs. bodyHash never parts the octets of a CRLF.
type bareLineEnds struct{ hash.Hash }

func (b *bareLineEnds) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.Index(rest, lineEnds[:2])
		if end < 0 {
			b.Hash.Write(rest)
			break
		}
		b.Hash.Write(rest[:end])
		b.Hash.Write(lineEnds[1:2])
		rest = rest[end+2:]
	}
	return len(p), nil
}

// brokenLineTrials put lines together again that were broken where they are longest.
func brokenLineTrials(s *signature, longest int) []*bodyTrial {
	if longest < minBrokenLine {
		return nil
	}
	var trials []*bodyTrial
	for _, mark := range []string{"", "!"} { // sendmail ends a broken line in "!"
		for _, blank := range []bool{false, true} { // Postfix and sendmail begin the next one with a space
			if mark != "" && !blank {
				continue
			}
			broken := false
			trials = append(trials, newBodyTrial(s, s.body, CauseLinesBroken, "Long lines were broken after signing.",
				func(t *bodyTrial, text []byte, first, ends bool) {
					if broken && blank && first {
						text = bytes.TrimPrefix(text, oneSpace)
					}
					long := len(text) == longest || broken && blank && len(text) == longest-1
					if broken = long && ends && bytes.HasSuffix(text, []byte(mark)); broken {
						t.write(text[:len(text)-len(mark)])
						return
					}
					t.line(text, ends)
				}))
		}
	}
	inParagraph := false
	trials = append(trials, newBodyTrial(s, s.body, CauseLinesBroken, "Paragraphs of one line each were wrapped after signing.",
		func(t *bodyTrial, text []byte, first, ends bool) {
			if first && len(text) == 0 {
				if inParagraph {
					t.write(lineEnds[:2])
				}
				inParagraph = false
				t.line(nil, ends)
				return
			}
			if first && inParagraph {
				t.write(oneSpace)
			}
			t.write(text)
			inParagraph = true
		}))
	return trials
}
