package client

import (
	"context"
	"iter"
	"time"
)

// Record is a DNS record set that Postseal wants to exist.
type Record struct {
	ID        string    `json:"id"`
	Domain    string    `json:"domain"`
	Purpose   string    `json:"purpose" doc:"key, foreign, delegated, dmarc, report or slot"`
	KeyID     string    `json:"key_id,omitempty"`
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	TTL       int64     `json:"ttl" doc:"seconds"`
	Want      string    `json:"want" doc:"value that should stand; empty = nothing should"`
	Written   string    `json:"written,omitempty" doc:"value that Postseal wrote last"`
	Adopted   string    `json:"adopted,omitempty" doc:"who let Postseal take over what others made"`
	WrittenAt time.Time `json:"written_at,omitzero"`
	Pending   bool      `json:"pending,omitempty" doc:"a person has to carry the change out"`
	DNS       string    `json:"dns" doc:"agrees, differs, silent, pending, unseen, none"`
	DNSDetail string    `json:"dns_detail,omitempty"`
	SeenAt    time.Time `json:"seen_at,omitzero"`
	Condition string    `json:"condition,omitempty" doc:"what is in the way"`
	// Stands is the one value that every answering server showed at the newest look, "" = nothing; missing where they differ or show several.
	Stands *string `json:"stands,omitempty"`
	// Servers says what each showed.
	Servers []RecordServer `json:"servers,omitempty"`
	// Keys are the public keys that were seen behind a service's record, oldest first.
	Keys []RecordKey `json:"keys,omitempty"`
	// Zone is the line for a zone file: what to publish, or, as a comment, what to take away.
	Zone string `json:"zone"`
}

// RecordKey is a public key that was seen at the end of a service's record.
type RecordKey struct {
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of its SubjectPublicKeyInfo"`
	Type        string    `json:"type"`
	Bits        int       `json:"bits"`
	First       time.Time `json:"first" doc:"when it was seen for the first time"`
	Last        time.Time `json:"last"`
}

// RecordServer is what one authoritative server showed at the newest look.
type RecordServer struct {
	Server string `json:"server"`
	Answer string `json:"answer"`
}

// TakeRecord names a record that is taken over or given back.
type TakeRecord struct {
	Name   string `json:"name" maxLength:"255"`
	Type   string `json:"type,omitempty" enum:"TXT,CNAME" doc:"where there are several at the name"`
	Seen   string `json:"seen,omitempty" maxLength:"65535" doc:"to take over: the value that stands, as it was shown; empty = nothing does"`
	Reason string `json:"reason" maxLength:"500"`
}

// AdoptRecord lets Postseal change what stands at a record's name, if that is Seen.
func (c *Client) AdoptRecord(ctx context.Context, r TakeRecord) error {
	return c.post(ctx, place("records", "adopt"), r, nil)
}

// DisownRecord gives a record back.
func (c *Client) DisownRecord(ctx context.Context, r TakeRecord) error {
	return c.post(ctx, place("records", "disown"), r, nil)
}

// Records is a page of records.
type Records struct {
	Records []Record `json:"records"`
	Next    string   `json:"next,omitempty"`
}

// RecordQuery selects records.
type RecordQuery struct {
	Domain  string
	Name    string
	Pending bool
}

// Records walks over all pages of records.
func (c *Client) Records(ctx context.Context, q RecordQuery) iter.Seq2[Records, error] {
	return pages(func(after string) (Records, string, error) {
		var out Records
		v := page(after, 0)
		if q.Domain != "" {
			v.Set("domain", q.Domain)
		}
		if q.Name != "" {
			v.Set("name", q.Name)
		}
		if q.Pending {
			v.Set("pending", "true")
		}
		err := c.get(ctx, place("records"), v, &out)
		return out, out.Next, err
	})
}
