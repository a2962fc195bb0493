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
	// Members are the server ids of a pool.
	Members []string `json:"members,omitempty"`
	// Decommissioned is when a named person declared the server gone; zero while it is in use. A gone server holds
	// nothing: its keys' retention starts here.
	Decommissioned   time.Time `json:"decommissioned,omitzero"`
	DecommissionedBy string    `json:"decommissioned_by,omitempty"`
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
