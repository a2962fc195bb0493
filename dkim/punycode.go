package dkim

import (
	"unicode"
	"unicode/utf8"
)

// The parameters of Punycode for IDNA (RFC 3492 §5).
const (
	punyBase, punyTMin, punyTMax  = 36, 1, 26
	punySkew, punyDamp            = 38, 700
	punyInitialBias, punyInitialN = 72, 0x80
	punyDigits                    = "abcdefghijklmnopqrstuvwxyz0123456789"
	punyPrefix                    = "xn--"
	punyLongestInput              = maxLabelBytes
)

// appendALabel appends the A-label of a label that has octets beyond ASCII (RFC 3492 §6.3), in lower case.
func appendALabel(dst, label []byte) ([]byte, bool) {
	if !utf8.Valid(label) {
		return dst, false
	}
	var store [punyLongestInput]rune
	runes := store[:0]
	for _, r := range string(label) {
		// Each rune becomes at least one octet of output, so a longer label cannot fit.
		if len(runes) == cap(runes) || !unicode.IsPrint(r) {
			return dst, false
		}
		runes = append(runes, unicode.ToLower(r))
	}
	dst = append(dst, punyPrefix...)
	basic := 0
	for _, r := range runes {
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
			basic++
		}
	}
	if basic > 0 {
		dst = append(dst, '-')
	}
	n, bias, delta := rune(punyInitialN), punyInitialBias, 0
	for done := basic; done < len(runes); {
		next := rune(unicode.MaxRune)
		for _, r := range runes {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (done + 1) // at most 0x10ffff × 63: no overflow
		n = next
		for _, r := range runes {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			dst = appendPunyInt(dst, delta, bias)
			bias = punyAdapt(delta, done+1, done == basic)
			delta = 0
			done++
		}
		delta++
		n++
	}
	return dst, true
}

// appendPunyInt appends delta as a generalised variable-length integer (RFC 3492 §3.3).
func appendPunyInt(dst []byte, delta, bias int) []byte {
	for k := punyBase; ; k += punyBase {
		t := min(max(k-bias, punyTMin), punyTMax)
		if delta < t {
			return append(dst, punyDigits[delta])
		}
		dst = append(dst, punyDigits[t+(delta-t)%(punyBase-t)])
		delta = (delta - t) / (punyBase - t)
	}
}

// punyAdapt is the bias adaptation of RFC 3492 §6.1.
func punyAdapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > (punyBase-punyTMin)*punyTMax/2 {
		delta /= punyBase - punyTMin
		k += punyBase
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}
