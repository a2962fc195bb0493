// Package dmarc implements DMARC: policy records and their discovery by tree walk (RFC 9989), aggregate reports
// (RFC 9990), and where reports may be sent. RFC 7489 is read where its records and reports are still seen.
//
// It uses the standard library only, starts no goroutines and logs nothing. All functions are safe for concurrent use;
// a value is not, while somebody writes to it. DNS is asked through a Resolver that the caller gives. Names are in ASCII
// form: the caller turns U-labels into A-labels (RFC 9989 §4.10.1) before it asks.
//
// Files, in the order of the flow: error.go (what can be wrong), name.go (names as labels), record.go (a policy
// record), parse.go and uri.go (reading one), walk.go (the tree walk, organizational domains), align.go and evaluate.go (does a message
// pass, and what is asked for when not), destination.go (may a report be sent there), report.go (an aggregate report),
// reportwrite.go (its XML), reportscan.go, reportplace.go, reportread.go and reportvalue.go (reading that).
package dmarc
