// Package services is the catalogue of outside services that send mail for an organisation's domains: which
// selectors they sign with, what the domain's owner publishes for them, who rotates the key, and how sure we are.
//
// It is data. The catalogue is one file, catalogue.yaml, read once and never changed; nothing here asks DNS or a
// service. Every entry carries a mark of evidence, because a service changes its set-up without telling us: what the
// catalogue says is a strong hint for a person and never a reason to refuse a record.
//
// The files, in the order of the flow:
//
//	catalogue.yaml  the services
//	service.go      what an entry says
//	load.go         read the file strictly
//	lookup.go       find an entry by name, or the nearest names
//	pattern.go      selectors and targets with account-specific parts
//	ask.go          what has to be asked for, and where in a service's console it is
//	paste.go        what people paste: whole lines, names with the domain twice, a value in the wrong field
//	setup.go        answers to records
//	check.go        is this CNAME or NS target one that the service uses?
//	recognise.go    which service is behind a record that was seen?
package services
