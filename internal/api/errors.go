package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

var typeOfError = reflect.TypeFor[client.Error]()

// failed is an error that is ready to be sent.
type failed struct {
	body   client.Error
	status int
}

func (f *failed) Error() string  { return f.body.Message }
func (f *failed) GetStatus() int { return f.status }

// failure turns an error into what the caller may see, and logs what it may not.
func (a *API) failure(ctx context.Context, where string, err error) *failed {
	var already *failed
	if errors.As(err, &already) {
		return already
	}
	code := fault.CodeOf(err)
	message, hint := fault.Show(err)
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		code, message, hint = fault.Unavailable, "the request was given up", ""
	case code == fault.Internal:
		reference := inventory.NewID("ref")
		a.log.ErrorContext(ctx, "a request failed", "operation", where, "reference", reference, "error", err)
		message = "the control plane could not do this because of trouble of its own"
		hint = "its log says why, at " + reference + "; nothing was changed halfway"
	case code == fault.Unavailable:
		a.log.WarnContext(ctx, "a request failed", "operation", where, "error", err)
	}
	return &failed{client.Error{Code: string(code), Message: message, Hint: hint}, code.HTTPStatus()}
}

// ownErrors turns huma's own errors (a body that does not parse, a value out of bounds) into ours.
func ownErrors(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		if f, ok := v.(*failed); ok {
			return f.body, nil
		}
		return v, nil
	}
	ctx.SetHeader("Content-Type", "application/json")
	code := fault.Invalid
	if m.Status >= http.StatusInternalServerError {
		code = fault.Internal
	}
	message, hint := inWords(m)
	return client.Error{Code: string(code), Message: message, Hint: hint}, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client went away when this fails
}

func writeFault(w http.ResponseWriter, err error) {
	var f *failed
	if !errors.As(err, &f) {
		message, hint := fault.Show(err)
		code := fault.CodeOf(err)
		f = &failed{client.Error{Code: string(code), Message: message, Hint: hint}, code.HTTPStatus()}
	}
	writeJSON(w, f.status, f.body)
}

// withoutBareErrors answers requests that no operation is for, in the shape of all other errors.
func withoutBareErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			writeFault(w, errNoPlace(r))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func errNoPlace(r *http.Request) error {
	return fault.New(fault.NotFound, "there is nothing at %s %s", r.Method, r.URL.Path).WithHint("/openapi.json describes what there is")
}
