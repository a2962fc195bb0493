package inventory

import (
	"errors"
	"strings"
	"time"
)

// Probes says where messages go that prove a path, and how often each path is proven.
type Probes struct {
	// Address is where the intake receives them, "probe@reports.example.com" in lower case: each probe has its own address, with a token after a plus sign. "" = there are
	// no probes.
	Address string `json:"address,omitempty"`
	// Every is how often each server is probed for each domain that it signs for; 0 = only when something asks for it.
	Every time.Duration `json:"every,omitempty"`
}

const (
	// DefaultProbeEvery finds within a day that something between the agent and the world changes mail, at a cost of one small message.
	DefaultProbeEvery = 24 * time.Hour
	// minProbeEvery keeps a fleet's probes from becoming a load: 200 domains on one server are some three messages a minute.
	minProbeEvery = time.Hour
	// ProbeToken is how long a token is: 128 bits in base32, so that nobody guesses an address that is open.
	ProbeToken = 26
	// maxProbeLocal leaves room for a plus sign and a token in a local part (64 octets, RFC 5321 §4.5.3.1.1).
	maxProbeLocal = 64 - 1 - ProbeToken
)

// AddressOf is where a probe with this token goes.
func (p Probes) AddressOf(token string) string {
	local, host, _ := strings.Cut(p.Address, "@")
	return local + "+" + token + "@" + host
}

// TokenIn returns the token of a recipient; ok is false when the address is not one of a probe. It says nothing about whether there is such a probe.
func (p Probes) TokenIn(recipient string) (token string, ok bool) {
	local, host, found := strings.Cut(p.Address, "@")
	if !found {
		return "", false
	}
	recipient = strings.ToLower(recipient)
	rest, found := strings.CutPrefix(recipient, local+"+")
	if !found {
		return "", false
	}
	token, at, _ := strings.Cut(rest, "@")
	return token, strings.TrimSuffix(at, ".") == host && isProbeToken(token)
}

func isProbeToken(s string) bool {
	return len(s) == ProbeToken && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// probeAddress normalises the address and says what is wrong with it.
func probeAddress(s string) (string, error) {
	local, host, found := strings.Cut(strings.ToLower(s), "@")
	if !found || local == "" || strings.Trim(local, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return s, errors.New("is not an address such as probe@reports.example.com")
	}
	if len(local) > maxProbeLocal {
		return s, errors.New("leaves no room for a token: its local part is too long")
	}
	host, err := ASCII(host)
	if err == nil {
		err = checkDomain(host)
	}
	if err != nil {
		return s, errors.New("names no host: it " + err.Error())
	}
	return local + "@" + host, nil
}
