// Package intake is how reports, and the probes that servers and services send, get in: by SMTP to a listener of its own, out of mailboxes (IMAP), Maildirs and folders of files. It
// verifies the mail that they come in and hands the octets on; what they say is the business of package report.
//
// It promises that nothing is lost and nothing waits for ever: an input leaves the place where it came from only after it is stored. Until then the client of SMTP keeps it
// (451), the message stays in its mailbox, the file in its folder. What is taken twice, because the process ended in between, is recognised by its octets in the storage.
//
// The files, in the order of the flow:
//
//	limits.go       every bound with its reason
//	intake.go       New and Run: what there is, and what it needs of others
//	config.go       what a person sets
//	spec.go         mailboxes and folders written as one text
//	status.go       how each way fares
//	room.go         memory of the inputs that are being taken
//
//	smtp.go         the listener
//	smtpconn.go     one connection: time, octets, numbers
//	smtpsession.go  the conversation
//	certificate.go  the listener's certificate, read again when it changes
//	mailbox.go      a mailbox: the loop, and what is done with a message
//	imap.go         the connection to the IMAP server
//	bearer.go       logging in with an access token
//	maildir.go      a Maildir
//	folder.go       a folder of files
//	file.go         reading a file that somebody else put there
//
//	take.go         what is done with an input, wherever it came from
//	header.go       the header of a mail
//	verify.go       does the mail come from whom it says
//	verdict.go      what was found, in words
//	book.go         which addresses there are
//	quota.go        how much one sender may send
package intake
