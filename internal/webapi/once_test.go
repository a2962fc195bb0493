package webapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/webapi"
)

// What is said fits who asks: the control plane tries again by itself and has a unit, a person's command ends and has neither.
func TestWhoAsks(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(broken.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	t.Setenv("POSTSEAL_TEST_SECRET", "secret")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, tt := range []struct{ name, endpoint, credential, daemon, command string }{
		{"a broken service", broken.URL, "env:POSTSEAL_TEST_SECRET", "it is tried again", "run the command again"},
		{"nobody there", gone.URL, "env:POSTSEAL_TEST_SECRET", "it is tried again", "run the command again"},
		{"no variable", broken.URL, "env:POSTSEAL_NOSUCHVAR", "EnvironmentFile=", "where this command runs"},
		{"no credential of systemd", broken.URL, "systemd:nosuch", "to the unit", "where the command runs"},
	} {
		for _, once := range []bool{false, true} {
			c, err := webapi.NewClient(webapi.API{Vendor: "Example", Authorize: webapi.Bearer}, webapi.Options{Endpoint: tt.endpoint, Credential: tt.credential, Once: once,
				Timing: webapi.Timing{Sleep: func(context.Context, time.Duration) error { return nil }}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Do(t.Context(), webapi.Request{Method: http.MethodGet, Path: "/x"}, nil)
			message, hint := fault.Show(err)
			said, want, other := message+" "+hint, tt.daemon, tt.command
			if once {
				want, other = other, want
			}
			if err == nil || !strings.Contains(said, want) || strings.Contains(said, other) || once && strings.Contains(said, "the control plane has no") {
				t.Errorf("%s, once %v: %q; want %q and not %q", tt.name, once, said, want, other)
			}
		}
	}
}
