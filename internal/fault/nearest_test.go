package fault

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"status", "state_directory", "sign", "version", "publish"}
	for written, want := range map[string]string{
		"statsu": "status", "STATUS": "status", "state_dirctory": "state_directory", "sgin": "sign", "vresion": "version", "xyz": "", "": "",
		strings.Repeat("status", 20): "",
	} {
		if got := Nearest(written, words); got != want {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
}
