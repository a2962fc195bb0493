package dkim

import "encoding/base64"

// appendBase64 decodes a base64string of RFC 6376 §3.2 into dst: folding white space between the characters, padding
// optional as its ABNF has it. Not ok means other characters, wrong padding or more than maxKeyBytes.
func appendBase64(dst, text []byte) (out []byte, ok bool) {
	// The characters are gathered behind dst and decoded where they stand: decoding writes behind where it reads.
	base, padding := len(dst), 0
	for _, c := range text {
		switch {
		case isSpace(c):
		case c == '=':
			padding++
		case padding > 0:
			return dst[:base], false
		default:
			dst = append(dst, c)
		}
	}
	chars := dst[base:]
	if padding > 0 && (len(chars)+padding)%4 != 0 || padding > 2 || base64.RawStdEncoding.DecodedLen(len(chars)) > maxKeyBytes {
		return dst[:base], false
	}
	n, err := base64.RawStdEncoding.Decode(chars, chars)
	if err != nil {
		return dst[:base], false
	}
	return dst[:base+n], true
}
