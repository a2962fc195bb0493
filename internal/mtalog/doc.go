// Package mtalog reads what a mail server's own log says about receivers that refuse its mail because of authentication: SPF, DKIM, DMARC and what
// belongs to them. Receivers say so days before their reports arrive.
//
// What it promises: nothing in a log is executed or trusted; it is a stranger's text that comes out short, printable and without addresses. Memory is bounded
// whatever the log holds. A line is read once: rotation, truncation and a restart neither lose nor repeat one, as far as the lines still are in a file beside the log, or
// in the journal; where they are not, that is counted.
//
// The files, in the order of the flow:
//
//	position.go   where in a log one has got to, and how a log is known again
//	follow.go     the lines of a log as they come, through rotation
//	rotated.go    what was left in a log that was moved or copied away
//	ask.go        which entries of systemd's journal, and how journalctl is asked for them
//	child.go      one journalctl, and what it complains about
//	journal.go    the entries as they come, through its rotation and restarts
//	export.go     the format in which journalctl writes
//	entry.go      what an entry says
//	parser.go     a line to a refusal, for either MTA
//	stamp.go      the time of a line
//	senders.go    who sent the message with this queue id, for a bounded number of them
//	postfix.go    lines of Postfix
//	exim.go       lines of Exim
//	reply.go      the receiver's reply: codes, and a text that can be shown
//	cause.go      is it about authentication, and what of it
//	author.go     the author's domain, where the receiver names it
//	receiver.go   whose host it is
//
// The journal of systemd is read through journalctl: its format has no well-kept reader in Go without C (go-systemd needs libsystemd through cgo, and the agent is a
// static program), and journalctl is where the journal is. It gets fixed arguments, no shell and no environment.
package mtalog
