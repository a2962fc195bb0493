package milter

import "time"

// Limits of what a peer can make us do.
const (
	// MaxConnections bounds the open connections of one server. Postfix keeps one per SMTP session and has 100 of these by
	// default; further ones wait in the kernel's queue.
	MaxConnections = 10_000

	// maxBody is the largest piece of a body that the protocol can agree on; without agreement it is 64 kB.
	maxBody = 1 << 20

	// MaxHeader is one header field with its name. Postfix itself keeps 100 kB per field; larger ones become FieldTooLarge.
	MaxHeader = 256 << 10

	// maxOther is any other frame: addresses and macros.
	maxOther = 64 << 10

	// smallBuffer is what an idle connection holds, and largeBuffer what it reads a message's content through: one write of an
	// MTA, so that the kernel is asked once for it.
	smallBuffer = 4 << 10
	largeBuffer = 68 << 10

	// maxMacros bounds the octets of the macros that are kept for one stage of a connection.
	maxMacros = 16 << 10

	// contentTimeout is how long the MTA may be silent between the first header field and the end of a message. Postfix hands over
	// what already lies in its queue and gives up itself after 300 s (milter_content_timeout). Before the content an SMTP client
	// may take its time, so that there is no limit; TCP's keepalive finds dead MTAs.
	contentTimeout = 10 * time.Minute

	// negotiationTimeout is how long a new connection may take to say that it speaks this protocol.
	negotiationTimeout = 10 * time.Second

	// writeTimeout is how long an MTA may leave our replies unread.
	writeTimeout = 30 * time.Second

	// deadlineSlack is how much earlier than said a read or a write may be given up, so that deadlines need not be set each time.
	deadlineSlack = 10 * time.Second

	// acceptPause is how long accepting rests when the process has no file descriptor left.
	acceptPause = 100 * time.Millisecond
)
