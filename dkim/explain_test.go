package dkim

import (
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"
)

// explainedHeader and explainedBody have something for every kind of change.
const explainedHeader = "From: Joe <joe@sign.example>\r\nTo: a@receive.example,\r\n\tb@receive.example\r\nSubject: Re: hello  there\r\n" +
	"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nReceived: x\r\nReceived: y\r\nMIME-Version: 1.0\r\n"

const explainedBody = "Dear all,\r\n\r\nFrom now on we meet on Monday. \r\n.hidden\r\nGr\xc3\xbc\xc3\x9fe from  here = there\r\n-- \r\nJoe\r\n"

// opener hands out the message any number of times.
func opener(message string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(message)), nil }
}

// explained verifies and explains the first signature of a message.
func explained(t testing.TB, message string, opts VerifyOptions) (Result, Explanation) {
	t.Helper()
	results, err := VerifyMessage(t.Context(), strings.NewReader(message), opts)
	if err != nil || len(results) == 0 {
		t.Fatal(results, err)
	}
	e, err := Explain(t.Context(), opener(message), opts, results[0])
	if err != nil {
		t.Fatal(err)
	}
	return results[0], e
}

func toQuotedPrintable(body string) string {
	var out strings.Builder
	w := quotedprintable.NewWriter(&out)
	io.WriteString(w, body)
	w.Close()
	return out.String()
}

func toBase64(body string) string {
	text, out := base64.StdEncoding.EncodeToString([]byte(body)), ""
	for len(text) > 0 {
		n := min(76, len(text))
		out, text = out+text[:n]+"\r\n", text[n:]
	}
	return out
}

