package access

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/journal"
)

// Storage is what access needs of a store. Every method is one transaction. Journal entries are passed without Seq, At,
// Prev and Hash, which the store gives.
type Storage interface {
	// Now is the database's time, which never runs backwards.
	Now(ctx context.Context) (time.Time, error)
	// Credential returns a token and its user; fault.NotFound.
	Credential(ctx context.Context, tokenID string) (Token, User, error)
	// TouchToken sets LastUsed; the caller asks at most once in a while.
	TouchToken(ctx context.Context, tokenID string, at time.Time) error
	Users
	AccessTokens
}

// Users keeps users.
type Users interface {
	// Users returns every user, by name, disabled ones included.
	Users(ctx context.Context) ([]User, error)
	// SaveUser adds a user (expect 0) or changes one whose Revision is expect. fault.Conflict when the name is taken or
	// the revision moved. The store sets Revision to expect+1.
	SaveUser(ctx context.Context, u User, expect int64, e journal.Entry) error
}

// AccessTokens keeps tokens of users.
type AccessTokens interface {
	// AddToken stores a new token; fault.NotFound when its user does not exist.
	AddToken(ctx context.Context, t Token, e journal.Entry) error
	// AccessTokens returns every token of a user ("" = of all), newest first, revoked ones included.
	AccessTokens(ctx context.Context, user string) ([]Token, error)
	// RevokeToken sets Revoked to now when it is not set. fault.NotFound.
	RevokeToken(ctx context.Context, tokenID string, e journal.Entry) error
}

// User is a person or a program.
type User struct {
	Name string `json:"name"` // unique; what the journal says
	Role Role   `json:"role"`
	// Labels limit the user to domains that carry one of them; empty = every domain.
	Labels    []string  `json:"labels,omitempty"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Disabled  time.Time `json:"disabled,omitzero"`
	Revision  int64     `json:"revision"`
}

// Token is one credential of a user. The secret is nowhere: only its hash.
type Token struct {
	ID         string    `json:"id"`
	User       string    `json:"user"`
	Note       string    `json:"note,omitempty"` // what it is for
	SecretHash []byte    `json:"-"`              // SHA-256 of the 256-bit secret
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by"`
	Expires    time.Time `json:"expires,omitzero"` // zero = never
	Revoked    time.Time `json:"revoked,omitzero"`
	LastUsed   time.Time `json:"last_used,omitzero"`
}
