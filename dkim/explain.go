package dkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Cause is a stable word for what broke a signature.
type Cause string

// The causes. Those of the body explain ReasonBodyHashMismatch, those of the header ReasonSignatureMismatch; the last ones both.
const (
	CauseTextAppended  Cause = "text_appended"       // body: lines were added at the end
	CauseTextPrepended Cause = "text_prepended"      // body: lines were added at the top
	CauseTextInserted  Cause = "text_inserted"       // body: lines were added in between
	CauseBodyTruncated Cause = "body_truncated"      // body: the end is missing; never proven
	CauseFinalLineEnd  Cause = "final_line_end"      // body: the signer hashed the last line end or the blank lines at the end differently
	CauseWhiteSpace    Cause = "white_space_changed" // body: white space was added or taken away
	CauseLineEnds      Cause = "line_ends_changed"   // body: a bare CR or LF was completed, or a CRLF taken apart
	CauseEncoding      Cause = "encoding_changed"    // body: quoted-printable or base64 was put on or taken off
	CauseDots          Cause = "dots_changed"        // body: dots at line starts were doubled or halved (RFC 5321 §4.5.2)
	CauseFromQuoted    Cause = "from_quoted"         // body: "From " at line starts became ">From ", or the reverse
	CauseLinesBroken   Cause = "lines_broken"        // body: long lines were broken

	CauseNotThisKey     Cause = "not_this_key"      // b= was not made with the published key, or was changed
	CauseOtherHash      Cause = "other_hash"        // the key signed a digest of another kind than a= says
	CauseFieldAdded     Cause = "field_added"       // header: a field was added that h= selects
	CauseFieldRemoved   Cause = "field_removed"     // header: a signed field is gone; never proven
	CauseFieldRewritten Cause = "field_rewritten"   // header: a field was replaced, the old one is kept under another name
	CauseSubjectTag     Cause = "subject_tag"       // header: the subject got a tag in front
	CauseFieldOrder     Cause = "field_order"       // header: fields of one name changed places, or the signer chose them from the top down
	CauseFolding        Cause = "folding_changed"   // header: fields were folded differently
	CauseNameCase       Cause = "name_case_changed" // header: a field name changed its letter case, under simple
	CauseHeaderChanged  Cause = "header_changed"    // header: this key signed other octets; which is not known

	CauseOtherCanonicalization Cause = "other_canonicalization" // the signer used the other canonicalisation than c= says
	CauseUnknown               Cause = "unknown"
)

// ErrOtherMessage: the message given to Explain does not have the signature that the result is about.
var ErrOtherMessage = errors.New("dkim: the message does not have that signature")

// Explanation says what likely broke a signature.
type Explanation struct {
	Cause Cause // "" when the result's reason is no mismatch: it says it all

	// Proven: undoing the change gives octets that hash to bh= or that b= signs, or, of a key, that its public operation shows it.
	// Otherwise the cause is what other signs in the message point to.
	Proven bool

	Text    string             // for a person; may quote the message, shortened and without control characters
	Headers []HeaderDifference // of either mismatch
}

// Explain looks for what broke the signature that a result of VerifyMessage is about. It explains ReasonBodyHashMismatch and
// ReasonSignatureMismatch; for every other result it returns the zero Explanation, without reading anything. The message is
// opened once or twice, read as VerifyMessage reads it and never held as a whole; the time taken is linear in its size, and
// bodies beyond MaxExplainedBody are not looked through. The key is looked up again with opts.Resolver.
//
// The error is ErrOtherMessage, ErrHeaderTooLarge, the context's or the reader's.
func Explain(ctx context.Context, open func() (io.ReadCloser, error), opts VerifyOptions, result Result) (Explanation, error) {
	switch result.Reason {
	case ReasonBodyHashMismatch, ReasonSignatureMismatch:
	default:
		return Explanation{}, nil
	}
	x := &explainer{v: NewVerifier(opts), result: result, open: open}
	if result.Reason == ReasonSignatureMismatch {
		if err := x.pass(ctx, nil); err != nil {
			return Explanation{}, err
		}
		return x.explainHeader(ctx), nil
	}
	e, err := x.explainBody(ctx)
	if err != nil {
		return Explanation{}, err
	}
	e.Headers = x.v.block.headerDifferences(x.sig)
	e.Text += " " + x.headerBeside(ctx)
	return e, nil
}

// headerBeside says what became of the header of a message whose body was changed: lists change both.
func (x *explainer) headerBeside(ctx context.Context) string {
	k := x.readKeys(ctx)
	if k.keys == 0 {
		return "The key can no longer be read, so nothing can be said of the header."
	}
	if k.signs(x.digest(x.selection(-1, false), x.sig.header, nil)) {
		return "The header is as it was signed."
	}
	if e := x.headerCause(&k, x.v.block.headerDifferences(x.sig)); e.Proven && e.Cause != CauseHeaderChanged {
		return e.Text
	}
	return "The header, or the signature itself, changed as well."
}

// explainer is the work on one signature.
type explainer struct {
	v      *Verifier
	result Result
	open   func() (io.ReadCloser, error)

	sig    *signature // found by the first pass
	trials int        // header hypotheses tried

	spell   []byte // for a hypothesis: the name of field spelled, in another letter case
	spelled int
}

// pass reads the message. The header goes to the Verifier the first time; the body to the function, nil = stop after the
// header.
func (x *explainer) pass(ctx context.Context, body func(chunk []byte)) error {
	r, err := x.open()
	if err != nil {
		return fmt.Errorf("dkim: open the message: %w", err)
	}
	defer r.Close()
	src := &contextReader{ctx: ctx, r: r}
	known := x.sig != nil
	var find error
	m := messageReader{
		field: func(raw []byte) error {
			if known {
				return nil
			}
			if err := x.v.Header(raw); !errors.Is(err, ErrFieldSyntax) {
				return err
			}
			return nil
		},
		body: func(chunk []byte) {
			if x.sig == nil && find == nil {
				find = x.find()
			}
			if find != nil || body == nil {
				src.stop = true
				return
			}
			body(chunk)
		},
	}
	if err := m.read(src); err != nil {
		return err
	}
	if x.sig == nil && find == nil {
		find = x.find()
	}
	return find
}

// find picks the signature of the result.
func (x *explainer) find() error {
	x.v.EndOfHeaders()
	i := x.result.Index
	if i < 0 || i >= len(x.v.sigs) {
		return ErrOtherMessage
	}
	s := &x.v.sigs[i]
	if s.bTo == 0 || len(s.b) == 0 || !s.canonical || s.domain != x.result.Domain || s.selector != x.result.Selector {
		return ErrOtherMessage
	}
	x.sig = s
	return nil
}

// contextReader ends when the context does, or early when it is told to.
type contextReader struct {
	ctx  context.Context
	r    io.Reader
	stop bool
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	if c.stop {
		return 0, io.EOF
	}
	return c.r.Read(p)
}

// quote shortens foreign text for a sentence.
func quote(b []byte) string { return "“" + strings.TrimSpace(printable(b)) + "”" }

// printable shortens foreign text and takes out what could act on a terminal or turn a line around.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(excerpt(b), "?"))
}

// counted gives a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// were is counted with its verb.
func were(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " was"
	}
	return counted(n, noun) + " were"
}
