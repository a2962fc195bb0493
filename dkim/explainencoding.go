package dkim

import (
	"bytes"
	"encoding/base64"
	"mime/quotedprintable"
	"strings"
)

// Line lengths of encoders (RFC 2045 §6.8).
const base64Line = 76

// writerOf lets an encoder write into a trial.
type writerOf struct{ t *bodyTrial }

func (w writerOf) Write(p []byte) (int, error) {
	w.t.write(p)
	return len(p), nil
}

// addEncodingTrials: servers that do not trust the next one with eight bits encode a body, others decode it.
func addEncodingTrials(s *signature, add addTrial) {
	whole := add(s.body, CauseEncoding, "The body was encoded as quoted-printable after signing.", func(t *bodyTrial, text []byte, _, ends bool) {
		t.quotedPrintable(text, ends)
	})
	part := partDecoder{}
	parts := add(s.body, CauseEncoding, "Parts of the body were encoded as quoted-printable after signing.", part.edit)
	whole.idle, parts.idle = true, true // until something is decoded

	b64 := add(s.body, CauseEncoding, "The body was encoded as base64 after signing.", func(t *bodyTrial, text []byte, _, _ bool) {
		t.held = append(t.held, bytes.TrimSpace(text)...)
		n := len(t.held) / 4 * 4
		t.out, _ = base64.StdEncoding.AppendDecode(t.out[:0], t.held[:n])
		t.write(t.out)
		t.held = append(t.held[:0], t.held[n:]...)
	})
	b64.end = func(t *bodyTrial) {
		t.out, _ = base64.RawStdEncoding.AppendDecode(t.out[:0], bytes.TrimRight(t.held, "="))
		t.write(t.out)
	}

	var qp *quotedprintable.Writer
	encode := add(s.body, CauseEncoding, "The body was decoded from quoted-printable after signing.", func(_ *bodyTrial, text []byte, _, ends bool) {
		qp.Write(text)
		if ends {
			qp.Write(lineEnds[:2])
		}
	})
	qp = quotedprintable.NewWriter(writerOf{encode})
	encode.end = func(*bodyTrial) { qp.Close() }

	const group = base64Line / 4 * 3
	encode64 := func(t *bodyTrial, all bool) {
		for len(t.held) >= group || all && len(t.held) > 0 {
			n := min(group, len(t.held))
			t.out = base64.StdEncoding.AppendEncode(t.out[:0], t.held[:n])
			t.line(t.out, true)
			t.held = append(t.held[:0], t.held[n:]...)
		}
	}
	again := add(s.body, CauseEncoding, "The body was decoded from base64 after signing.", func(t *bodyTrial, text []byte, _, ends bool) {
		t.held = append(t.held, text...)
		if ends {
			t.held = append(t.held, lineEnds[:2]...)
		}
		encode64(t, false)
	})
	again.end = func(t *bodyTrial) { encode64(t, true) }
}

// quotedPrintable passes a line on decoded.
func (t *bodyTrial) quotedPrintable(text []byte, ends bool) {
	var soft bool
	t.out, soft = decodeQuotedPrintable(t.out[:0], text)
	t.idle = t.idle && !soft && len(t.out) == len(bytes.TrimRight(text, " \t"))
	t.line(t.out, ends && !soft)
}

// decodeQuotedPrintable appends the text of one encoded line; soft means that the next line goes on with it (RFC 2045 §6.7). What is
// no encoding stays as it is.
func decodeQuotedPrintable(dst, line []byte) (out []byte, soft bool) {
	line = bytes.TrimRight(line, " \t")
	if soft = bytes.HasSuffix(line, []byte("=")); soft {
		line = line[:len(line)-1]
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '=' && i+2 < len(line) {
			high, low := unhex(line[i+1]), unhex(line[i+2])
			if high >= 0 && low >= 0 {
				c, i = byte(high<<4|low), i+2
			}
		}
		dst = append(dst, c)
	}
	return dst, soft
}

func unhex(c byte) int { return strings.IndexByte("0123456789abcdef", lower(c)) }

// partDecoder undoes what a server without 8BITMIME does to the parts of a multipart body: each part's header says
// quoted-printable where it said 8bit, and its text is encoded (RFC 6152, RFC 2045 §6).
type partDecoder struct {
	header bool // in the header of a part
	coded  bool // in a part that was encoded
}

func (p *partDecoder) edit(t *bodyTrial, text []byte, first, ends bool) {
	const name, coded, plain = "content-transfer-encoding:", "quoted-printable", "8bit"
	switch {
	case first && len(text) > 2 && text[0] == '-' && text[1] == '-' && !bytes.ContainsAny(text, " \t"):
		p.header, p.coded = true, false
	case p.header && len(text) == 0:
		p.header = false
	case p.header:
		if folded := bytes.ToLower(text); bytes.HasPrefix(folded, []byte(name)) && bytes.HasSuffix(folded, []byte(coded)) {
			p.coded = true
			t.line(append(append(t.out[:0], text[:len(text)-len(coded)]...), plain...), ends)
			return
		}
	case p.coded:
		t.quotedPrintable(text, ends)
		return
	}
	t.line(text, ends)
}
