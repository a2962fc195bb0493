package agentapi

import "time"

// JoinRequest asks for an identity.
type JoinRequest struct {
	Version  int    `json:"version"`
	Token    string `json:"token"`    // id and secret of the join token, as given to the administrator
	CSR      []byte `json:"csr"`      // DER PKCS#10; its key is the agent's identity key, made on this machine
	Hostname string `json:"hostname"` // informational
}

// JoinResponse is the identity. Server ids are durable: a server that joins again keeps its id and its keys' history,
// and its older certificate is revoked.
type JoinResponse struct {
	ServerID     string    `json:"server_id"`
	ServerName   string    `json:"server_name"`
	Installation string    `json:"installation"` // id of the control plane's installation
	Epoch        int64     `json:"epoch"`        // grows when ownership is rebuilt after a restore
	Certificate  []byte    `json:"certificate"`  // PEM chain, leaf first
	Authorities  []byte    `json:"authorities"`  // PEM bundle; two during a renewal of the CA
	RenewAfter   time.Time `json:"renew_after"`
}

// RenewRequest asks for a certificate for a new identity key.
type RenewRequest struct {
	Version int    `json:"version"`
	CSR     []byte `json:"csr"`
}

// RenewResponse is the new certificate.
type RenewResponse struct {
	Certificate []byte    `json:"certificate"`
	Authorities []byte    `json:"authorities"`
	RenewAfter  time.Time `json:"renew_after"`
}
