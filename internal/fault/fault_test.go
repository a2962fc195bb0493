package fault

import (
	"errors"
	"fmt"
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
