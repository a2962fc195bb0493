package agentapi

// PollRequest says which instructions the agent has.
type PollRequest struct {
	Version     int   `json:"version"`
	Have        int64 `json:"have"`         // Instructions.Version held; 0 = none
	WaitSeconds int   `json:"wait_seconds"` // at most MaxWait
	Source
}

// Source says whose instructions a version number counts. Numbers of different sources do not compare: after a restore
// the control plane may give a number out again.
type Source struct {
	Installation string `json:"installation"`
	Epoch        int64  `json:"epoch"`
}

// Instructions are everything the control plane wants of one agent. They are complete: what is not in them is not
// wanted any more, except that an agent never destroys a key that no instruction names (it stops signing with it and
// keeps it until told), so that an empty answer by mistake loses nothing.
type Instructions struct {
	Version      int64        `json:"version"`   // grows with each change; compared for equality only
	Unchanged    bool         `json:"unchanged"` // nothing newer than Have; the rest is empty
	Installation string       `json:"installation"`
	Epoch        int64        `json:"epoch"` // an agent refuses a lower epoch, or another installation, than it has seen
	Assignments  []Assignment `json:"assignments"`
	// ReportSeconds is how often the agent should report counters when nothing else happens.
	ReportSeconds int `json:"report_seconds"`
	// Probes are messages that the agent should submit to its MTA, at most MaxProbes. Unlike all else they are done once: the agent remembers what became of one for as long
	// as it is named.
	Probes []ProbeOrder `json:"probes,omitempty"`
}

// ProbeOrder asks for one message through the server's MTA. What is in it, and whom it comes from, the agent decides.
type ProbeOrder struct {
	ID     string `json:"id"`
	Domain string `json:"domain"` // author's domain, A-labels, lower case; one that the agent is assigned for
	To     string `json:"to"`     // the recipient: LOCAL+TOKEN@HOST, with a token of 26 letters and digits in base32
}

// NoKey says what becomes of a message that should be signed and cannot be.
type NoKey string

const (
	NoKeyPass     NoKey = "pass"     // deliver it unsigned, counted
	NoKeyTempfail NoKey = "tempfail" // ask the sender to come again later
)

// Assignment is one permission to sign: this agent, for this domain, on this stream.
type Assignment struct {
	ID     string `json:"id"`
	Domain string `json:"domain"` // d=, A-labels, lower case
	Stream string `json:"stream"` // "default" when the signer has one
	NoKey  NoKey  `json:"no_key"`
	Bulk   bool   `json:"bulk"` // oversign List-Unsubscribe and List-Unsubscribe-Post
	Keys   []Key  `json:"keys"`
	// Subdomains: author domains below Domain that have no assignment of their own are signed with d=Domain (RFC 6376 §3.10).
	Subdomains bool    `json:"subdomains,omitempty"`
	Signing    Signing `json:"signing,omitzero"`
}

// Signing is how the signatures of an assignment are made. Its zero value is the default of package dkim.
type Signing struct {
	Headers          []string `json:"headers,omitempty"`          // names signed as often as present; null = the default
	Oversign         []string `json:"oversign,omitempty"`         // names listed once more than present; null = the default, empty cannot be said
	Canonicalization string   `json:"canonicalization,omitempty"` // "relaxed/relaxed" (also when empty), "relaxed/simple", "simple/relaxed", "simple/simple"
	ExpireSeconds    int64    `json:"expire_seconds,omitempty"`   // x= that long after t=; 0 = none
}

// Want is what the control plane wants of a holder for one key.
type Want string

const (
	WantHold    Want = "hold"    // make it if it is not there; keep it; sign canaries on request, no mail
	WantSign    Want = "sign"    // as hold, and sign mail with it
	WantStop    Want = "stop"    // sign no more mail with it; keep it
	WantDestroy Want = "destroy" // erase it
)

// Key is one key in an assignment. Of the keys with WantSign of one algorithm family (RSA, Ed25519) a holder uses the one
// with the highest Rank that it has and can load; the others stand by.
type Key struct {
	ID        string `json:"id"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm"` // dkim.KeyAlgorithm: rsa2048, rsa3072, rsa4096, ed25519
	Want      Want   `json:"want"`
	Rank      int    `json:"rank"`
	Record    string `json:"record"` // the TXT value that should stand in DNS; "" before the public half is known
	Canary    string `json:"canary"` // nonce of a canary that is wanted; "" = none
}
