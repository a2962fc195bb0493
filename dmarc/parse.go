package dmarc

import (
	"slices"
	"strings"
)

const (
	// maxTags bounds the work on one record; RFC 9989 has eleven.
	maxTags = 100
	// wsp is white space around tags, values and separators (RFC 9989 §4.8).
	wsp = " \t"
)

// IsRecord reports whether a TXT record is meant to be a DMARC record: it begins with v=DMARC1. Others at the same name
// are passed over (RFC 9989 §4.10).
func IsRecord(txt string) bool {
	_, ok := afterVersion(txt)
	return ok
}

// afterVersion returns what follows the version tag and its separator. We interpret tag names without regard to case, as
// the grammar's literals are (RFC 5234 §2.3); the value DMARC1 is written with its octets and is not.
func afterVersion(txt string) (string, bool) {
	first, rest, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(first, "=")
	return rest, ok && strings.EqualFold(strings.TrimRight(name, wsp), "v") && strings.Trim(value, wsp) == "DMARC1"
}

// Parse reads a record. Tags that it does not know are passed over and listed in Unknown; values that are wrong take
// their defaults and are listed in Ignored (RFC 9989 §4.8).
//
// The error is an *Error that unwraps to ErrNotDMARC, ErrTooLong or ErrDuplicateTag; the record is nil then. With
// ErrNoPolicy the record is there, since its psd tag still counts in a tree walk.
func Parse(txt string) (*Record, error) {
	if len(txt) > MaxRecord {
		return nil, &Error{Err: ErrTooLong}
	}
	rest, ok := afterVersion(txt)
	if !ok {
		return nil, &Error{Err: ErrNotDMARC}
	}
	r := &Record{}
	seen := []string{"v"}
	for part := range strings.SplitSeq(rest, ";") {
		if strings.Trim(part, wsp) == "" {
			continue // one after the last tag is allowed, and others do no harm
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToLower(strings.Trim(name, wsp))
		if !ok || !isTagName(name) {
			r.ignore(name, "not a tag with a value")
			continue
		}
		if slices.Contains(seen, name) {
			return nil, &Error{Err: ErrDuplicateTag, Where: name}
		}
		if seen = append(seen, name); len(seen) > maxTags {
			return nil, &Error{Err: ErrTooLong, Detail: "too many tags"}
		}
		r.set(name, strings.Trim(value, wsp))
	}
	if !r.usable() {
		return r, &Error{Err: ErrNoPolicy}
	}
	return r, nil
}

func isTagName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && s[0] >= 'a'
}

func (r *Record) ignore(tag, detail string) {
	r.Ignored = append(r.Ignored, &Error{Err: errSyntax, Where: tag, Detail: detail})
}

// set takes over one tag.
func (r *Record) set(name, value string) {
	policy := func(into *Policy) {
		switch p := Policy(strings.ToLower(value)); p {
		case PolicyNone, PolicyQuarantine, PolicyReject:
			*into = p
		default:
			// RFC 9989 §4.10.1 asks for the same in all three: no enforcement on a record with a slip in it.
			r.policyBroken = true
			r.ignore(name, "not none, quarantine or reject")
		}
	}
	mode := func(into *Mode) {
		switch m := Mode(strings.ToLower(value)); m {
		case Relaxed, Strict:
			*into = m
		default:
			r.ignore(name, "neither r nor s")
		}
	}
	switch name {
	case "p":
		policy(&r.Policy)
	case "sp":
		policy(&r.Subdomains)
	case "np":
		policy(&r.Nonexistent)
	case "adkim":
		mode(&r.DKIM)
	case "aspf":
		mode(&r.SPF)
	case "rua":
		r.Aggregate = r.uris(name, value)
	case "ruf":
		r.Failure = r.uris(name, value)
	case "fo":
		r.failureOptions(value)
	case "psd":
		switch p := PSD(strings.ToLower(value)); p {
		case PSDYes, PSDNo, PSDUnknown:
			r.PSD = p
		default:
			r.ignore(name, "none of y, n and u")
		}
	case "t":
		switch strings.ToLower(value) {
		case "y":
			r.Testing = true
		case "n":
		default:
			r.ignore(name, "neither y nor n")
		}
	default:
		r.Unknown = append(r.Unknown, name)
	}
}

func (r *Record) failureOptions(value string) {
	var options []FailureOption
	for word := range strings.SplitSeq(value, ":") {
		switch o := FailureOption(strings.ToLower(strings.Trim(word, wsp))); o {
		case FailureAll, FailureAny, FailureDKIM, FailureSPF:
			if !slices.Contains(options, o) {
				options = append(options, o)
			}
		default:
			r.ignore("fo", "not 0, 1, d or s with colons between")
			return
		}
	}
	r.FailureWhen = options
}
