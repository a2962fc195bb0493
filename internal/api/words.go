package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// maxBounds is how many wrong values of one request are told; one is the usual.
const maxBounds = 5

// bounds are huma's sentences about a value, and ours. They stand in its package validation.
func bounds() []struct {
	theirs *regexp.Regexp
	ours   string
} {
	type bound = struct {
		theirs *regexp.Regexp
		ours   string
	}
	return []bound{
		{regexp.MustCompile(`^expected length <= (\d+)$`), "has more than $1 characters"},
		{regexp.MustCompile(`^expected length >= 1$`), "is empty"},
		{regexp.MustCompile(`^expected length >= (\d+)$`), "has fewer than $1 characters"},
		{regexp.MustCompile(`^expected array length <= (\d+)$`), "has more than $1 entries"},
		{regexp.MustCompile(`^expected array length >= (\d+)$`), "has fewer than $1 entries"},
		{regexp.MustCompile(`^expected number <= (.+)$`), "is more than $1"},
		{regexp.MustCompile(`^expected number >= (.+)$`), "is less than $1"},
		{regexp.MustCompile(`^expected value to be one of "(.*)"$`), "is none of $1"},
		{regexp.MustCompile(`^expected string to be RFC 3339 date-time$`), "is no time such as 2027-01-31T12:00:00Z"},
		{regexp.MustCompile(`^expected string to match pattern (.*)$`), "is not in the form $1"},
		{regexp.MustCompile(`^expected required property (\S+) to be present$`), "lacks $1"},
		{regexp.MustCompile(`^unexpected property$`), "is not known here"},
		{regexp.MustCompile(`^expected boolean$|^invalid boolean$`), "is neither true nor false"},
		{regexp.MustCompile(`^expected (?:number|integer)$|^invalid (?:integer|float)$`), "is no number"},
		{regexp.MustCompile(`^expected string$`), "is no text"},
		{regexp.MustCompile(`^expected array$`), "is no list"},
		{regexp.MustCompile(`^expected object$`), "is no object"},
		{regexp.MustCompile(`^unknown query parameter$`), "is not known here"},
		{regexp.MustCompile(`^required (?:query|header|path) parameter is missing$`), "is missing"},
	}
}

var tooLarge = regexp.MustCompile(`limit=(\d+) bytes`)

// inWords says what huma found wrong with a request, and what to do.
func inWords(m *huma.ErrorModel) (message, hint string) {
	const described = "/openapi.json describes what each request takes"
	switch {
	case m.Status == http.StatusRequestEntityTooLarge:
		if n := tooLarge.FindStringSubmatch(m.Detail); n != nil {
			return fmt.Sprintf("the request is too large: it has %s octets or more", n[1]), "shorten the text in it"
		}
		return "the request is too large", "shorten the text in it"
	case m.Status == http.StatusRequestTimeout:
		return "the request did not come in whole within the time for it", "send it again"
	case m.Detail == "request body is required":
		return "the request has no body", described
	case len(m.Errors) == 0:
		return m.Detail, ""
	}
	var parts []string
	for i, e := range m.Errors {
		if e == nil {
			continue
		}
		if i == maxBounds {
			parts = append(parts, fmt.Sprintf("and %d more", len(m.Errors)-i))
			break
		}
		parts = append(parts, ofValue(e.Location, e.Message))
	}
	return strings.Join(parts, "; "), described
}

// ofValue is the sentence about one value.
func ofValue(place, said string) string {
	_, name, inside := strings.Cut(place, ".")
	switch {
	case place == "" || place == "body":
		name = "the request"
	case !inside:
		name = place
	}
	for _, b := range bounds() {
		if b.theirs.MatchString(said) {
			return name + " " + b.theirs.ReplaceAllString(said, b.ours)
		}
	}
	if place == "body" {
		return "the request cannot be read as JSON: " + said
	}
	return name + " is not what is wanted there: " + said
}
