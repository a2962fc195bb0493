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
// next.go and line.go (the planner, and the succession of keys that it plans), generate.go, publish.go, propagate.go,
// prove.go and canary.go, activate.go, gate.go (what a replaced key waits for), retire.go, reported.go (what receivers say of a key that leaves), revoke.go, remove.go (one step each), holders.go (who joins or leaves a
// pool), fallback.go and compromise.go (the two ways out of order), standby.go (a key that is kept ready for them), service.go (records whose
// keys others hold), reportto.go (those in zones of domains that take DMARC reports), behind.go (what stands
// behind them), findings.go (what people should know), adopt.go (what they let us take over), selector.go (names), slot.go (names that are used in turn, and CNAMEs that lead to
// their keys), pace.go (how often), reconcile.go, run.go and retry.go (the
// loop, one domain in it, and steps that failed), carry.go and publishing.go (effects on wishes and on DNS), storage.go
// (what the loop needs of a store), invariants.go.
package lifecycle