// TestExplainBody signs a body and mails another one.
func TestExplainBody(t *testing.T) {
	key := ed25519Key(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, key)}, Now: func() time.Time { return time.Unix(1700000000, 0) }}
	replace := func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
	const multipart = "--b1\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe = x\r\n--b1\r\nContent-Type: text/plain\r\n\r\nplain = text\r\n--b1--\r\n"
	long := strings.Repeat("word ", 300) + "end\r\nshort\r\n"
	breakAt := func(n int, mark, indent string) func(string) string {
		return func(body string) string {
			out := ""
			for line := range strings.SplitAfterSeq(body, "\r\n") {
				for len(line) > n+2 {
					out, line = out+line[:n]+mark+"\r\n"+indent, line[n:]
				}
				out += line
			}
			return out
		}
	}
	for _, test := range []struct {
		name   string
		c      string // canonicalisation of the body; "" = both
		body   string // "" = explainedBody
		change func(string) string
		want   Cause
		proven bool
		text   string // is in the text
	}{
		{"footer", "", "", func(b string) string { return b + "\r\n____\r\nlist footer\r\n" }, CauseTextAppended, true, "3 lines were added at the end after signing, 21 octets; the first with text is “____”."},
		{"footer of one line without line end", "", "", func(b string) string { return b + "bye\x1b[31m" }, CauseTextAppended, true, "1 line was added at the end after signing, 10 octets; the first with text is “bye [31m”"},
		{"footer behind an unfinished line", "", "Hello", func(b string) string { return b + "\r\nbye\r\n" }, CauseTextAppended, true, "“bye”"},
		{"all of it", "", "\r\n\r\n", func(string) string { return "text\r\nmore\r\n" }, CauseTextAppended, true, "all of its 2 lines (12 octets)"},
		{"banner", "", "", func(b string) string { return "\r\nCAUTION: external\r\n\r\n" + b }, CauseTextPrepended, true, "3 lines were added at the top after signing; the first with text is “CAUTION: external”"},
		{"banner and footer", "", "", func(b string) string {
			return "--b\r\nContent-Type: text/plain\r\n\r\n" + b + "--b\r\n\r\nfooter\r\n--b--\r\n"
		}, CauseTextAppended, true, "3 lines were added at the top and 4 lines at the end after signing; the first with text at the end is “--b”"},
		{"a footer as a part", "", multipart, replace("\r\n--b1--", "\r\n--b1\r\n\r\nfooter\r\n--b1--"), CauseTextInserted, true, "3 lines were added after signing, between line 9 and the last line; the first with text is “--b1”."},
		{"a footer in HTML", "", "<html>\r\n<p>Hello</p>\r\n</body>\r\n</html>\r\n\r\n", replace("</body>", "\r\n<hr>\r\nfooter\r\n</body>"), CauseTextInserted, true, "3 lines were added after signing, between line 2 and the last 2 lines; the first with text is “<hr>”."},
		{"a banner in a part", "", multipart + strings.Repeat("more\r\n", 20), replace("8bit\r\n\r\n", "8bit\r\n\r\n\r\nCAUTION\r\nexternal\r\n"), CauseTextInserted, true, "3 lines were added after signing, between line 4 and the last 26 lines; the first with text is “CAUTION”."},
		{"a line in the middle", "", strings.Repeat("a\r\nb\r\n", 20), func(b string) string { return b[:60] + "c\r\n" + b[60:] }, CauseUnknown, false, ""},
		{"blank line on top", "", "", func(b string) string { return "\r\n" + b }, CauseTextPrepended, true, "1 line was added at the top after signing."},
		{"spaces at line ends", "simple", "", replace("Monday. ", "Monday.  ", "all,", "all,\t"), CauseUnknown, false, ""},
		{"spaces at one line end", "simple", "", replace("all,", "all, \t"), CauseWhiteSpace, true, "added in line 1"},
		{"a wider space", "simple", "", replace("we meet", "we  meet"), CauseWhiteSpace, true, "added in line 3"},
		{"a space lost", "", "", replace("we meet", "wemeet"), CauseWhiteSpace, true, "taken away in line 3"},
		{"a space too many", "", "", replace("Monday", "Mon day"), CauseWhiteSpace, true, "added in line 3"},
		{"lines glued", "", "", replace("hidden\r\n", "hidden"), CauseLineEnds, true, "Line 4 was two lines"},
		{"lines glued with a space", "", "", replace("hidden\r\n", "hidden "), CauseLineEnds, true, "Line 4 was two lines"},
		{"a line broken", "", "", replace("hidden", "hid\r\nden"), CauseLinesBroken, true, "Line 4 was broken in two"},
		{"a line broken at a space", "", "", replace("we meet", "we\r\nmeet"), CauseLinesBroken, true, "Line 3 was broken in two"},
		{"spaces at line ends, none before", "simple", "Hello\r\nthere\r\n", replace("\r\n", "  \r\n"), CauseWhiteSpace, true, "at line ends"},
		{"dash dash space", "simple", "", replace("-- \r", "--\r"), CauseWhiteSpace, true, "“--”"},
		{"wider spaces", "simple", "Hello there\r\n", replace(" ", " \t "), CauseWhiteSpace, true, ""},
		{"dots doubled", "", "", replace("\n.", "\n.."), CauseDots, true, "doubled"},
		{"dots halved", "", "..a\r\n..b\r\nc\r\n", replace("..", "."), CauseDots, true, "halved"},
		{"From quoted", "", "", replace("\nFrom ", "\n>From "), CauseFromQuoted, true, "became “>From ”"},
		{"From unquoted", "", "Hello\r\n>From me\r\n", replace(">From", "From"), CauseFromQuoted, true, "became “From ”"},
		{"bare LF", "", "", replace("all,\r\n", "all,\n"), CauseLineEnds, true, ""},
		{"bare CR", "", "", replace("hidden\r\n", "hidden\r"), CauseLineEnds, true, ""},
		{"CR CR LF", "", "", replace("\r\n", "\r\r\n"), CauseLineEnds, true, ""},
		{"completed LF", "simple", "a\nb\nc", replace("\n", "\r\n"), CauseLineEnds, true, "completed"},
		{"completed CR and LF, mixed", "", "a\nb\rc\nd\r\ne\r\n", strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n", "\r", "\r\n").Replace, CauseUnknown, false, ""},
		{"quoted-printable", "", "", toQuotedPrintable, CauseEncoding, true, "encoded as quoted-printable"},
		{"quoted-printable, long lines", "", long, toQuotedPrintable, CauseEncoding, true, "encoded as quoted-printable"},
		{"from quoted-printable", "", toQuotedPrintable(explainedBody), func(string) string { return explainedBody }, CauseEncoding, true, "decoded from quoted-printable"},
		{"base64", "", "", toBase64, CauseEncoding, true, "encoded as base64"},
		{"from base64", "", toBase64(explainedBody), func(string) string { return explainedBody }, CauseEncoding, true, "decoded from base64"},
		{"quoted-printable parts", "", multipart, replace("8bit", "quoted-printable", "Gr\xc3\xbc\xc3\x9fe = x", "Gr=C3=BC=C3=9Fe =3D x"), CauseEncoding, true, "Parts"},
		{"broken lines", "", long, breakAt(200, "", ""), CauseLinesBroken, true, "Long lines"},
		{"broken lines as Postfix does", "", long, breakAt(998, "", " "), CauseLinesBroken, true, "Long lines"},
		{"broken lines as sendmail does", "", long, breakAt(990, "!", " "), CauseLinesBroken, true, "Long lines"},
		{"wrapped paragraphs", "", "one " + strings.Repeat("x", 60) + " two\r\n\r\nthree\r\n", replace(" two", "\r\ntwo"), CauseLinesBroken, true, "Paragraphs"},
		{"another word", "", "", replace("Monday", "Tuesday"), CauseUnknown, false, ""},
		{"empty", "", "", func(string) string { return "" }, CauseUnknown, false, ""},
	} {
		for _, c := range []string{"simple", "relaxed"} {
			if test.c != "" && test.c != c {
				continue
			}
			body := test.body
			if body == "" {
				body = explainedBody
			}
			// The body travels unchanged through the reference, so that odd ones can be signed.
			signed := referenceSign(t, key, explainedHeader+"\r\n"+body, "v=1; a=ed25519-sha256; c=relaxed/"+c+"; d=sign.example; s=s; h=from:to:subject; bh=; b=")
			header, _, _ := strings.Cut(signed, "\r\n\r\n")
			r, e := explained(t, header+"\r\n\r\n"+test.change(body), opts)
			if r.Reason != ReasonBodyHashMismatch || e.Cause != test.want || e.Proven != test.proven || !strings.Contains(e.Text, test.text) {
				t.Errorf("%s/%s: %q: %s, proven %t: %q; want %s, %t: %q", test.name, c, string(r.Reason), e.Cause, e.Proven, e.Text, test.want, test.proven, test.text)
			}
			if !strings.HasSuffix(e.Text, "The header is as it was signed.") {
				t.Errorf("%s/%s: nothing about the header: %q", test.name, c, e.Text)
			}
		}
	}
}

