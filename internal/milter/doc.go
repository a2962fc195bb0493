// Package milter is the filter's end of the milter protocol (versions 2 to 6), as Postfix and Sendmail speak it.
//
// What it promises: whatever a peer sends, a connection holds a bounded amount of memory (limits.go), slices nothing beyond what
// came, and hands on octets where they lie: header fields and body pieces are valid during the call only and are never copied. A
// header field that is too large or not one is reported and the message goes on, because ending the connection would hold up
// mail; any other misbehaviour ends it. Replies and changes are written together, when nothing more is there to read.
//
// Files, in the order of the flow:
//
//	limits.go     every bound, with its reason
//	server.go     accept, permit, shut down
//	session.go    the events of one connection, and what a Handler may ask and change
//	options.go    what is negotiated
//	reader.go     frames from the connection, without copies
//	macros.go     what the MTA says beside the message
//	reply.go      answers
package milter
