// Package agentapi is the contract between the agent on a mail server and the control plane: what each may say to
// the other, and nothing about how it travels. Today the messages are JSON over HTTPS with client certificates;
// tests call the same interface directly.
//
// The contract promises that a private key has no place to be in it (DESIGN.md §4, invariant 5): only public halves,
// signed canaries, counters and ages go up; only names, wishes and nonces come down.
//
// Files in the order of a conversation: contract.go (who offers what), join.go (becoming known), instructions.go
// (what the control plane wants), canary.go (the proof it asks for), report.go (what the agent did and saw).
package agentapi
