package agent

// Reason is a stable word that says why a message of ours was not signed. The words are part of the contract with the control
// plane (agentapi.Report.Unsigned), of logs and of `postseal agent status`; none is ever reused for another meaning.
type Reason string

const (
	signed  Reason = ""  // it was signed
	notOurs Reason = "-" // it is not ours to sign: nothing to count

	// The author's domain could not be told.
	ReasonFromMissing        Reason = "from_missing"         // no From field
	ReasonFromMultipleFields Reason = "from_multiple_fields" // more than one From field
	ReasonFromMultiple       Reason = "from_multiple"        // more than one address in it
	ReasonFromGroup          Reason = "from_group"           // group syntax
	ReasonFromUnparsable     Reason = "from_unparsable"      // not an address that every reader reads alike

	// There is nothing to sign with.
	ReasonNotAssigned    Reason = "not_assigned"    // no assignment for this domain
	ReasonNotAllowed     Reason = "not_allowed"     // assigned, but the local list of domains forbids it
	ReasonRule           Reason = "rule"            // a rule of agent.yaml says so
	ReasonNoKey          Reason = "no_key"          // assigned, no key that may and can sign
	ReasonKeyUnavailable Reason = "key_unavailable" // the key did not load
	ReasonSignFailed     Reason = "sign_failed"     // the key loaded and did not sign

	// The author is not the sender's.
	ReasonEnvelopeMismatch Reason = "envelope_mismatch" // the domain in From is not the envelope sender's
	ReasonLoginMismatch    Reason = "login_mismatch"    // the domain in From is not the login's
	ReasonLoginNotAllowed  Reason = "login_not_allowed" // the login may not use this domain

	// The octets that will arrive cannot be predicted.
	ReasonBareCR         Reason = "bare_cr"          // a CR without LF
	ReasonBareLF         Reason = "bare_lf"          // a LF without CR in the body
	ReasonNUL            Reason = "nul"              // a NUL
	ReasonHeaderSyntax   Reason = "header_syntax"    // a field that is not one
	ReasonLongLine       Reason = "long_line"        // more than 998 octets, which SMTP clients break
	ReasonHeaderTooLarge Reason = "header_too_large" // more header than is kept
	ReasonTooManyFields  Reason = "too_many_fields"  // more fields than are kept

	// Our own trouble.
	ReasonOverload   Reason = "overload"    // too many messages at once
	ReasonMTARefused Reason = "mta_refused" // the MTA does not let us add a field
	ReasonInternal   Reason = "internal"    // our own mistake, in the log with its place
)

// reasons are all that are counted, in the order in which people see them.
var reasons = [...]Reason{
	ReasonFromMissing, ReasonFromMultipleFields, ReasonFromMultiple, ReasonFromGroup, ReasonFromUnparsable,
	ReasonNotAssigned, ReasonNotAllowed, ReasonRule, ReasonNoKey, ReasonKeyUnavailable, ReasonSignFailed,
	ReasonEnvelopeMismatch, ReasonLoginMismatch, ReasonLoginNotAllowed,
	ReasonBareCR, ReasonBareLF, ReasonNUL, ReasonHeaderSyntax, ReasonLongLine, ReasonHeaderTooLarge, ReasonTooManyFields,
	ReasonOverload, ReasonMTARefused, ReasonInternal,
}
