package mtalog

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxText is the length of a shown reply in octets: that of Microsoft, which ends with what passed, fits.
	MaxText = 400
	// maxReply is how much of a reply is looked at.
	maxReply = 4 << 10
)

// reply is what a receiver answered.
type reply struct {
	status  int    // 421, 550
	code    string // enhanced status code, "" when it has none
	subject int    // of code; 7 is security and policy (RFC 3463 §3.8)
	detail  int
	text    string // the lines without their codes, joined
}

// readReply reads a reply whose lines an MTA has joined: "550-5.7.26 One 550-5.7.26 550 5.7.26 two".
func readReply(said string) (r reply) {
	said = strings.ToValidUTF8(said[:min(len(said), maxReply)], "")
	words := strings.FieldsFunc(said, func(c rune) bool { return unicode.IsSpace(c) || isOdd(c) })
	var text []string
	for i := 0; i < len(words); i++ {
		status, code, glued := lead(words[i])
		next := i + 1
		if code == "" && glued == "" && next < len(words) && isEnhanced(words[next]) { // "550 5.7.26", the last line or the only one
			code = words[next]
			next++
		}
		switch {
		case i == 0:
			if r.status = status; status == 0 {
				return r
			}
			r.setCode(code)
		case status != r.status || code != r.code || code == "" && words[i][3:] == "": // not the beginning of one more line, or it cannot be told
			text = append(text, words[i])
			continue
		}
		if glued != "" {
			text = append(text, glued)
		}
		i = next - 1
	}
	r.text = strings.Join(text, " ")
	return r
}

func (r *reply) setCode(code string) {
	if r.code = code; code == "" {
		return
	}
	parts := strings.Split(code, ".")
	r.subject, _ = strconv.Atoi(parts[1])
	r.detail, _ = strconv.Atoi(parts[2])
}

// lead reads the word that begins a line of a reply: "550", "550-5.7.26", "550-Text".
func lead(word string) (status int, code, glued string) {
	if len(word) < 3 || !isDigit(word[0]) || !isDigit(word[1]) || !isDigit(word[2]) {
		return 0, "", ""
	}
	n := int(word[0]-'0')*100 + int(word[1]-'0')*10 + int(word[2]-'0')
	switch {
	case n < 200 || n > 599:
		return 0, "", ""
	case len(word) == 3:
		return n, "", ""
	case word[3] != '-':
		return 0, "", ""
	case isEnhanced(word[4:]):
		return n, word[4:], ""
	}
	return n, "", word[4:]
}

// isEnhanced reports whether a word is an enhanced status code: class, subject and detail (RFC 3463 §2).
func isEnhanced(word string) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || parts[0][0] != '4' && parts[0][0] != '5' {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.TrimLeft(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// shownCode is the code that names the refusal.
func (r reply) shownCode() string {
	if r.code != "" {
		return r.code
	}
	return strconv.Itoa(r.status)
}

// shown makes a reply fit to be kept and shown: without the local parts of addresses, without Gmail's number of the transaction, and short.
func shown(text string) string {
	words := strings.Fields(text)
	if n := len(words); n > 3 && words[n-1] == "gsmtp" && words[n-2] == "-" {
		words = words[:n-3]
	}
	for i, w := range words {
		if at := strings.LastIndexByte(w, '@'); at >= 0 {
			words[i] = "…" + w[at:]
		}
	}
	text = strings.Join(words, " ")
	if len(text) <= MaxText {
		return text
	}
	cut := MaxText - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// isOdd reports whether a character does something to a terminal or a reader instead of being shown: controls, marks of direction, unassigned ones.
func isOdd(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }
