package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
)

// fieldEdit gives the value that field i had when it was signed, for a hypothesis; the value is without line end.
type fieldEdit func(i int, value []byte) []byte

// explainHeader explains ReasonSignatureMismatch.
func (x *explainer) explainHeader(ctx context.Context) Explanation {
	k := x.readKeys(ctx)
	differences := x.v.block.headerDifferences(x.sig)
	e := x.headerCause(&k, differences)
	e.Headers = differences
	if e.Cause == CauseHeaderChanged || e.Cause == CauseUnknown {
		for _, d := range e.Headers {
			e.Text += " " + d.String() + "."
		}
	}
	return e
}

// headerCause looks for the cause with what the keys say.
func (x *explainer) headerCause(k *keyFindings, differences []HeaderDifference) Explanation {
	switch {
	case k.keys == 0:
		return Explanation{Cause: CauseUnknown, Text: "The key can no longer be read, so nothing can be said."}
	case k.keys == k.wrong:
		text := "The signature was not made with the published key. Another private key is in use, or b= was damaged."
		if k.size {
			text = fmt.Sprintf("The signature has %d octets, which does not fit the published key. Another private key is in use, or b= was damaged.", len(k.b))
		}
		return Explanation{Cause: CauseNotThisKey, Proven: true, Text: text}
	case len(k.digests) == 0 && len(k.ed) == 0 && k.other:
		return Explanation{Cause: CauseOtherHash, Proven: true, Text: "The published key made this signature, but over another hash than a= says."}
	}
	if k.signs(x.digest(x.selection(-1, false), x.sig.header, nil)) {
		return Explanation{Cause: CauseUnknown, Text: "With the key that is published now the signature verifies: the record was changed since."}
	}
	if e, ok := x.proveHeader(k); ok {
		e.Proven = true
		return e
	}
	if len(k.digests) > 0 {
		return Explanation{Cause: CauseHeaderChanged, Proven: true,
			Text: "The published key signed a header that differs from this one: a signed field, or the signature field itself, was changed on the way."}
	}
	// An Ed25519 signature does not show what was signed.
	if len(differences) > 0 {
		if d := differences[0]; d.Removed {
			return Explanation{Cause: CauseFieldRemoved, Text: "A signed field seems to be missing: " + d.String() + "."}
		}
		return Explanation{Cause: CauseFieldAdded, Text: "A field seems to have been added: " + differences[0].String() + "."}
	}
	return Explanation{Cause: CauseUnknown, Text: "Another private key is in use, or a signed field was changed on the way."}
}

// proveHeader tries the hypotheses, the plain ones first.
func (x *explainer) proveHeader(k *keyFindings) (Explanation, bool) {
	s, b := x.sig, &x.v.block
	usual := x.selection(-1, false)
	try := func(selection []int, c Canonicalization, edit fieldEdit) bool {
		if x.trials == maxHeaderTrials {
			return false
		}
		x.trials++
		return k.signs(x.digest(selection, c, edit))
	}
	other := Relaxed + Simple - s.header
	if try(usual, other, nil) {
		return Explanation{Cause: CauseOtherCanonicalization,
			Text: fmt.Sprintf("The signer used %s header canonicalisation, but c= says %s.", other, s.header)}, true
	}
	for _, subject := range usual {
		if !equalFold(b.name(subject), []byte("subject")) {
			continue
		}
		for _, cut := range withoutTags(b.value(subject)) {
			if try(usual, s.header, only(subject, func([]byte) []byte { return cut.value })) {
				return Explanation{Cause: CauseSubjectTag, Text: "The subject got " + quote(cut.tag) + " in front after signing."}, true
			}
		}
	}
	if e, ok := x.proveRewritten(usual, try); ok {
		return e, true
	}
	if e, ok := x.proveAdded(usual, true, try); ok {
		return e, true
	}
	if try(x.selection(-1, true), s.header, nil) {
		return Explanation{Cause: CauseFieldOrder, Text: "Fields of one name stand in another order than when they were signed, or the signer chose them from the top; h= counts from the bottom."}, true
	}
	if e, ok := x.proveAdded(usual, false, try); ok {
		return e, true
	}
	if e, ok := x.proveSpelling(usual, try); ok {
		return e, true
	}
	if e, ok := x.proveFolding(usual, try); ok {
		return e, true
	}
	return x.proveTagAndField(usual, try)
}

// proveAdded leaves out one field. Where a name may occur only once a second one was added; of other names the order may have
// changed as well, which is tried in between.
func (x *explainer) proveAdded(usual []int, single bool, try headerTry) (Explanation, bool) {
	b := &x.v.block
	for _, i := range usual {
		if isSingleton(b.name(i)) == single && try(x.selection(i, false), x.sig.header, nil) {
			return Explanation{Cause: CauseFieldAdded, Text: "A field was added after signing: " + quote(bytes.TrimSpace(b.raw(i))) + "."}, true
		}
	}
	return Explanation{}, false
}

