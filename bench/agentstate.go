package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/keystore"
)

// agentSetup is an agent whose state directory is written by hand, as if its control plane had given it these keys and gone away.
type agentSetup struct {
	socket   string
	keys     *manyKeys
	listener string // what agent.yaml says of the listener beside its address
	resolver string // ADDR:PORT; "" = none is asked
	more     string // further lines of agent.yaml
}

// writeAgent makes the state directory of an agent that has joined, with one sealed file for each key, and returns the path of agent.yaml.
// Every file has its own seal, so that the agent opens, decrypts and parses each for itself; that some hold the same key makes no difference to it.
func writeAgent(dir string, a agentSetup) (config string, err error) {
	state, config, secretFile := filepath.Join(dir, "agent"), filepath.Join(dir, "agent.yaml"), filepath.Join(dir, "sealing.key")
	sealing, err := keystore.CreateSealingKeyFile(secretFile)
	if err != nil {
		return "", err
	}
	closed, err := freeAddr() // nobody listens there
	if err != nil {
		return "", err
	}
	keyDir := filepath.Join(state, "keys")
	if err := os.MkdirAll(keyDir, 0o700); err != nil {
		return "", err
	}
	const installation = "bench"
	in := agentapi.Instructions{Version: 1, Installation: installation, Epoch: 1, ReportSeconds: 300, Assignments: make([]agentapi.Assignment, a.keys.domains)}
	records := map[string]string{}
	for i := range in.Assignments {
		id := fmt.Sprintf("k%06d", i)
		key := a.keys.of(i)
		file, content, err := sealing.Sealed(id, key.pkcs8)
		if err != nil {
			return "", err
		}
		// Not made durable one by one as the agent does it: that would take minutes.
		if err := os.WriteFile(filepath.Join(keyDir, file), content, 0o600); err != nil {
			return "", err
		}
		records[id] = key.record
		in.Assignments[i] = agentapi.Assignment{ID: fmt.Sprintf("a%06d", i), Domain: a.keys.domain(i), Stream: "default", NoKey: agentapi.NoKeyPass, Keys: []agentapi.Key{
			{ID: id, Selector: selector, Algorithm: keystore.RSA2048, Want: agentapi.WantSign, Rank: 1, Record: key.record}}}
	}
	joined := time.Now()
	identity, err := writeIdentity(state, "https://"+closed, installation, joined, sealing)
	if err != nil {
		return "", err
	}
	facts := map[string]any{"installation": installation, "epoch": 1, "joined": joined, "records": records}
	for name, content := range map[string]any{"identity.json": identity, "facts.json": facts, "instructions.json": in} {
		text, err := json.Marshal(content)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(state, name), text, 0o600); err != nil {
			return "", err
		}
	}
	yaml := fmt.Sprintf("state_directory: %s\nsealing_key: {file: %s}\nlisteners:\n  - {address: \"unix:%s\", %s}\ncheck_record: off\nlog: {level: warn}\n%s", state, secretFile, a.socket, a.listener, a.more)
	if a.resolver != "" {
		yaml += fmt.Sprintf("resolver: [%q]\n", a.resolver)
	}
	return config, os.WriteFile(config, []byte(yaml), 0o600)
}

// writeIdentity makes the key and the certificate by which the agent would be known to its control plane.
func writeIdentity(state, url, installation string, joined time.Time, sealing keystore.SealingKey) (map[string]any, error) {
	store, err := keystore.Open(filepath.Join(state, "identity"), sealing)
	if err != nil {
		return nil, err
	}
	const keyID = "join-bench"
	if _, err := store.Generate(keyID, keystore.Ed25519); err != nil {
		return nil, err
	}
	signer, err := store.Signer(keyID)
	if err != nil {
		return nil, err
	}
	_, authority, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	year := joined.AddDate(1, 0, 0)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: joined, NotAfter: year, IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mx1"}, NotBefore: joined, NotAfter: year}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, authority.Public(), authority)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, signer.Public(), authority)
	if err != nil {
		return nil, err
	}
	text := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	return map[string]any{"url": url, "server_id": "mx1", "server_name": "mx1", "installation": installation, "epoch": 1, "joined_at": joined,
		"authorities": text(rootDER), "key_id": keyID, "certificate": text(leafDER), "renew_after": year}, nil
}
