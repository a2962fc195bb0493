package webapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/fault"
)

// maxMessage is how much of a vendor's own message is shown, in characters.
const maxMessage = 300

// Problem is what a vendor's refusal says.
type Problem struct {
	Code    fault.Code // "" = by status
	Message string     // the vendor's own words; they are cleaned and cut
	Hint    string     // "" = by code
}

// statusError is the cause of a refusal.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.status) }

// Status returns the HTTP status of a refusal, 0 for any other error.
func Status(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	return 0
}

// Refusal makes the error of a reply whose status was good and whose content was a refusal.
func (c *Client) Refusal(p Problem) error {
	if p.Code == "" {
		p.Code = fault.Unavailable
	}
	return c.fault(http.StatusOK, p)
}

// problem makes the error of a refusal.
func (c *Client) problem(status int, body []byte) error {
	var p Problem
	if c.api.Explain != nil {
		p = c.api.Explain(status, body)
	}
	if p.Code == "" {
		p.Code = codeOf(status)
	}
	if p.Message == "" && status < 400 {
		p.Message, p.Hint = "a redirect, which is not followed", "check the endpoint"
	}
	if p.Message == "" && !strings.Contains(string(body), "<") { // a page for people says less than the status
		p.Message = string(body)
	}
	return c.fault(status, p)
}

func (c *Client) fault(status int, p Problem) error {
	said := clean(p.Message, c.secret())
	if said == "" {
		said = http.StatusText(status)
	}
	vendor, verb := c.api.Vendor, ""
	switch p.Code {
	case fault.Denied, fault.Unauthenticated:
		verb, p.Code = "refuses the credential", fault.Denied
		if p.Hint == "" {
			p.Hint = c.api.Rights
		}
	case fault.NotFound:
		verb = "does not find it"
	case fault.Conflict:
		verb = "says that something else stands there"
	case fault.Invalid:
		verb = "does not take the request"
	default:
		verb = "cannot do it now"
		if p.Hint == "" {
			p.Hint = c.again() + map[bool]string{true: " later"}[c.once] + "; the vendor's status page may say more"
		}
	}
	return &fault.Error{Code: p.Code, Message: fmt.Sprintf("%s %s (%d: %s)", vendor, verb, status, said), Hint: p.Hint, Err: &statusError{status}}
}

func codeOf(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fault.Conflict
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusLocked:
		return fault.Unavailable
	}
	if status >= 400 && status < 500 {
		return fault.Invalid
	}
	return fault.Unavailable
}

// secret is the credential as far as it can be read, so that a vendor that repeats it is not repeated.
func (c *Client) secret() string {
	if c.credential == nil {
		return ""
	}
	secret, _ := c.credential.Secret()
	return secret
}

// clean makes a stranger's text fit for a sentence: one line, printable, short, without the secret. The secret is looked for in what is
// left after cleaning, since characters that are dropped may stand in the middle of it.
func clean(text, secret string) string {
	text = printable(text[:min(len(text), maxRefusal)])
	if secret = printable(secret); secret != "" {
		text = strings.ReplaceAll(text, secret, "…")
	}
	if runes := []rune(text); len(runes) > maxMessage {
		text = string(runes[:maxMessage]) + "…"
	}
	return strings.TrimSuffix(text, ".")
}

// printable drops what cannot be printed and makes every run of white space one space.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}
