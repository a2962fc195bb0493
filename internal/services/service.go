package services

import "slices"

// Method says what the owner of a domain publishes so that the service can sign for it.
type Method string

// The methods. A service that signs with TXT gives a value to copy and cannot rotate by itself; one with CNAME or NS
// holds the record and can.
const (
	TXT        Method = "txt"
	CNAME      Method = "cname"
	NS         Method = "ns"           // a sub-domain or _domainkey is delegated
	TXTOrCNAME Method = "txt-or-cname" // depends on the age of the set-up or on the account
	None       Method = "none"         // it sends from its own domain; there is nothing to publish
)

// Rotation says who changes the key.
type Rotation string

// Who rotates.
const (
	ByProvider      Rotation = "provider" // behind the CNAME or NS, without us
	ByCustomer      Rotation = "customer" // a new value has to be fetched and published
	Never           Rotation = "none"     // one key, for good
	RotationUnknown Rotation = "unknown"
)

// ReturnPath says what it takes to make SPF align (RFC 7489 §3.1.2): the bounce domain of the service's mail.
type ReturnPath string

// What a return path needs.
const (
	ReturnPathOwn         ReturnPath = "own"          // the envelope sender is in the organisation's domain anyway
	ReturnPathIncluded    ReturnPath = "included"     // comes with the service's DNS records
	ReturnPathNeeded      ReturnPath = "needed"       // a custom bounce domain has to be set up
	ReturnPathOptional    ReturnPath = "optional"     // can be set up, or only with a dedicated address
	ReturnPathNotPossible ReturnPath = "not-possible" // rely on DKIM alone
	ReturnPathUnknown     ReturnPath = "unknown"
)

// Evidence is how sure the catalogue is of a fact.
type Evidence string

// The marks, from the strongest to the weakest.
const (
	Confirmed Evidence = "confirmed" // from published material
	Memory    Evidence = "memory"    // to be checked against the service's own page before it is relied on
	Unknown   Evidence = "unknown"
)

// Category groups services for people to browse.
type Category string

// The categories, in the order of the catalogue.
const (
	Mailbox       Category = "mailbox"
	Transactional Category = "transactional"
	Marketing     Category = "marketing"
	Commerce      Category = "commerce"
	Support       Category = "support"
	Gateway       Category = "gateway"
)

// Service is one entry of the catalogue. Its slices belong to the catalogue; do not change them.
type Service struct {
	ID       string   `yaml:"id"`      // what fleet.yaml and the command line write: lower-case letters, digits, hyphens
	Title    string   `yaml:"title"`   // the service's name for people
	Aliases  []string `yaml:"aliases"` // other names that Lookup takes
	Category Category `yaml:"category"`

	Signs        Method   `yaml:"signs"`
	Records      []Record `yaml:"records"`       // what is known of its selectors; empty when they differ from account to account
	SelectorHint string   `yaml:"selector_hint"` // where the selectors come from, when Records does not say it all
	Carrier      string   `yaml:"carrier"`       // the service whose infrastructure it uses, an ID; "" when it is its own
	Count        int      `yaml:"count"`         // DKIM records to publish in the usual case; 0 when unknown
	Bits         []int    `yaml:"bits"`          // RSA key sizes seen, ascending; empty when unknown
	Shared       bool     `yaml:"shared"`        // all customers share one key (finding DKIM-K17)

	Rotation    Rotation `yaml:"rotation"`
	RotationAPI bool     `yaml:"rotation_api"` // a rotation can be started by a program
	OwnKey      bool     `yaml:"own_key"`      // takes a private key of ours, so that the key can be managed

	SPF        []string   `yaml:"spf"` // hosts to include; may hold "*" for an account's part
	ReturnPath ReturnPath `yaml:"return_path"`
	API        bool       `yaml:"api"`     // a domain can be set up or verified by a program
	Console    string     `yaml:"console"` // the way through its console; always from memory
	Docs       string     `yaml:"docs"`    // where it describes the set-up, without a scheme
	Note       string     `yaml:"note"`

	Evidence   Evidence `yaml:"evidence"`    // the weakest mark among selectors and kind of record
	FromMemory []string `yaml:"from_memory"` // fields of this entry that are weaker than Evidence
}

// Record says which selectors go with which target.
type Record struct {
	Selectors []Pattern `yaml:"selectors"`
	Targets   []Pattern `yaml:"targets"` // any of them is right; empty for TXT and where no target is known
	Common    bool      `yaml:"common"`  // others use these selectors too: without a target they tell nothing
}

// EvidenceOf returns the mark of one field, named as in catalogue.yaml ("spf", "rotation", "return_path", …).
func (s Service) EvidenceOf(field string) Evidence {
	if field == "console" || slices.Contains(s.FromMemory, field) {
		return Memory
	}
	return s.Evidence
}

// Selectors returns the selectors that are known by name, without those that differ from account to account.
func (s Service) Selectors() []string {
	var names []string
	for _, r := range s.Records {
		for _, p := range r.Selectors {
			if p.literal() {
				names = append(names, string(p))
			}
		}
	}
	return names
}
