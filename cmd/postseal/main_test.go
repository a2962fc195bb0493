package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this program as "postseal".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postseal": main})
}

// TestScript runs testdata/script/*.txtar, one scenario of the command line each. $SHARED is the shared test data.
func TestScript(t *testing.T) {
	shared, err := filepath.Abs("../../../shared/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SHARED", shared)
			// A day that is always still to come, in the script and in its files.
			soon := time.Now().UTC().AddDate(0, 1, 0).Format(time.DateOnly)
			env.Setenv("SOON", soon)
			files, err := filepath.Glob(filepath.Join(env.WorkDir, "*.yaml"))
			for _, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if err := os.WriteFile(file, bytes.ReplaceAll(raw, []byte("@SOON@"), []byte(soon)), 0o600); err != nil {
					return err
				}
			}
			return err
		},
	})
}
