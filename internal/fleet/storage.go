package fleet

import (
	"context"
	"net/netip"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// Storage is what the fleet needs of a store. Every method is one transaction. Journal entries are passed without Seq,
// At, Prev and Hash, which the store gives.
type Storage interface {
	Clock
	Tokens
	Identities
	Conversation
}

// Clock is the time and the name of the installation.
type Clock interface {
	// Now is the database's time, which never runs backwards.
	Now(ctx context.Context) (time.Time, error)
	// Installation returns the id and epoch of this installation; they are made with the database.
	Installation(ctx context.Context) (Installation, error)
}

// Tokens keeps join tokens.
type Tokens interface {
	// AddJoinToken stores a new token. fault.NotFound when its server is not in the inventory.
	AddJoinToken(ctx context.Context, t JoinToken, e journal.Entry) error
	// JoinToken returns one token; fault.NotFound.
	JoinToken(ctx context.Context, id string) (JoinToken, error)
	// JoinTokens returns all tokens, newest first, used and expired ones included for as long as the store keeps them.
	JoinTokens(ctx context.Context) ([]JoinToken, error)
	// RevokeJoinToken sets Revoked to the present time when it is not set yet. fault.NotFound.
	RevokeJoinToken(ctx context.Context, id string, e journal.Entry) error
}

// Identities keeps the certificates that were issued to agents.
type Identities interface {
	// Server returns one server by its durable id, also a decommissioned one; fault.NotFound.
	Server(ctx context.Context, id string) (inventory.Signer, error)
	// Enrol records the first certificate of a joining agent and the use of its token in one transaction: the token's
	// Uses must still be expectUses (fault.Conflict otherwise) and grows by one; its UsedKey becomes id.KeyHash; every
	// other identity of id.ServerID gets RefusedFrom = now where that is later or zero.
	Enrol(ctx context.Context, tokenID string, expectUses int, id Identity, e journal.Entry) error
	// AddIdentity records a renewed certificate. Older ones go on until FirstUse.
	AddIdentity(ctx context.Context, id Identity, e journal.Entry) error
	// Identity returns one certificate by its serial; fault.NotFound.
	Identity(ctx context.Context, serial string) (Identity, error)
	// IdentityByKey returns the newest certificate of a server for an identity key; fault.NotFound.
	IdentityByKey(ctx context.Context, serverID string, keyHash []byte) (Identity, error)
	// FirstUse notes that an agent has its certificate: FirstUsed = now where it is zero, and every identity of the same
	// server that was issued before gets RefusedFrom = now + grace where that is later or zero.
	FirstUse(ctx context.Context, serial string, grace time.Duration) error
}

// Conversation is what agents are told and what they say.
type Conversation interface {
	// InstructionVersions returns the present instruction version of each of these servers, which is never below 1; unknown
	// ones are missing.
	InstructionVersions(ctx context.Context, serverIDs []string) (map[string]int64, error)
	// Instructions composes Version and Assignments for one server from the holdings, in one read transaction, sorted
	// by domain, stream and selector, with one entry for each domain and stream. Keys that the holder has reported as destroyed are left out. The rest of the
	// message is the fleet's. fault.NotFound when there is no such server.
	Instructions(ctx context.Context, serverID string) (agentapi.Instructions, error)
	// ReportedKeys says, of the keys that a report names, which exist and whether this server holds them. A key that
	// does not exist (any more) is missing in the answer.
	ReportedKeys(ctx context.Context, serverID string, keyIDs []string) (map[string]ReportedKey, error)
	// SaveReport stores the facts of a report (of the holdings: Has, Value, Signing, Signed, LastSigned = now −
	// age, Acked, Reported, Skew, CanaryVerified, Error), the agent's software, applied version and unsigned counters,
	// adds its refusals, and returns the server's present instruction version. Where a fact changed the domain's work is due now.
	SaveReport(ctx context.Context, serverID string, r CheckedReport) (latest int64, err error)
	// Journal writes one event; used for refusals.
	Journal(ctx context.Context, e journal.Entry) error
}

// Installation names one installation of the control plane.
type Installation struct {
	ID string `json:"id"`
	// Epoch grows when ownership is rebuilt after a restore; an agent refuses a lower one than it has seen.
	Epoch int64 `json:"epoch"`
}

// JoinToken is the right to become a certain server once, for a while. The secret itself is nowhere: only its hash.
type JoinToken struct {
	ID         string
	SecretHash []byte // SHA-256 of the 256-bit secret
	ServerID   string // the server that the joiner becomes; "" for a pool's token
	Server     string // its name, for people
	PoolID     string // pool that each joiner becomes a member of; "" = none
	MaxUses    int    // 1 for a server's token
	Uses       int
	// Network limits from where it may be used; the zero Prefix = anywhere.
	Network   netip.Prefix
	Created   time.Time
	CreatedBy string
	Expires   time.Time
	Revoked   time.Time // zero = not revoked
	UsedAt    time.Time // last use
	UsedKey   []byte    // SHA-256 of the SubjectPublicKeyInfo of the identity key that used it last
}

// Identity is one client certificate of an agent.
type Identity struct {
	Serial   string // lower-case hex, no separators
	ServerID string
	KeyHash  []byte // SHA-256 of the SubjectPublicKeyInfo
	// Certificate is DER; kept so that a repeated request gets the same answer.
	Certificate []byte
	TokenID     string // the token it was joined with; "" for a renewal
	Issued      time.Time
	NotAfter    time.Time
	FirstUsed   time.Time // when the agent showed that it has it
	// RefusedFrom is from when it is not accepted although it has not expired; zero = accepted. It may lie in the future.
	RefusedFrom time.Time
}

// ReportedKey is what is known of a key that an agent speaks of.
type ReportedKey struct {
	Held     bool // by the server that speaks
	Domain   string
	Selector string
	// Record is the TXT value of the public half; "" = not known yet.
	Record string
	// Canary is the nonce asked for; "" = none. CanaryVerified says that this holder's canary for it was verified already.
	Canary         string
	CanaryVerified bool
}

// CheckedReport is a report within its limits, about keys of this server only, with canaries judged.
type CheckedReport struct {
	Received agentapi.Report // Keys holds only keys that this server holds; canaries are stripped. Refusals holds only those of near hours
	// Skew is the agent's clock minus the database's.
	Skew time.Duration
	// Canaries has the verdict for every key whose canary was looked at, by key id.
	Canaries map[string]CanaryVerdict
}

// CanaryVerdict is what became of one canary.
type CanaryVerdict struct {
	Nonce    string
	Verified bool
	Problem  string // a sentence when it did not verify
}
