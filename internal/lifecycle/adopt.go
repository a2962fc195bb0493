package lifecycle

import (
	"github.com/postseal/postseal/internal/fault"
)

// Adoptable says why a person cannot let Postseal change what stands at the record's name; nil = they can. seen is the one value that they were shown,
// "" = nothing. It must be what every answering server showed at the newest look, so that nobody gives away what they have not seen. fault.Conflict.
func (r *Record) Adoptable(seen string) error {
	have, single := r.Last.Single()
	switch {
	case r.Last.At.IsZero() || r.Last.Expected != r.Want:
		return fault.New(fault.Conflict, "nobody has looked at %s since it is wanted", r.Name).WithHint("postseal check %s, then ask again", r.Domain)
	case r.Last.Problem != "":
		return fault.New(fault.Conflict, "%s cannot be looked at: %s", r.Name, r.Last.Problem)
	case !single:
		return fault.New(fault.Conflict, "at %s the servers differ, or several records stand: %s", r.Name, r.Last.Sentence()).
			WithHint("only one value that all servers show can be taken over; delete what is too much")
	case have != seen:
		return fault.New(fault.Conflict, "at %s stands %q by now", r.Name, have).WithHint("look again: postseal record list %s", r.Domain)
	case r.Purpose == ForReport && r.Publisher == "":
		return fault.New(fault.Conflict, "%s lies in a zone that Postseal does not write", r.Name).WithHint("whoever owns the zone publishes it")
	case r.Written == have && r.Written != "":
		return fault.New(fault.Conflict, "what stands at %s is Postseal's already", r.Name)
	case r.Want == "":
		return fault.New(fault.Conflict, "nothing is wanted at %s any more", r.Name).WithHint("whoever made the record must remove it")
	case r.KeyID != "" && r.FirstAgreed.IsZero():
		// A name that was never ours may carry somebody's key; the planner takes another selector instead.
		return fault.New(fault.Conflict, "%s never carried Postseal's key", r.Name).WithHint("the next key gets another selector by itself")
	case r.Pending:
		return fault.New(fault.Conflict, "a change of %s waits for a person already", r.Name)
	}
	return nil
}

// takenOver reports that a person let Postseal change what stands at the name now in place of what it wrote.
func (r *Record) takenOver() bool { return r.Adopted != "" && r.Written != r.Want && r.Want != "" }
