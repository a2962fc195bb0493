package webapi

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
)

// maxPages is how many pages of a list are read. Lists are asked for by name, so that more than one page is rare; a list of all zones has
// some hundred to the page.
const maxPages = 100

// Pages reads a list page by page, the first being 1. page returns the entries and whether there is a next one. A list that does not end is fault.Unavailable.
func Pages[T any](ctx context.Context, c *Client, page func(ctx context.Context, number int) (entries []T, more bool, err error)) ([]T, error) {
	var out []T
	for number := 1; number <= maxPages; number++ {
		entries, more, err := page(ctx, number)
		if err != nil {
			return nil, err
		}
		out = append(out, entries...)
		if !more {
			return out, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "a list of %s does not end after %d pages", c.api.Vendor, maxPages).
		WithHint("nothing was changed; if this goes on, the vendor's API is at fault")
}
