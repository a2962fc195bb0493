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

	IdleRevoked bool   `yaml:"idle"`       // a selector that is not in use answers an empty p=, and that is no fault
	MinDays     int    `yaml:"min_days"`   // the shortest time between two changes of the key that is known of it, in days; 0 when unknown
	VariantOf   string `yaml:"variant_of"` // the entry that this is another way of setting up; "" when it stands by itself

	Inputs []Input   `yaml:"inputs"` // better words for what is asked for; Ask says what that is
	Also   []Also    `yaml:"also"`   // records that it wants beside its keys
	MX     []Pattern `yaml:"mx"`     // hosts of MX records of its customers; always from memory
	// Domains are its own that it signs with, or takes bounces at, where a customer's domain is not set up: reports name them. Always from memory.
	Domains []string `yaml:"domains"`
	Tokens  []string `yaml:"tokens"` // how TXT records begin that prove a domain to it

	SPF        []string   `yaml:"spf"` // hosts to include; may hold "*" for an account's part
	ReturnPath ReturnPath `yaml:"return_path"`
	API        bool       `yaml:"api"` // a domain can be set up or verified by a program
	// DomainConnect is set when it can write its records by itself at DNS hosts that take part in Domain Connect.
	DomainConnect bool   `yaml:"domain_connect"`
	Console       string `yaml:"console"` // the way through its console; always from memory
	Docs          string `yaml:"docs"`    // where it describes the set-up, without a scheme
	Note          string `yaml:"note"`

	Evidence   Evidence `yaml:"evidence"`    // the weakest mark among selectors and kind of record
	FromMemory []string `yaml:"from_memory"` // fields of this entry that are weaker than Evidence
	Published  []string `yaml:"confirmed"`   // fields of this entry that are stronger than Evidence
}

// Record says which selectors go with which target.
type Record struct {
	Selectors []Pattern `yaml:"selectors"`
	Targets   []Pattern `yaml:"targets"` // any of them is right; empty for TXT and where no target is known
	Common    bool      `yaml:"common"`  // others use these selectors too: without a target they tell nothing

	Legacy   bool     `yaml:"legacy"`   // only old set-ups have them: recognised, never asked for
	Optional bool     `yaml:"optional"` // not every account has them: taken, never asked for
	Forms    []string `yaml:"forms"`    // what each of several targets is ("older tenants"), in their order
	Holds    Holding  `yaml:"holds"`    // how the target holds the customer's domain
}

// Holding says how a target holds the domain that it is for.
type Holding string

// The ways. A target that holds another domain was copied from another domain's page.
const (
	HoldsNothing Holding = ""
	HoldsDomain  Holding = "domain" // as it is written, with its dots
	HoldsDashed  Holding = "dashed" // with hyphens instead of dots
)

// Also is a record that a service wants beside its keys. What differs from account to account is written <like this>.
type Also struct {
	For      string   `yaml:"for" json:"for"`                     // return-path, spf, dmarc or verification
	Name     string   `yaml:"name" json:"name"`                   // below the domain; "@" is the domain itself
	Type     string   `yaml:"type" json:"type,omitempty"`         // "" when it is not known
	Value    string   `yaml:"value" json:"value,omitempty"`       // "" when only its console knows
	Optional bool     `yaml:"optional" json:"optional,omitempty"` // mail is signed and delivered without it
	Evidence Evidence `yaml:"evidence" json:"evidence"`           // where the entry's mark is not that of this record
}

// EvidenceOf returns the mark of one field, named as in catalogue.yaml ("spf", "rotation", "return_path", …).
func (s Service) EvidenceOf(field string) Evidence {
	switch {
	case slices.Contains([]string{"console", "inputs", "mx", "domains"}, field), slices.Contains(s.FromMemory, field):
		return Memory
	case slices.Contains(s.Published, field):
		return Confirmed
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
