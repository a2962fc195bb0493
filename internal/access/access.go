package access

import (
	"context"
	"crypto/subtle"
	"regexp"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

const (
	// touchEvery is how exact LastUsed is: a write for every request would be the dearest part of it.
	touchEvery = 5 * time.Minute
	// maxNote is a line about what a token is for.
	maxNote = 200
	// maxLabels of one user; more is a misunderstanding.
	maxLabels = 64
)

// Access turns tokens into principals and keeps users. It is safe for concurrent use.
type Access struct{ storage Storage }

// New returns an Access on a store.
func New(s Storage) *Access { return &Access{storage: s} }

// errWho says the same about everything that is wrong with a token, so that nothing can be tried out.
func errWho() error {
	return fault.New(fault.Unauthenticated, "the access token is missing, unknown, expired or revoked").
		WithHint("the local administrator's token is in admin.json in the data directory of serve; others: postseal user token add NAME")
}

// Authenticate returns who a token belongs to; fault.Unauthenticated.
func (a *Access) Authenticate(ctx context.Context, token string) (Principal, error) {
	id, hash, ok := parseToken(token)
	if !ok {
		return Principal{}, errWho()
	}
	t, u, err := a.storage.Credential(ctx, id)
	if fault.CodeOf(err) == fault.NotFound {
		return Principal{}, errWho()
	}
	if err != nil {
		return Principal{}, err
	}
	now, err := a.storage.Now(ctx)
	if err != nil {
		return Principal{}, err
	}
	switch {
	case subtle.ConstantTimeCompare(t.SecretHash, hash) != 1,
		!t.Revoked.IsZero(), !u.Disabled.IsZero(),
		!t.Expires.IsZero() && !now.Before(t.Expires):
		return Principal{}, errWho()
	}
	if now.Sub(t.LastUsed) >= touchEvery {
		if err := a.storage.TouchToken(ctx, t.ID, now); err != nil {
			return Principal{}, err
		}
	}
	return Principal{Name: u.Name, Role: u.Role, Labels: u.Labels}, nil
}

// userName is what the journal can show without being mistaken for something else.
var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,63}$`)

// reserved names mean something else in the journal.
var reserved = []string{"planner", "postseal"}

// AddUser adds a user. by is the person who does it.
func (a *Access) AddUser(ctx context.Context, name string, role Role, labels []string, by string) (User, error) {
	switch {
	case !userName.MatchString(name):
		return User{}, fault.New(fault.Invalid, "%q cannot be a user's name", name).
			WithHint("up to 64 lower-case letters, digits, and . _ @ -, beginning with a letter or digit")
	case slices.Contains(reserved, name):
		return User{}, fault.New(fault.Invalid, "%q means something else in the journal", name)
	case !role.Valid():
		return User{}, fault.New(fault.Invalid, "%q is not a role", role).WithHint("viewer, operator or admin")
	case len(labels) > maxLabels:
		return User{}, fault.New(fault.Invalid, "%d labels are more than %d", len(labels), maxLabels)
	}
	now, err := a.storage.Now(ctx)
	if err != nil {
		return User{}, err
	}
	u := User{Name: name, Role: role, Labels: labels, Created: now, CreatedBy: by}
	if err := a.storage.SaveUser(ctx, u, 0, event(by, "user", "user "+name+" was added with the role "+string(role))); err != nil {
		return User{}, err
	}
	u.Revision = 1
	return u, nil
}

// DisableUser takes away a user's access; the name stays taken, so that the journal never means two people by it.
func (a *Access) DisableUser(ctx context.Context, name, by string) error {
	users, err := a.storage.Users(ctx)
	if err != nil {
		return err
	}
	admins := 0
	var u *User
	for i := range users {
		if users[i].Disabled.IsZero() && users[i].Role == Admin {
			admins++
		}
		if users[i].Name == name {
			u = &users[i]
		}
	}
	switch {
	case u == nil:
		return fault.New(fault.NotFound, "there is no user %s", name)
	case !u.Disabled.IsZero():
		return nil
	case u.Role == Admin && admins == 1:
		return fault.New(fault.Conflict, "%s is the last administrator", name).WithHint("add another one first")
	case u.Name == LocalAdmin:
		return fault.New(fault.Conflict, "%s is the local administrator, whose token is in %s", name, AdminFile).
			WithHint("revoke its token instead: serve makes a new one when it starts")
	}
	if u.Disabled, err = a.storage.Now(ctx); err != nil {
		return err
	}
	return a.storage.SaveUser(ctx, *u, u.Revision, event(by, "user", "user "+name+" was disabled"))
}

// Users returns every user by name.
func (a *Access) Users(ctx context.Context) ([]User, error) { return a.storage.Users(ctx) }

// AddToken makes a token for a user. The first result is its only copy. life 0 = until it is revoked.
func (a *Access) AddToken(ctx context.Context, user, note string, life time.Duration, by string) (string, Token, error) {
	if len(note) > maxNote || life < 0 {
		return "", Token{}, fault.New(fault.Invalid, "a token's note has at most %d octets, and its life is not negative", maxNote)
	}
	now, err := a.storage.Now(ctx)
	if err != nil {
		return "", Token{}, err
	}
	id, text, hash := newToken()
	t := Token{ID: id, User: user, Note: note, SecretHash: hash, Created: now, CreatedBy: by}
	if life > 0 {
		t.Expires = now.Add(life)
	}
	if err := a.storage.AddToken(ctx, t, event(by, "access-token", "access token "+id+" for "+user)); err != nil {
		return "", Token{}, err
	}
	return text, t, nil
}

// Tokens returns the tokens of a user ("" = of all), newest first; none has its secret.
func (a *Access) Tokens(ctx context.Context, user string) ([]Token, error) {
	return a.storage.AccessTokens(ctx, user)
}

// RevokeToken ends a token; fault.NotFound.
func (a *Access) RevokeToken(ctx context.Context, id, by string) error {
	return a.storage.RevokeToken(ctx, id, event(by, "access-token-revoke", "access token "+id+" was revoked"))
}

func event(by, step, why string) journal.Entry {
	return journal.Entry{Kind: journal.Event, Actor: by, Step: step, OK: true, Why: why}
}
