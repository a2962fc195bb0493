package agentapi

// Report is what an agent has applied and seen since it started; it replaces the previous one, but for Refusals, which add to what is known.
type Report struct {
	Version  int         `json:"version"`
	Applied  int64       `json:"applied"` // Instructions.Version that is in force on this agent
	Source               // of those instructions
	UnixTime int64       `json:"unix_time"`
	Software string      `json:"software"`
	Keys     []KeyReport `json:"keys"`
	// Unsigned counts messages that should have been signed and were not, by reason, since the agent's state began.
	Unsigned map[string]uint64 `json:"unsigned"`
	// Refusals are hours in which receivers refused mail because of its authentication, as far as they changed since a report that was taken. Each says all of its
	// hour, so that it can be said again.
	Refusals []Refusal `json:"refusals,omitempty"`
	// ProbesReady says that this agent is set up to submit probes. Agents of older releases never say so.
	ProbesReady bool `json:"probes_ready,omitzero"`
	// Probes says what became of each order of the instructions in force that is done.
	Probes []ProbeReport `json:"probes,omitempty"`
}

// Refusal counts the messages about one domain that one receiver refused in one hour with one code, as the MTA's log has it. Everything in it but the
// numbers comes from strangers.
type Refusal struct {
	Hour      int64  `json:"hour"`      // Unix time of its beginning
	Domain    string `json:"domain"`    // of the author where the receiver names it, else of the envelope sender; A-labels; "" = not known
	Receiver  string `json:"receiver"`  // "Gmail", "Microsoft", …, or a domain
	Code      string `json:"code"`      // enhanced status code such as 5.7.26, or three digits
	Cause     string `json:"cause"`     // authentication, dkim, spf, dmarc, alignment, reverse_dns, tls, arc, null_mx
	Permanent bool   `json:"permanent"` // at least one message was given back; else all are tried again
	Messages  uint64 `json:"messages"`  // different messages; never falls
	First     int64  `json:"first"`     // Unix time
	Last      int64  `json:"last"`      // Unix time
	Text      string `json:"text"`      // what the receiver said, once
}

// ProbeState is what became of an order.
type ProbeState string

const (
	ProbeSubmitted ProbeState = "submitted" // the MTA took the message
	ProbeRefused   ProbeState = "refused"   // the MTA did not, or the agent does not do what was asked
	ProbeNotSetUp  ProbeState = "not_set_up"
)

// ProbeReport is what became of one order.
type ProbeReport struct {
	ID    string     `json:"id"`
	State ProbeState `json:"state"`
	Reply string     `json:"reply"` // what the MTA answered, or why it was not asked
}

// KeyReport is the fact about one (key, holder).
type KeyReport struct {
	ID  string `json:"id"`
	Has bool   `json:"has"` // the private key is here and loads
	// Record is the TXT value of its public half; "" while it does not exist, and when the instructions in force have the same one under
	// this id: a hundred thousand would not fit a report.
	Record string `json:"record,omitzero"`
	// Signing is true when mail is, or may still be, signed with it: it turns false only when no message in flight can
	// be signed with it any more. Standing by is false.
	Signing bool `json:"signing"`
	// Signed is the total of messages signed with it; SignedAgeSeconds the age of the last one, -1 = never. Ages, not
	// clock times, so that a wrong clock cannot shorten a retention.
	Signed           uint64 `json:"signed"`
	SignedAgeSeconds int64  `json:"signed_age_seconds"`
	// Canary is the whole signed message (CRLF line ends) for the nonce that was asked for.
	CanaryNonce string `json:"canary_nonce,omitzero"`
	Canary      []byte `json:"canary,omitzero"`
	Destroyed   bool   `json:"destroyed,omitzero"`
	Error       string `json:"error,omitzero"` // a sentence why a wish cannot be met
}

// ReportResponse tells the agent whether newer instructions wait.
type ReportResponse struct {
	Latest int64 `json:"latest"`
}
