package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func quoteASCII(s string) string { return strconv.QuoteToASCII(s) }

// What follows finds damage of the text as a whole, from before it is a list of tags, and gives the text without it. Each
// function reports what it saw in seen; an empty seen means that nothing was to be done.

// typographic are the quotes that word processors and web forms put in place of '"'.
const typographic = "“”„‟«»‹›‘’‚‛″′"

// withoutQuotes takes literal quotes out of everything but notes, which may hold them.
func withoutQuotes(text string) (mended, seen string) {
	isQuote := func(r rune) bool { return r == '"' || r == '\'' || r == '`' || strings.ContainsRune(typographic, r) }
	return eachPiece(text, func(piece string) (string, string) {
		i := strings.IndexFunc(piece, isQuote)
		if i < 0 {
			return piece, ""
		}
		r, _ := utf8.DecodeRuneInString(piece[i:])
		piece = strings.NewReplacer(`\"`, "", `\'`, "").Replace(piece)
		return strings.Map(func(r rune) rune {
			if isQuote(r) {
				return -1
			}
			return r
		}, piece), string(r)
	})
}

// withoutEscapes takes away the backslashes before semicolons that belong to zone files, not to records.
func withoutEscapes(text string) (mended, seen string) {
	if !strings.Contains(text, `\;`) {
		return text, ""
	}
	return strings.ReplaceAll(text, `\;`, ";"), `\;`
}

// retyped replaces characters that are no printable ASCII: look-alikes by what they stand for, spaces by spaces, the rest by nothing.
// Folding (CRLF and white space) and tabs may stay.
func retyped(text string) (mended string, seen []rune) {
	looks := map[rune]string{'；': ";", '＝': "=", '：': ":", '＋': "+", '／': "/", '\u037e': ";", '\u2044': "/", '\u2215': "/"}
	text = strings.ToValidUTF8(text, "\ufffd")
	var b strings.Builder
	for i, r := range text {
		switch {
		case r >= ' ' && r < 0x7f, r == '\t':
			b.WriteRune(r)
			continue
		case r == '\r' && folds(text[i:]), r == '\n' && i > 0 && text[i-1] == '\r' && folds(text[i-1:]):
			b.WriteRune(r)
			continue
		case looks[r] != "":
			b.WriteString(looks[r])
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		}
		if !slices.Contains(seen, r) {
			seen = append(seen, r)
		}
	}
	return b.String(), seen
}

// folds reports whether s begins with CRLF and white space.
func folds(s string) bool {
	return len(s) > 2 && s[:2] == "\r\n" && (s[2] == ' ' || s[2] == '\t')
}

// characters names code points for people.
func characters(list []rune) string {
	const most = 4
	names := map[rune]string{
		'\n': "line feed", '\r': "carriage return", 0: "NUL", 0xa0: "no-break space", 0x200b: "zero-width space", 0x200c: "zero-width non-joiner",
		0x200d: "zero-width joiner", 0xfeff: "byte order mark", 0xad: "soft hyphen", 0xfffd: "octets that are no UTF-8", 0x2028: "line separator",
	}
	var words []string
	for _, r := range list[:min(len(list), most)] {
		word := fmt.Sprintf("U+%04X", r)
		if name := names[r]; name != "" {
			word += " (" + name + ")"
		} else if unicode.IsPrint(r) {
			word += " (" + string(r) + ")"
		}
		words = append(words, word)
	}
	if len(list) > most {
		words = append(words, fmt.Sprintf("%d more", len(list)-most))
	}
	return strings.Join(words, ", ")
}

// armour is the frame of PEM, with or without the white space that got lost on the way.
var armour = regexp.MustCompile(`-{2,}\s*(BEGIN|END)([A-Z0-9 \t\r\n]*?)-{2,}`)

// withoutArmour takes PEM lines away and says what they framed.
func withoutArmour(text string) (mended, seen string) {
	found := armour.FindStringSubmatch(text)
	if found == nil {
		return text, ""
	}
	return armour.ReplaceAllString(text, ""), strings.Join(strings.Fields(found[2]), " ")
}

// swallowed is a tag inside the value of another: behind white space or a comma in most values, behind white space in p=.
var swallowed = regexp.MustCompile(`[\s,:]+([` + keyTags + `g])\s*=`)

// separated puts semicolons where tags were swallowed. A tag that the record has elsewhere is left where it is: it may be part of a note.
func separated(text string) (mended, seen string) {
	have := scanTags(text)
	var out []string
	for _, t := range have {
		if t.text == "" {
			continue
		}
		piece := t.text
		for t.whole {
			at := missingSeparator(piece, have)
			if at == nil {
				break
			}
			if seen == "" {
				seen = strings.Trim(piece[at[2]:], white)
			}
			out = append(out, strings.TrimRight(piece[:at[0]], white))
			piece = piece[at[2]:]
		}
		out = append(out, piece)
	}
	if seen == "" {
		return text, ""
	}
	return strings.Join(out, "; "), seen
}

// missingSeparator finds a swallowed tag in a piece; the result is as regexp has it.
func missingSeparator(piece string, have tagList) []int {
	start := strings.IndexByte(piece, '=') + 1
	for start > 0 && start < len(piece) {
		at := swallowed.FindStringSubmatchIndex(piece[start:])
		if at == nil {
			return nil
		}
		for i := range at {
			at[i] += start
		}
		_, elsewhere := have.get(piece[at[2]:at[3]])
		rest := strings.TrimLeft(piece[at[1]:], white)
		// In base64 a letter and "=" may be the end of the key.
		padding := strings.HasPrefix(rest, "=") || rest == "" && strings.HasPrefix(strings.TrimLeft(piece, white), "p")
		if !elsewhere && !padding {
			return at
		}
		start = at[1]
	}
	return nil
}

// eachPiece applies a change to every piece but notes, and gives what the first of them saw.
func eachPiece(text string, change func(string) (mended, seen string)) (mended, seen string) {
	pieces := strings.Split(text, ";")
	for i, piece := range pieces {
		if name, _, ok := strings.Cut(piece, "="); ok && strings.Trim(name, white) == "n" {
			continue
		}
		changed, what := change(piece)
		if pieces[i] = changed; seen == "" {
			seen = what
		}
	}
	return strings.Join(pieces, ";"), seen
}
