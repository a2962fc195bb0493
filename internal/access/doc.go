// Package access knows the people and programs that may use the control plane: users with a role, and the tokens with
// which they show who they are. A token's secret is never stored, only its hash.
//
// Files in the order of a request: storage.go (what is needed of a store), role.go (who may do what), token.go (the form
// of a token), access.go (from token to principal), admin.go (the local administrator's file).
package access
