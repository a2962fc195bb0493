// Package agent is what runs beside a mail server: it holds that server's DKIM keys, signs as a milter, and keeps itself in step
// with the control plane.
//
// What it promises: a message is signed by nothing but this process, so mail is signed with the control plane away for weeks.
// A key signs mail only after the agent saw its record itself, and the report says that it stopped only when no message in flight can
// be signed with it any more. Trouble of its own never loses mail: what cannot be signed passes, or is deferred where the assignment
// says so, counted by a stable reason. No key is destroyed that no instruction names.
//
// Files, in the order of the flow.
//
// A message: listen.go (addresses) → listener.go (sockets, peers; the protocol is package milter's) → session.go
// (events of one connection) → outgoing.go (one message of ours) → octets.go (what must not be signed) → from.go (the author) → choose.go (which
// keys: rules.go, rulespattern.go, rulesmatch.go, stream.go, rulesmismatch.go, logins.go, loginsfile.go) → table.go (the keys in force, and who still uses an older table) → sign.go (fields in, DKIM-Signature out) → reason.go, rulesnotes.go, counters.go
// (what happened). The same question without a message: rulesexplain.go.
//
// Mail of others: session.go → incoming.go (one message: what claims to be ours, forwards to dkim) → verdict.go (DKIM, spf.go with spfsyntax.go, DMARC, what is
// done, Authentication-Results) → lookuptime.go, verdicts.go (what happened). verifyconfig.go has its settings.
//
// The fleet: token.go, join.go, identity.go, renew.go (who we are) → transport.go (JSON over HTTPS) → poll.go (what is wanted) → work.go →
// apply.go (wishes to keys, kept in fleetstate.go and, across restarts, by factsfile.go and jsonin.go) → build.go, rulessigning.go (keys to
// table) → steps.go (make, prove, destroy) → checkrecord.go (our
// own record) → canary.go (proof) → report.go (what is).
//
// What receivers say: mtalogconfig.go (which log) → mtalog.go (the MTA's log) → refusals.go (counted, kept, reported, shown).
//
// A probe: probeconfig.go (whether and where to) → probe.go (what is asked for, once) → probesubmit.go (into the MTA).
//
// The process: config.go, pace.go (settings), state.go (what survives), agent.go (start, reload, stop), sockets.go (listeners come and
// go), status.go (what people see), metrics.go, times.go (what
// scrapers see).
package agent
