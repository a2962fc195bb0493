// Package zonefile publishes in a zone file that people write too. Records of ours stand between two lines of comment at the end of the file; every other octet
// stays as it is, but for the serial of the SOA record, and for the line of a record that a person let Postseal take over.
//
// No edit is trusted: the file is read again as a name server would, and must hold exactly the records that it held, less what goes and with what comes.
//
// Files: zonefile.go (the provider), edit.go (one edit, proven), file.go (reading and replacing the file).
package zonefile
