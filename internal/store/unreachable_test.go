package store

import (
	"net"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

// Who cannot reach the database is told which, and why, and not with what password.
func TestUnreachableDatabase(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for at, want := range map[string]string{addr: "connection refused", mute.Addr().String(): "does not answer: "} {
		_, err = Open(t.Context(), Options{Database: "postgres://nobody:pass-word@" + at + "/x"})
		message, hint := fault.Show(err)
		if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(message, at) || !strings.Contains(message, want) || hint == "" {
			t.Errorf("%q, hint %q; want %s and %q", message, hint, at, want)
		}
		if strings.Contains(message+hint, "pass-word") {
			t.Errorf("the password is told: %q %q", message, hint)
		}
	}
}
