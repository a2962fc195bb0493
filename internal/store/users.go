package store

import (
	"context"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

const userColumns = `u.name, u.role, u.labels, u.created, u.created_by, u.disabled, u.revision`

// Users returns every user, by name, disabled ones included.
func (s *Store) Users(ctx context.Context) (users []access.User, err error) {
	err = s.read(ctx, "read the users", func(t *tx) error {
		users, err = list(ctx, t, `SELECT `+userColumns+` FROM users u ORDER BY u.name`, nil, func(s scanner, u *access.User) error { return s(userInto(u)...) })
		return err
	})
	return users, err
}

// SaveUser adds a user (expect 0) or changes one whose Revision is expect. fault.Conflict when the name is taken or the
// revision moved. Created and CreatedBy stay as they were first.
func (s *Store) SaveUser(ctx context.Context, u access.User, expect int64, e journal.Entry) error {
	return s.write(ctx, "save a user", func(t *tx) error {
		labels, err := toJSON(u.Labels)
		if err != nil {
			return err
		}
		var n int64
		if expect == 0 {
			n, err = t.exec(ctx, `INSERT INTO users (name, role, labels, created, created_by, disabled, revision) VALUES (`+marks(1, 6)+`, 1) ON CONFLICT (name) DO NOTHING`,
				u.Name, u.Role, labels, u.Created, u.CreatedBy, u.Disabled)
		} else {
			n, err = t.exec(ctx, `UPDATE users SET role = $1, labels = $2, disabled = $3, revision = revision + 1 WHERE name = $4 AND revision = $5`,
				u.Role, labels, u.Disabled, u.Name, expect)
		}
		switch {
		case err != nil:
			return err
		case n == 0 && expect == 0:
			return fault.New(fault.Conflict, "there is a user %s already", u.Name)
		case n == 0:
			return fault.New(fault.Conflict, "user %s changed meanwhile", u.Name)
		}
		t.journal(e)
		return nil
	})
}

func userInto(u *access.User) []any {
	return []any{&u.Name, &u.Role, fromJSON(&u.Labels), at(&u.Created), &u.CreatedBy, at(&u.Disabled), &u.Revision}
}
