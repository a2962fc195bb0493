// Package api is the control plane's HTTP API: what the command line, the console and other programs ask of it, and the
// transport of the agents. It decides nothing itself: it authenticates, checks the role, reads or acts through its
// interfaces, and says what came of it in the words of the other packages.
//
// The wire types are in the package client, so that a program that uses the API has them without the server.
//
// Files in the order of a request: storage.go (what is needed of a store), api.go (construction), auth.go (who asks),
// errors.go (faults to HTTP), then one file per noun (ticketcheck.go looks at DNS for a person), and agents.go (the agents' transport).
package api
