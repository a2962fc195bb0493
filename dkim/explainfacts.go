package dkim

import (
	"bytes"
	"mime"
)

// bodyFacts is cheap evidence, gathered while the hypotheses run.
type bodyFacts struct {
	longest int    // line, without its line end
	length  int    // of the line under way
	rule    bool   // a line of "_", "-", "=" or "*" alone, as footers of lists begin
	tail    []byte // the beginning of the last line with text
}

func (f *bodyFacts) see(text []byte, first, ends bool) {
	if first {
		f.length = 0
	}
	f.length += len(text)
	if ends {
		f.longest = max(f.longest, f.length)
	}
	if text = bytes.TrimSpace(text); !first || len(text) == 0 {
		return
	}
	const ruler = 4
	if len(text) >= ruler && bytes.IndexByte([]byte("_-=*"), text[0]) >= 0 && len(bytes.TrimLeft(text, string(text[:1]))) == 0 {
		f.rule = true
	}
	f.tail = append(f.tail[:0], text[:min(len(text), maxBoundary)]...)
}

// maxBoundary is longer than a boundary line of MIME can be: 70 octets and four dashes (RFC 2046 §5.1.1).
const maxBoundary = 80

// guess says what the evidence points to when no hypothesis was proven.
func (f *bodyFacts) guess(b *fieldBlock) Explanation {
	if i := b.lowest([]byte("Content-Type")); i >= 0 {
		_, params, err := mime.ParseMediaType(string(bytes.ReplaceAll(b.value(i), lineEnds[:2], nil)))
		if boundary := params["boundary"]; err == nil && boundary != "" && string(f.tail) != "--"+boundary+"--" {
			if f.rule && listed(b) {
				return listFooter()
			}
			return Explanation{Cause: CauseBodyTruncated, Text: "The last MIME boundary is missing: the end of the body seems to be lost, or text was added behind it."}
		}
	}
	if b.lowest([]byte("X-MIME-Autoconverted")) >= 0 {
		return Explanation{Cause: CauseEncoding, Text: "A server says in X-MIME-Autoconverted that it changed the encoding of the body."}
	}
	if f.rule && listed(b) {
		return listFooter()
	}
	return Explanation{Cause: CauseUnknown, Text: "The body was changed after signing, in none of the ways that can be recognised."}
}

func listFooter() Explanation {
	return Explanation{Cause: CauseTextAppended, Text: "The message went through a mailing list, which seems to have added its footer and perhaps more."}
}

// listed reports whether the message went through a mailing list (RFC 2919, RFC 2369).
func listed(b *fieldBlock) bool {
	for _, name := range []string{"List-Id", "List-Post", "Mailing-List"} {
		if b.lowest([]byte(name)) >= 0 {
			return true
		}
	}
	return false
}
