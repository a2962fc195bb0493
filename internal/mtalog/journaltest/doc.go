// Package journaltest makes real journals of systemd for tests, without a systemd that runs: systemd-journal-remote writes their files (journal.go), and a
// systemd-journald with folders of its own takes what programs say (journald.go). No entry of the policy names it, so only tests can import it.
package journaltest