// proveTagAndField undoes what lists do together: a tag in front of the subject and a field, Reply-To often. It comes last, because
// it needs the most hypotheses.
func (x *explainer) proveTagAndField(usual []int, try headerTry) (Explanation, bool) {
	b := &x.v.block
	for _, subject := range usual {
		if !equalFold(b.name(subject), []byte("subject")) {
			continue
		}
		for _, cut := range withoutTags(b.value(subject)) {
			edit := only(subject, func([]byte) []byte { return cut.value })
			for _, i := range usual {
				if i != subject && try(x.selection(i, false), x.sig.header, edit) {
					return Explanation{Cause: CauseSubjectTag,
						Text: "The subject got " + quote(cut.tag) + " in front after signing, and a field was added: " + quote(bytes.TrimSpace(b.raw(i))) + "."}, true
				}
			}
		}
	}
	return Explanation{}, false
}

type headerTry func(selection []int, c Canonicalization, edit fieldEdit) bool

// proveRewritten puts values back that the rewriter kept under another name, as mailing lists do with From.
func (x *explainer) proveRewritten(usual []int, try headerTry) (Explanation, bool) {
	b := &x.v.block
	for _, i := range usual {
		name := string(b.name(i))
		kept := []string{"X-Original-" + name, "Original-" + name, "X-Old-" + name, "Old-" + name}
		if strings.EqualFold(name, "From") {
			kept = append(kept, "Reply-To")
		}
		for _, keptName := range kept {
			at := b.lowest([]byte(keptName))
			if at >= 0 && try(usual, x.sig.header, only(i, func([]byte) []byte { return b.value(at) })) {
				return Explanation{Cause: CauseFieldRewritten,
					Text: fmt.Sprintf("%s was rewritten after signing; %s has what was signed.", name, b.name(at))}, true
			}
		}
	}
	return Explanation{}, false
}

// foldings are the ways in which the value of a field may have looked before it was folded anew.
func foldings() []func(value []byte) []byte {
	replace := func(old, with string) func([]byte) []byte {
		return func(value []byte) []byte { return bytes.ReplaceAll(value, []byte(old), []byte(with)) }
	}
	tabs, blanks := replace("\r\n\t", "\r\n "), replace("\r\n ", "\r\n\t")
	joinTab, joinBlank := replace("\r\n\t", ""), replace("\r\n ", "")
	oneTab, oneBlank := replace("\r\n\t", " "), replace("\r\n ", " ")
	return []func([]byte) []byte{
		replace("\r\n", ""), // the line break went in before the white space
		func(value []byte) []byte { return joinBlank(joinTab(value)) }, // the white space went in as well
		func(value []byte) []byte { return oneBlank(oneTab(value)) },
		tabs, blanks,
		func(value []byte) []byte { return bytes.TrimLeft(value, " \t") }, // a space after the colon
		func(value []byte) []byte { return append([]byte{' '}, bytes.TrimLeft(value, " \t")...) },
	}
}

// proveFolding undoes folding: in the whole header, then in one field at a time, the signature's own among them.
func (x *explainer) proveFolding(usual []int, try headerTry) (Explanation, bool) {
	b := &x.v.block
	for _, undo := range foldings() {
		if try(usual, x.sig.header, func(_ int, value []byte) []byte { return undo(value) }) ||
			try(usual, x.sig.header, func(i int, value []byte) []byte {
				if i == x.sig.field {
					return value
				}
				return undo(value)
			}) {
			return Explanation{Cause: CauseFolding, Text: "The header fields were folded differently when they were signed."}, true
		}
		for _, i := range append(usual[:len(usual):len(usual)], x.sig.field) {
			if !bytes.Equal(undo(b.value(i)), b.value(i)) && try(usual, x.sig.header, only(i, undo)) {
				return Explanation{Cause: CauseFolding, Text: fmt.Sprintf("%s was folded differently when it was signed.", b.name(i))}, true
			}
		}
	}
	return Explanation{}, false
}

// proveSpelling tries other letter case in field names, which simple canonicalisation keeps.
func (x *explainer) proveSpelling(usual []int, try headerTry) (Explanation, bool) {
	if x.sig.header == Relaxed {
		return Explanation{}, false
	}
	defer func() { x.spell = nil }()
	for _, i := range usual {
		name := x.v.block.name(i)
		for _, spelling := range spellings(name) {
			if string(spelling) == string(name) {
				continue
			}
			if x.spell, x.spelled = spelling, i; try(usual, Simple, nil) {
				return Explanation{Cause: CauseNameCase, Text: fmt.Sprintf("The field name %s was written %s when it was signed.", name, spelling)}, true
			}
		}
	}
	return Explanation{}, false
}

