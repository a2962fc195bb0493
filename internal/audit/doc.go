// Package audit turns observations into findings: stable ids, what was seen, how to mend it. An observation is a text, an answer or a
// state that somebody else fetched; the rules are pure functions of it and ask nobody themselves.
//
// The rules for the text of one record are there; those that need other names, other records or the inventory come later.
//
// The ids are those of the catalogue in docs/lint.md and docs/services.md: DKIM-S for the text of key records, DKIM-K for the quality of keys,
// DKIM-D for DNS around them, SVC for outside services. A record is judged
// valid by what package dkim's verifier does with it; the rules only explain that, and look further.
//
// The files, in the order of the flow:
//
//	finding.go   Finding, Severity: one result
//	report.go    Report: what an audit of a domain found
//	value.go     a value as people write it down: plain, in quotes, as a line of a zone file
//	lintdkim.go  LintDKIM: the verdict, the order of the rules, the record as it should be
//	repair.go    damage of the text as a whole: quotes, escapes, strange characters, PEM lines, missing semicolons
//	tags.go      the tags, read without asking whether they are allowed
//	tagrules.go  the rules about each tag
//	material.go  what the octets in p= are, private keys included
//	keyrules.go  the rules about the key
//	weak.go      what mathematics tells about a modulus: factors, close primes, ROCA
//	service.go, servicerules.go
//	             ServiceFindings: one selector whose key an outside service holds
package audit
