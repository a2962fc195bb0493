// Package audit turns observations into findings: stable ids, what was seen, how to mend it. An observation is a text, an answer or a
// state that somebody else fetched; the rules are pure functions of it and ask nobody themselves.
//
// The ids are those of docs/audit.md: DKIM-S for the text of key records, DKIM-K for the quality of keys, DKIM-D for the plumbing of DNS, DKIM-L for use, DMARC, SPF, MX,
// and SVC for outside services. A record is judged valid by what package dkim's verifier, package dmarc's evaluator or RFC 7208's syntax do with it; the rules
// only explain that, and look further.
//
// The files, in the order of the flow:
//
//	finding.go     Finding, Severity: one result
//	report.go      Report: what an audit of a domain found
//	auditor.go     New, Query, Audit: what is asked for, and by what means
//	observe.go     looking, before any rule is applied
//	filedns.go     the same from a file of records
//	message.go     what the signatures of a message show
//	judge.go       the rules about selectors and their records
//	misplaced.go   keys and policies at names where they mean nothing
//	plumbing.go    CNAMEs, servers, zones, wildcards, DNSSEC
//	policies.go    DMARC by the tree walk, SPF; parked.go, domains that send nothing
//	spfwalk.go     an SPF record with all that it includes
//	transport.go   MTA-STS, TLS reporting, BIMI, mail servers, block lists
//	keysets.go     keys side by side; weaklist.go, known weak ones
//	service.go     one look at a key that a service holds; servicerules.go, its rules
//	baseline.go    a report beside an earlier one
//	liferules.go   keys in use, as the control plane knows them
//	history.go     what changed since the audit before, and what is muted
//	errand.go      what a person was asked to do, and what stands instead
//	score.go       how sound a domain is; sarif.go, page.go and page.html, reports for CI systems and for people
//
// Of records' texts:
//
//	value.go       a value as people write it down: plain, in quotes, as a line of a zone file
//	lintdkim.go    LintDKIM: the verdict, the order of the rules, the record as it should be
//	dmarcnext.go   NextDMARC, the next step of a policy and the evidence for it; dmarctell.go, what each tag means
//	lintdmarc.go   LintDMARC; lintspf.go, LintSPF; spfsyntax.go, the terms of an SPF record
//	repair.go      damage of the text as a whole: quotes, escapes, strange characters, PEM lines, missing semicolons
//	tags.go        the tags, read without asking whether they are allowed; tagrules.go, the rules about each
//	material.go    what the octets in p= are, private keys included
//	keyrules.go    the rules about the key; weak.go, what mathematics tells about a modulus: factors, close primes, ROCA
package audit