// spellings are the ways to write a field name: message-id, MESSAGE-ID, Message-Id, Message-ID, Mime-Version, MIME-Version.
func spellings(name []byte) [][]byte {
	low, title := bytes.ToLower(name), bytes.ToLower(name)
	for i := range title {
		if i == 0 || title[i-1] == '-' {
			title[i] = bytes.ToUpper(title[i : i+1])[0]
		}
	}
	initials := bytes.ReplaceAll(bytes.ReplaceAll(title, []byte("Mime"), []byte("MIME")), []byte("-Id"), []byte("-ID"))
	return [][]byte{low, title, initials, bytes.ToUpper(name)}
}

// only edits one field.
func only(field int, edit func(value []byte) []byte) fieldEdit {
	return func(i int, value []byte) []byte {
		if i == field {
			return edit(value)
		}
		return value
	}
}

// selection gives the fields that h= selects, in its order, as if field without were not there (-1 for none). Top-down is what
// a wrong signer does.
func (x *explainer) selection(without int, topDown bool) []int {
	b := &x.v.block
	b.startRound()
	b.fields[x.sig.field].taken = b.round
	if without >= 0 {
		b.fields[without].taken = b.round
	}
	var out []int
	for rest := x.sig.names; len(rest) > 0; {
		var name []byte
		name, rest = nextItem(rest)
		if !topDown {
			if i := b.take(name); i >= 0 {
				out = append(out, i)
			}
			continue
		}
		top := -1
		for i := b.lowest(name); i >= 0; i = b.nextAbove(i) {
			if b.fields[i].taken != b.round {
				top = i
			}
		}
		if top >= 0 {
			b.fields[top].taken = b.round
			out = append(out, top)
		}
	}
	return out
}

// digest is Verifier.headerDigest for a hypothesis.
func (x *explainer) digest(selection []int, c Canonicalization, edit fieldEdit) (sum [sha256.Size]byte) {
	b, s := &x.v.block, x.sig
	h := headerHash{canon: c, buf: x.v.scratch[:0]}
	h.start(x.v.header)
	edited := func(i int, raw []byte) []byte {
		if x.spell != nil && i == x.spelled {
			return append(bytes.Clone(x.spell), raw[len(x.spell):]...)
		}
		if edit == nil {
			return raw
		}
		colon := b.fields[i].colon - b.fields[i].start
		value := edit(i, raw[colon+1:len(raw)-2])
		return append(append(bytes.Clone(raw[:colon+1]), value...), '\r', '\n')
	}
	for _, i := range selection {
		f := b.fields[i]
		h.buf = appendCanonicalField(h.buf, edited(i, b.raw(i)), f.nameEnd-f.start, f.colon-f.start, c)
		if len(h.buf) >= flushBytes {
			h.hash.Write(h.buf)
			h.buf = h.buf[:0]
		}
	}
	raw, f := b.raw(s.field), b.fields[s.field]
	own := append(bytes.Clone(raw[:s.bFrom]), raw[s.bTo:]...)
	h.last(edited(s.field, own), f.nameEnd-f.start, f.colon-f.start)
	h.sum(sum[:0])
	x.v.scratch = h.buf
	return sum
}

// tagCut is a subject without a tag.
type tagCut struct{ value, tag []byte }

// withoutTags gives the subjects that this one may have been made of: "[list] x", "Re: [list] x", "***SPAM*** x",
// "EXTERNAL: x", with up to three words in front.
func withoutTags(value []byte) []tagCut {
	const words = 3
	start := len(value) - len(bytes.TrimLeft(value, " \t\r\n"))
	var out []tagCut
	cut := func(from, to int) {
		out = append(out, tagCut{append(bytes.Clone(value[:from]), value[to:]...), trimSpace(value[from:to])})
	}
	for at := start; ; {
		// A tag in brackets counts as one word, whatever it holds.
		if end := bytes.IndexByte(value[at:], ']'); at < len(value) && value[at] == '[' && end > 0 {
			to := at + end + 1
			cut(at, to)
			cut(at, to+len(value[to:])-len(bytes.TrimLeft(value[to:], " \t\r\n")))
		}
		if len(value)-at < 3 || !equalFold(value[at:at+3], []byte("re:")) {
			break
		}
		at += 3
		at += len(value[at:]) - len(bytes.TrimLeft(value[at:], " \t\r\n"))
	}
	to := start
	for range words {
		for to < len(value) && !isSpace(value[to]) {
			to++
		}
		cut(start, to)
		for to < len(value) && isSpace(value[to]) {
			to++
		}
		cut(start, to)
	}
	return out
}
