// Package archtest keeps the floors of the program apart: who may import whom, and what no package may do.
//
// It holds tests only. They read the .go files themselves instead of asking go list, because the test cache notices a
// file that was read and does not notice what another program read.
//
// The files, in the order of the flow:
//
//	policy_test.go    the statement of policy; the file to edit when a package is added
//	rules_test.go     the policy's text to rules
//	tree_test.go      the module's .go files to packages
//	check_test.go     rules and packages to violations
//	module_test.go    the module obeys the policy, and docs/architecture.md says the same
//	fixture_test.go   each kind of violation is found in a small invented tree
package archtest
