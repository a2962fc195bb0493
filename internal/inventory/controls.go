package inventory

import "time"

// Hold stops planned changes of one domain, until a time or until it is released. It never stops a fallback to a
// working key, nor an act of compromise.
type Hold struct {
	Domain string    `json:"domain"`
	Until  time.Time `json:"until,omitzero"` // zero = until released
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Freeze stops planned changes of every domain.
type Freeze struct {
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Window is a change window: planned changes happen only inside one, when any is declared.
type Window struct {
	Days []time.Weekday `json:"days,omitempty"` // empty = every day
	From string         `json:"from"`           // "22:00"
	To   string         `json:"to"`             // "04:00"; earlier than From = ends the next day
	Zone string         `json:"zone"`           // IANA time zone; "" = UTC
}

// Waiver lets a listed authoritative server be ignored while it is unreachable: a named person's word, with an end.
type Waiver struct {
	Domain string    `json:"domain"`
	Server string    `json:"server"` // as the resolver names it
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Approval is a named person's yes to one step of one key.
type Approval struct {
	KeyID string    `json:"key_id"`
	Step  string    `json:"step"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

// Controls are everything an operator has said about when a domain may change.
type Controls struct {
	Holds     []Hold     `json:"holds,omitempty"`
	Freezes   []Freeze   `json:"freezes,omitempty"`
	Windows   []Window   `json:"windows,omitempty"`
	Waivers   []Waiver   `json:"waivers,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`
	// NeedApproval lists the steps of this domain that wait for a named person ("activate", "remove", …).
	NeedApproval []string `json:"need_approval,omitempty"`
}
