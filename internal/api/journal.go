package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

// checkPage is how many entries of the chain are held in memory at a time.
const checkPage = 1000

type journalInput struct {
	Domain string `query:"domain" maxLength:"255"`
	Key    string `query:"key" maxLength:"64" doc:"id of a key"`
	Actor  string `query:"actor" maxLength:"128"`
	Before int64  `query:"before" minimum:"0" doc:"entries with smaller numbers"`
	Limit  int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

func (a *API) journalRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/journal", id: "journal", summary: "What was done and why, newest first", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *journalInput) (client.Entries, error) {
			f := JournalFilter{KeyID: in.Key, Actor: in.Actor, Before: in.Before, Limit: pageInput{Limit: in.Limit}.limit()}
			if in.Domain != "" {
				d, err := a.domain(ctx, who, in.Domain)
				if err != nil {
					return client.Entries{}, err
				}
				f.Domain = d.Name
			} else if len(who.Labels) > 0 {
				return client.Entries{}, fault.New(fault.Denied, "%s may read the journal of one domain at a time", who.Name).WithHint("name the domain")
			}
			entries, err := a.storage.Journal(ctx, f)
			return client.Entries{Entries: convert(entries, entryOut)}, err
		})
	register(a, h, op{method: http.MethodGet, path: "/journal/check", id: "journal-check", summary: "Recompute the chain of the whole journal", role: access.Viewer,
		what: "check the journal", everything: true}, a.checkJournal)
}

func (a *API) checkJournal(ctx context.Context, _ access.Principal, _ *none) (client.ChainCheck, error) {
	out := client.ChainCheck{OK: true}
	for {
		entries, err := a.storage.Journal(ctx, JournalFilter{After: out.Last, Limit: checkPage, Ascending: true})
		if err != nil || len(entries) == 0 {
			return out, err
		}
		if entries[0].Seq != out.Last+1 {
			out.OK, out.Problem = false, "the journal does not begin, or go on, where it should: entries are missing"
			return out, nil
		}
		for i := range entries {
			if err := journal.Check(out.Hash, entries[i:i+1]); err != nil {
				out.OK, out.Problem = false, err.Error()
				return out, nil
			}
			if entries[i].Seq != out.Last+1 {
				out.OK, out.Problem = false, "entries are missing"
				return out, nil
			}
			out.Checked++
			out.Last, out.Hash = entries[i].Seq, entries[i].Hash
		}
	}
}

func entryOut(e journal.Entry) client.Entry {
	return client.Entry{Seq: e.Seq, At: e.At, Kind: string(e.Kind), Actor: e.Actor, Domain: e.Domain, KeyID: e.KeyID, Step: e.Step, Why: e.Why,
		Intent: e.Intent, OK: e.OK, Detail: e.Detail, Prev: e.Prev, Hash: e.Hash}
}