// TestExplainWithLength: with l= the hypotheses are held against the octets that it counts.
func TestExplainWithLength(t *testing.T) {
	key := ed25519Key(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, key)}}
	const body = "Hello\r\n.there\r\nmore\r\n"
	signed := referenceSign(t, key, explainedHeader+"\r\n"+body, "v=1; a=ed25519-sha256; c=relaxed/simple; d=sign.example; s=s; l=15; h=from:subject; bh=; b=")
	for changed, want := range map[string]Cause{
		"Hello\r\n..there\r\nmore\r\nfooter\r\n": CauseDots,
		"Hallo\r\n.there\r\nmore\r\nfooter\r\n":  CauseUnknown,
		"banner\r\n" + body:                      CauseUnknown,
	} {
		r, e := explained(t, strings.TrimSuffix(signed, body)+changed, opts)
		if r.Reason != ReasonBodyHashMismatch || e.Cause != want || e.Proven != (want != CauseUnknown) {
			t.Errorf("%q: %q, %+v; want %s", changed, string(r.Reason), e, want)
		}
	}
}

// TestExplainSigners: signers that do not hash what the RFC says.
func TestExplainSigners(t *testing.T) {
	key := ed25519Key(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, key)}}
	for _, test := range []struct {
		name, c, body, hashed string
		want                  Cause
		text                  string
	}{
		{"simple for relaxed", "relaxed", "a  b \r\n", "a  b \r\n", CauseOtherCanonicalization, "simple body canonicalisation"},
		{"relaxed for simple", "simple", "a  b \r\n", "a b\r\n", CauseWhiteSpace, "the signer used relaxed"},
		{"no last line end", "simple", "a\r\nb", "a\r\nb", CauseFinalLineEnd, "without a last line end"},
		{"no last line end", "relaxed", "a\r\nb\r\n", "a\r\nb", CauseFinalLineEnd, "without a last line end"},
		{"blank lines", "relaxed", "a\r\n\r\n\r\n", "a\r\n\r\n\r\n", CauseFinalLineEnd, "2 blank lines"},
		{"one blank line, taken away since", "simple", "a\r\n", "a\r\n\r\n", CauseFinalLineEnd, "1 blank line at"},
		{"empty", "simple", "", "", CauseFinalLineEnd, "without a last line end"},
		{"empty", "relaxed", "", "\r\n", CauseFinalLineEnd, "a line end for the empty body"},
		{"bare LF", "simple", "a\r\nb\r\n", "a\nb\n", CauseLineEnds, "bare LF"},
		{"bare LF", "relaxed", "a \r\n\r\nb\r\n", "a\n\nb\n", CauseLineEnds, "bare LF"},
	} {
		signed := referenceSign(t, key, explainedHeader+"\r\n"+test.body, "v=1; a=ed25519-sha256; c=relaxed/"+test.c+"; d=sign.example; s=s; h=from:to:subject; bh="+sum64(test.hashed)+"; b=")
		r, e := explained(t, signed, opts)
		if r.Reason != ReasonBodyHashMismatch || e.Cause != test.want || !e.Proven || !strings.Contains(e.Text, test.text) {
			t.Errorf("%s/%s: %q: %s, proven %t: %q; want %s: %q", test.name, test.c, string(r.Reason), e.Cause, e.Proven, e.Text, test.want, test.text)
		}
	}
}

