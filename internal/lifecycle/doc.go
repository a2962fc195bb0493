// Package lifecycle takes every key from plan to removal:
//
//	generated → published → propagated → proven → active → retired → revoked → removed
//
// A pure planner (Next) looks at everything known about one assignment and says which steps are due and why the others
// are not. The reconcile loop (Reconciler) claims work, asks DNS, plans, writes each step to the journal, carries it out,
// and records what became of it. Both are safe to stop and repeat at any point.
//
// What must never happen is written as functions in invariants.go, which the simulation in the tests asserts after
// every tick.
//
// Files in the order of a key's life: key.go, record.go, holding.go (the nouns), situation.go (what the planner sees),
// next.go (the planner), generate.go, publish.go, propagate.go, prove.go and canary.go, activate.go, retire.go, revoke.go, remove.go
// (one step each), fallback.go and compromise.go (the two ways out of order), service.go (records whose keys others
// hold), controls.go (holds, freezes, windows, approvals), selector.go (names), reconcile.go and carry.go (the loop and
// its effects), storage.go (what it needs of a store), invariants.go.
package lifecycle
