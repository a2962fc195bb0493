package fault

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

func TestErrorKeepsCodeSentenceAndCause(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	err := fmt.Errorf("publish: %w", Wrap(Unavailable, cause, "name server ns1 does not answer").WithHint("start it"))

	if got := CodeOf(err); got != Unavailable {
		t.Errorf("CodeOf = %q", got)
	}
	message, hint := Show(err)
	if message != "name server ns1 does not answer" || hint != "start it" {
		t.Errorf("Show = %q, %q", message, hint)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got := CodeOf(cause); got != Internal {
		t.Errorf("CodeOf of a plain error = %q", got)
	}
}

// The status of each code is a part of the API.
func TestHTTPStatus(t *testing.T) {
	for code, want := range map[Code]int{
		Invalid: http.StatusBadRequest, Unauthenticated: http.StatusUnauthorized, Denied: http.StatusForbidden, NotFound: http.StatusNotFound, Conflict: http.StatusConflict,
		Expired: http.StatusGone, Unavailable: http.StatusServiceUnavailable, Internal: http.StatusInternalServerError, "of later": http.StatusInternalServerError,
	} {
		if got := code.HTTPStatus(); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}