// TestExplainWithoutProof: what the message itself points to.
func TestExplainWithoutProof(t *testing.T) {
	key := ed25519Key(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, key)}}
	const parts = "Content-Type: multipart/mixed;\r\n boundary=\"b 1\"\r\n"
	for _, test := range []struct {
		name, header, body, changed string
		want                        Cause
	}{
		{"cut short", parts, "--b 1\r\n\r\ntext\r\n--b 1--\r\n", "--b 1\r\n\r\nte", CauseBodyTruncated},
		{"changed within", parts, "--b 1\r\n\r\ntext\r\n--b 1--\r\n", "--b 1\r\n\r\ntesx\r\n--b 1--\r\n", CauseUnknown},
		{"converted", "X-MIME-Autoconverted: from 8bit\r\n", "a\r\n", "b\r\n", CauseEncoding},
		{"list", "List-Id: <x.example>\r\n", "a\r\n", "b\r\n_____\r\nlist\r\n", CauseTextAppended},
		{"list, nested", "List-Id: <x.example>\r\n" + parts, "--b 1\r\n", "--b 1\r\nb\r\n_____\r\nlist\r\n--b 1\r\nmore\r\n", CauseTextAppended},
		{"no list", "", "a\r\n", "b\r\n_____\r\nlist\r\n", CauseUnknown},
	} {
		if test.name == "list, nested" {
			test.body = "--b 1\r\nc\r\n"
		}
		signed := referenceSign(t, key, test.header+explainedHeader+"\r\n"+test.body, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=sign.example; s=s; h=from:to:subject; bh=; b=")
		if _, e := explained(t, strings.TrimSuffix(signed, test.body)+test.changed, opts); e.Cause != test.want || e.Proven {
			t.Errorf("%s: %s, proven %t: %q; want %s", test.name, e.Cause, e.Proven, e.Text, test.want)
		}
	}
}

// TestExplainNothing: what is no mismatch is not explained, and another message is told apart.
func TestExplainNothing(t *testing.T) {
	key := ed25519Key(t)
	opts := VerifyOptions{Resolver: fixed{recordOf(t, key)}}
	signed := referenceSign(t, key, reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from; bh=; b=")
	never := func() (io.ReadCloser, error) { t.Error("opened"); return nil, io.EOF }
	for _, reason := range []Reason{"", ReasonNoKey, ReasonExpired, ReasonBodyLengthShort} {
		if e, err := Explain(t.Context(), never, opts, Result{Reason: reason}); err != nil || e.Cause != "" || e.Text != "" || e.Proven {
			t.Errorf("%q: %+v, %v", string(reason), e, err)
		}
	}
	for name, result := range map[string]Result{
		"index":     {Reason: ReasonBodyHashMismatch, Index: 1, Domain: "sign.example", Selector: "s"},
		"minus one": {Reason: ReasonSignatureMismatch, Index: -1, Domain: "sign.example", Selector: "s"},
		"domain":    {Reason: ReasonSignatureMismatch, Domain: "other.example", Selector: "s"},
		"selector":  {Reason: ReasonBodyHashMismatch, Domain: "sign.example", Selector: "t"},
	} {
		if _, err := Explain(t.Context(), opener(signed), opts, result); !errors.Is(err, ErrOtherMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	failure := errors.New("gone")
	broken := func() (io.ReadCloser, error) { return nil, failure }
	if _, err := Explain(t.Context(), broken, opts, Result{Reason: ReasonSignatureMismatch}); !errors.Is(err, failure) {
		t.Error(err)
	}
}
