// Package store is every capability's storage, on SQLite (nothing to install) and on PostgreSQL (several processes on
// one database). It fills the storage interfaces that the capabilities declare; they do not know it.
//
// What it promises:
//
//   - One method is one transaction, and none waits on the network but for the database itself.
//   - Wishes and facts have different writers. What the planner owns is written by compare and swap under a lease with a
//     fencing token; what agents report is written by their reports only; what people want, by their acts only.
//   - Nothing that happens is missed: whatever a worker must look at raises its domain's revision, and finishing a piece of
//     work notices.
//   - Times are the database's and never run backwards. The journal's entries are sealed one after the other.
//   - No column has room for a private key: public halves, hashes of secrets, names of files.
//
// The SQL text is the same for both databases, but for four places in dialect. Whoever adds a table adds a migration; a
// released migration is never edited.
//
// Files: store.go, sqlite.go, postgres.go, migrate.go (opening), tx.go, column.go, clock.go (a transaction and its time),
// hints.go (waking those who wait); work.go, commit.go, situation.go, keys.go, bindings.go, holdings.go, records.go,
// findings.go, journal.go (the reconcile loop); inventory.go, apply.go, applynouns.go, signers.go, domains.go,
// assignments.go (what an organisation has); controls.go, acts.go (what people say); instructions.go, compose.go, report.go, refusals.go,
// agents.go, jointokens.go, identities.go (agents); users.go, accesstokens.go (people and programs); zones.go (the
// built-in name server's zones); tickets.go (people who are asked for changes); probes.go, probepaths.go
// (mail that proves paths); knownkeys.go (which keys reports may name).
//
// Reports that receivers send have a database of their own beside, with migrations of their own: reports.go (opening), reportslimits.go, reportsdocument.go (what is stored of a
// document), reportsdictionary.go (texts that stand once), reportspack.go (rows in pieces), reportssave.go, reportsoctets.go, reportsresave.go, reportscells.go (what is counted),
// reportsrollup.go (its sums), reportsread.go, reportslist.go, reportssources.go, reportscounts.go (answers), reportscounting.go (up to where they were counted anew), reportspostmaster.go
// (what Google Postmaster Tools say beside them), reportsprune.go (what is old goes), reportsremove.go (what was a mistake goes).
package store
