package main

import (
	"path/filepath"
	"testing"

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
			return nil
		},
	})
}
