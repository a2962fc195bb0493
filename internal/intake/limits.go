package intake

import (
	"time"

	"github.com/postseal/postseal/internal/report"
)

// The limits of what strangers can make us do. What is in an input, package report limits.
const (
	// maxInput is the largest mail or file that is taken, in octets: what package report reads.
	maxInput = report.MaxInput
	// maxInFlight is what all inputs that are being taken hold in memory together, in octets. One of unknown size holds twice its size at most.
	maxInFlight = 4 * maxInput
	// firstRoom is what an input of unknown size begins with, in octets; most reports fit.
	firstRoom = 64 << 10

	// verifyTime is how long DNS is asked about one mail. Then the mail counts as not verified.
	verifyTime = 20 * time.Second
	// maxExplained is the largest probe, in octets, in which the cause of a broken signature is looked for: that is much work, and probes are small.
	maxExplained = 1 << 20
	// takeTime is how long an input may take to be stored. A client of SMTP waits ten minutes (RFC 5321 §4.5.3.2.6).
	takeTime = 5 * time.Minute
	// maxAddresses is how many addresses of a mail's header are looked at. Reports go to one.
	maxAddresses = 32
	// maxReceived is how many Received fields are counted and kept; mail loops end at a hundred.
	maxReceived = 100
	// maxText is the longest text of a stranger that is kept or shown, in octets.
	maxText = 255
)

// The limits of SMTP.
const (
	// maxRecipients of one mail; RFC 5321 §4.5.3.1.8 asks for 100. Reports go to one or two.
	maxRecipients = 100
	// maxLine is the longest line, in octets. RFC 5321 §4.5.3.1.6 has 1000; reports that are not encoded have longer ones.
	maxLine = 64 << 10
	// maxCommands is what a client may send between two mails, in octets.
	maxCommands = 1 << 20
	// maxTransfer is what a client may send of one mail, in octets: more than maxInput, so that one who did not ask for the limit can be told of it.
	maxTransfer = 2*maxInput + maxCommands
	// maxMails of one connection; then it is ended in good order.
	maxMails = 500
	// maxRefused is how many unknown recipients one connection may name: more is guessing.
	maxRefused = 20
	// idleTime is how long a client may be silent (RFC 5321 §4.5.3.2.7), busyIdleTime when most connections are taken.
	idleTime     = 5 * time.Minute
	busyIdleTime = 10 * time.Second
	// transferTime is how long one mail may take, sessionTime one connection.
	transferTime = 15 * time.Minute
	sessionTime  = 2 * time.Hour
	// replyTime is how long a client may take to read a reply.
	replyTime = time.Minute
	// stopTime is what mails that are being taken get when the process ends.
	stopTime = 10 * time.Second
	// defaultConnections and defaultPerPeer are the connections at once.
	defaultConnections = 200
	defaultPerPeer     = 20
)

// The limits of mailboxes.
const (
	// mailboxBatch is how many messages are taken before they are moved.
	mailboxBatch = 50
	// maxListed is how many messages are listed at once; then the mailbox is searched again.
	maxListed = 10_000
	// commandTime is how long an IMAP server may take for an answer, connectTime for a connection with TLS and login.
	commandTime = time.Minute
	connectTime = time.Minute
	// fetchTime is how long one message may take.
	fetchTime = 10 * time.Minute
	// maxAnswer is what an IMAP server may send for one command that fetches no message, in octets: a search over a million messages has eight million.
	maxAnswer = 16 << 20
	// maxChallenge is what is looked at of a server's refusal of an access token, in octets, and maxStatus the longest status in it; they have a hundred and twenty.
	maxChallenge = 4 << 10
	maxStatus    = 20
	// firstRetry and lastRetry are the waits after trouble with a server; each is twice the one before.
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
	// defaultMailboxPoll is how often a mailbox is looked at although IDLE told nothing, or there is no IDLE.
	defaultMailboxPoll = 5 * time.Minute
	minMailboxPoll     = 5 * time.Second
)

// The limits of folders.
const (
	// defaultFolderPoll is how often a folder is looked at.
	defaultFolderPoll = 10 * time.Second
	minFolderPoll     = 100 * time.Millisecond
	maxPoll           = 24 * time.Hour
	// settleTime is how long a file must be as it is before it is taken: it may be still being written.
	settleTime = 5 * time.Second
	// folderBatch is how many names are read at once.
	folderBatch = 1000
	// maxRemembered is how many files and messages are remembered that were taken and could not be moved.
	maxRemembered = 100_000
)
