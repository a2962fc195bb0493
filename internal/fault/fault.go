// Package fault is the one kind of error that crosses floors with a meaning: a stable code for programs,
// a sentence that is safe to show to anyone, and a hint that says what to do.
//
// Wrap an error where the cause is known and a person must act; pass others up with fmt.Errorf and %w.
package fault

import (
	"errors"
	"fmt"
)

// Code says what kind of trouble it is. The HTTP API and the exit status derive from it.
type Code string

// The codes. They are part of the API; never reuse a word for another meaning.
const (
	Invalid         Code = "invalid"         // the request itself is wrong
	NotFound        Code = "not_found"       // the thing named does not exist
	Conflict        Code = "conflict"        // the state changed, or somebody else owns it
	Denied          Code = "denied"          // known caller, not allowed
	Unauthenticated Code = "unauthenticated" // unknown caller
	Expired         Code = "expired"         // was valid once
	Unavailable     Code = "unavailable"     // try again later
	Internal        Code = "internal"        // our own mistake
)

// HTTPStatus is the status that an answer with this trouble has (RFC 9110 §15). It is a number here, so that nothing of HTTP comes along with this package.
func (c Code) HTTPStatus() int {
	switch c {
	case Invalid:
		return 400
	case Unauthenticated:
		return 401
	case Denied:
		return 403
	case NotFound:
		return 404
	case Conflict:
		return 409
	case Expired:
		return 410
	case Unavailable:
		return 503
	default:
		return 500
	}
}

// Error carries a code, a sentence safe to show, and a hint what to do about it.
type Error struct {
	Code    Code
	Message string
	Hint    string
	Err     error // cause for the log; never shown across the API
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// WithHint returns a copy that also says what to do.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// New makes an error from a code and a sentence.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error from a code, its cause, and a sentence. The cause is kept for the log.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// CodeOf returns the code of the outermost Error in the chain, Internal when there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Show returns what a person may see: the sentence, and the hint when there is one.
func Show(err error) (message, hint string) {
	var e *Error
	if errors.As(err, &e) {
		return e.Message, e.Hint
	}
	return err.Error(), ""
}
