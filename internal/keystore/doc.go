// Package keystore keeps private keys on one machine and hands them out as crypto.Signers. Nothing in it can give a private key
// away: a key is made here, used here, and destroyed here; only its public half comes out.
//
// A key is a PKCS#8 document sealed with AES-256-GCM in a file of its own, named after the key's id, which is bound to the
// content: a file that was renamed, cut or changed does not open. The sealing key (32 octets) comes from a systemd credential or
// from a file that only its owner can read, and is never in the same directory, so that a backup of the directory alone is worth
// nothing. A file sealed with another sealing key says so.
//
// Files, in the order of the flow:
//
//	sealingkey.go  where the sealing key comes from, and who may read it
//	seal.go        the format of a sealed file
//	file.go        files that are there whole or not at all
//	generate.go    new keys: algorithms, PKCS#8
//	cache.go       parsed keys in use, bounded: handles and a clock
//	store.go       Store: Generate, Import, Key, Signer, Public, Check, Destroy, List
package keystore
