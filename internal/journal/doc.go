// Package journal is the memory of what was done and why: every step that touches the world is written here as an
// intent before its effect and as an outcome after it, and every act of a person as an event. Entries form a hash
// chain, so that a changed or missing entry shows.
//
// Files: entry.go (what an entry is), chain.go (the chain and its check).
package journal
