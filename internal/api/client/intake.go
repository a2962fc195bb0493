package client

import (
	"context"
	"time"
)

// IntakeWay is how one way by which reports get in fares. Counts are those since the process began.
type IntakeWay struct {
	Way         string    `json:"way" doc:"smtp, imap or folder"`
	Place       string    `json:"place"`
	Up          bool      `json:"up" doc:"the listener listens, the mailbox is open, the folder could be read"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastInput   time.Time `json:"last_input,omitzero" doc:"when something was stored"`
	LastError   time.Time `json:"last_error,omitzero"`
	Error       string    `json:"error,omitempty"`
	Stored      uint64    `json:"stored"`
	Unread      uint64    `json:"unread" doc:"of the stored ones: without a report that can be read"`
	Again       uint64    `json:"again" doc:"of the stored ones: the same octets had been there before"`
	Verified    uint64    `json:"verified" doc:"of the stored ones: the mail comes from whom it says"`
	Probes      uint64    `json:"probes"`
	Refused     uint64    `json:"refused" doc:"will never be taken"`
	Deferred    uint64    `json:"deferred" doc:"stays where it is for now"`
}

// Intake is every way by which reports get in, of the replica that answers.
type Intake struct {
	Ways []IntakeWay `json:"ways"`
}

// Intake returns how the ways fare by which reports get in.
func (c *Client) Intake(ctx context.Context) (Intake, error) {
	var out Intake
	return out, c.get(ctx, place("intake"), nil, &out)
}
