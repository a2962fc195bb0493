package publisher

// StoredRecord is one record of a zone that Postseal itself holds.
type StoredRecord struct {
	Name  string // absolute, lower case, no trailing dot
	Type  string // TXT or CNAME
	TTL   uint32 // seconds
	Value string // complete value: the joined strings of a TXT record, octets as they are; the target of a CNAME like Name
}

// StoredZone is a zone that Postseal itself holds, as the built-in name server serves it.
type StoredZone struct {
	Name    string // like StoredRecord.Name
	Serial  uint32 // grows with every change (RFC 1982), never 0
	Records []StoredRecord
}
