// Package builtin publishes into zones that Postseal itself holds and internal/nameserver serves.
//
// Files: builtin.go (the provider and the storage that it needs), memory.go (a storage for tests and for the demo).
package builtin
