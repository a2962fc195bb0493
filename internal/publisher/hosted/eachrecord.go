package hosted

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
)

// Records are the three things that an API does with single records. Update and Remove get the record as it was read, with its ID.
type Records struct {
	Create func(ctx context.Context, r Record) error
	Update func(ctx context.Context, old, r Record) error
	Remove func(ctx context.Context, old Record) error
}

// Each carries out a write for an API that knows single records only. One value that replaces another is one update, so that the name is never empty in
// between; removals come last. A record that is gone already is removed.
func (w Write) Each(ctx context.Context, do Records) error {
	surplus, missing := difference(w.Have, w.Want)
	for len(surplus) > 0 && len(missing) > 0 {
		if err := do.Update(ctx, surplus[0], missing[0]); err != nil {
			return err
		}
		surplus, missing = surplus[1:], missing[1:]
	}
	for _, r := range missing {
		if err := do.Create(ctx, r); err != nil {
			return err
		}
	}
	for _, r := range surplus {
		if err := do.Remove(ctx, r); err != nil && fault.CodeOf(err) != fault.NotFound {
			return err
		}
	}
	return nil
}

// difference returns the records that are there and not wanted, and those that are wanted and not there. Equal values are matched one to one.
func difference(have, want []Record) (surplus, missing []Record) {
	left := make(map[string]int)
	for _, r := range want {
		left[compared(r)]++
	}
	for _, r := range have {
		if left[compared(r)] > 0 {
			left[compared(r)]--
			continue
		}
		surplus = append(surplus, r)
	}
	for _, r := range want {
		if left[compared(r)] > 0 {
			left[compared(r)]--
			missing = append(missing, r)
		}
	}
	return surplus, missing
}
