package dkim

import "unicode/utf8"

// appendDomain appends the name in lower case with every U-label as an A-label (RFC 8616 §4), and reports whether it is a
// name that can stand in d= or s=: labels of letters, digits, hyphens and underscores (seen in real selectors) or UTF-8,
// none empty, none over 63 octets, 253 together. U-labels are taken as normalised already, as RFC 5890 asks of them.
func appendDomain(dst, name []byte) ([]byte, bool) {
	if len(name) == 0 || len(name) > 4*maxDomainBytes {
		return dst, false
	}
	base, label, wide := len(dst), 0, false
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '.' {
			c := name[i]
			switch {
			case c >= utf8.RuneSelf:
				wide = true
			case !isAlnum(c) && c != '-' && c != '_':
				return dst, false
			}
			continue
		}
		start := len(dst)
		if wide {
			var ok bool
			if dst, ok = appendALabel(dst, name[label:i]); !ok {
				return dst, false
			}
		} else {
			for _, c := range name[label:i] {
				dst = append(dst, lower(c))
			}
		}
		if n := len(dst) - start; n == 0 || n > maxLabelBytes {
			return dst, false
		}
		if i < len(name) {
			dst = append(dst, '.')
		}
		label, wide = i+1, false
	}
	return dst, len(dst)-base <= maxDomainBytes
}

// underOrEqual reports whether name is domain or below it; both are in the form of appendDomain.
func underOrEqual[N, D []byte | string](name N, domain D) bool {
	n := len(name) - len(domain)
	return n >= 0 && string(name[n:]) == string(domain) && (n == 0 || name[n-1] == '.')
}

func isAlpha(c byte) bool { return lower(c) >= 'a' && lower(c) <= 'z' }

func isAlnum(c byte) bool { return isAlpha(c) || c >= '0' && c <= '9' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}
