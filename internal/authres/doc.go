// Package authres writes and reads Authentication-Results header fields (RFC 8601).
//
// Writing: nothing that came from outside can end a line, open a comment or begin another result; what a value cannot hold is
// left out of it. Reading: any dressing that RFC 8601 §2.2 allows (comments, folding, quoted strings, a version) is seen through,
// because its first use is to find fields that claim to be ours and are not (§5).
//
// Files: field.go (what a field says), write.go (a field laid out), read.go (a field taken apart), lexer.go (RFC 5322 tokens).
package authres
