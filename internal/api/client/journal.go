package client

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"
)

// Entry is one line of the journal.
type Entry struct {
	Seq    int64           `json:"seq"`
	At     time.Time       `json:"at"`
	Kind   string          `json:"kind" doc:"intent, outcome or event"`
	Actor  string          `json:"actor"`
	Domain string          `json:"domain,omitempty"`
	KeyID  string          `json:"key_id,omitempty"`
	Step   string          `json:"step"`
	Why    string          `json:"why"`
	Intent int64           `json:"intent,omitempty" doc:"the intent that an outcome ends"`
	OK     bool            `json:"ok"`
	Detail json.RawMessage `json:"detail,omitempty"`
	Prev   string          `json:"prev" doc:"hash of the entry before"`
	Hash   string          `json:"hash"`
}

// Entries is a page of the journal.
type Entries struct {
	Entries []Entry `json:"entries"`
}

// JournalQuery selects entries, newest first.
type JournalQuery struct {
	Domain string
	Key    string
	Actor  string
	Before int64
	Limit  int
}

// ChainCheck is what a check of the journal's chain found.
type ChainCheck struct {
	OK      bool   `json:"ok"`
	Checked int64  `json:"checked" doc:"entries looked at"`
	Last    int64  `json:"last" doc:"number of the last good entry"`
	Hash    string `json:"hash" doc:"its hash; keep it elsewhere to notice a journal that was written anew"`
	Problem string `json:"problem,omitempty"`
}

// Journal returns entries, newest first.
func (c *Client) Journal(ctx context.Context, q JournalQuery) (Entries, error) {
	v := url.Values{}
	for name, value := range map[string]string{"domain": q.Domain, "key": q.Key, "actor": q.Actor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Before > 0 {
		v.Set("before", strconv.FormatInt(q.Before, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out Entries
	return out, c.get(ctx, place("journal"), v, &out)
}

// CheckJournal recomputes the whole chain.
func (c *Client) CheckJournal(ctx context.Context) (ChainCheck, error) {
	var out ChainCheck
	return out, c.get(ctx, place("journal", "check"), nil, &out)
}
