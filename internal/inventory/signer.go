package inventory

import "time"

// SignerKind tells servers, pools and services apart.
type SignerKind string

const (
	KindServer  SignerKind = "server"
	KindPool    SignerKind = "pool"
	KindService SignerKind = "service"
)

// Signer is whatever signs for a domain (RFC 6376 §2.1). Its ID is durable: it survives renaming and joining again.
type Signer struct {
	ID   string     `json:"id"`
	Kind SignerKind `json:"kind"`
	Name string     `json:"name"` // unique per installation
	// Label is the first part of its selectors; default the name of a server. Never parsed.
	Label string `json:"label"`
	// Service is the catalogue id of a service ("google-workspace").
	Service string `json:"service,omitempty"`
	// SendsFrom is how a server shows itself to others.
	SendsFrom
	// Members are the server ids of a pool.
	Members []string `json:"members,omitempty"`
	// Decommissioned is when a named person declared the server gone; zero while it is in use. A gone server holds
	// nothing: its keys' retention starts here.
	Decommissioned   time.Time `json:"decommissioned,omitzero"`
	DecommissionedBy string    `json:"decommissioned_by,omitempty"`
}

// SendsFrom is how a mail server shows itself to those that it sends to.
type SendsFrom struct {
	HELO      string   `json:"helo,omitempty"`      // the name that it says in HELO or EHLO; "" = not known
	Addresses []string `json:"addresses,omitempty"` // from which it sends, IPv4 or IPv6, in canonical form
	Networks  []string `json:"networks,omitempty"`  // in which its address changes, or that it shares behind a router; with a prefix length, in canonical form
}

func (s SendsFrom) equal(t SendsFrom) bool {
	return s.HELO == t.HELO && sameSet(s.Addresses, t.Addresses) && sameSet(s.Networks, t.Networks)
}

// Holders returns the ids of the servers that hold this signer's keys: a server itself, a pool's members, nobody for a
// service.
func (s Signer) Holders() []string {
	switch s.Kind {
	case KindServer:
		return []string{s.ID}
	case KindPool:
		return s.Members
	default:
		return nil
	}
}
