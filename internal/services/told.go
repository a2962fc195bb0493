package services

// Told is what a service's own API says about one domain: which records it wants there, and what it has seen of them.
type Told struct {
	Service string // catalogue id
	Domain  string
	// Ready says that the service takes the domain for set up: it signs with it.
	Ready   bool
	Records []ToldRecord
	// Notes are what else a person should know, in sentences: a weak key, a rotation that waits.
	Notes []string
}

// ToldRecord is one record that a service wants.
type ToldRecord struct {
	Purpose ToldPurpose
	Name    string // absolute, lower case, no trailing dot
	Type    string // TXT, CNAME or MX
	Value   string // complete; a target without trailing dot; of MX "10 host"
	State   ToldState
	Problem string // the service's own words about it; "" = none
}

// ToldPurpose says what a record is for.
type ToldPurpose string

// The purposes. Only those of DKIM are published as a service's records; the others are for people.
const (
	ToldDKIM       ToldPurpose = "dkim"
	ToldReturnPath ToldPurpose = "return-path"
	ToldSPF        ToldPurpose = "spf"
	ToldOther      ToldPurpose = "other"
)

// ToldState is what the service says of a record.
type ToldState string

// The states.
const (
	ToldSeen    ToldState = "seen"    // it stands, as the service wants it
	ToldMissing ToldState = "missing" // it does not stand, or is something else
	ToldUnknown ToldState = "unknown" // the service does not say, or has not looked
	ToldOld     ToldState = "old"     // of a key that the service has given up: it can go
)
