package api

import (
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func TestInWords(t *testing.T) {
	detail := func(place, said string) *huma.ErrorModel {
		return &huma.ErrorModel{Status: http.StatusUnprocessableEntity, Detail: "validation failed", Errors: []*huma.ErrorDetail{{Location: place, Message: said}}}
	}
	for _, tt := range []struct {
		m    *huma.ErrorModel
		want string
	}{
		{&huma.ErrorModel{Status: http.StatusRequestEntityTooLarge, Detail: "request body is too large limit=65536 bytes"}, "the request is too large: it has 65536 octets or more"},
		{detail("body.note", "expected length <= 500"), "note has more than 500 characters"},
		{detail("body", "expected required property reason to be present"), "the request lacks reason"},
		{detail("query.limit", "expected number <= 500"), "limit is more than 500"},
		{detail("body.nonsense", "unexpected property"), "nonsense is not known here"},
		{detail("body", "unexpected end of JSON input"), "the request cannot be read as JSON: unexpected end of JSON input"},
	} {
		if got, hint := inWords(tt.m); got != tt.want || hint == "" {
			t.Errorf("%q, hint %q; want %q", got, hint, tt.want)
		}
	}
}
