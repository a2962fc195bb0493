package mtalog

import (
	"hash/maphash"
	"strings"
)

const (
	// maxSenders is how many messages' senders are remembered: Postfix has 20,000 messages at work at most (qmgr_message_active_limit), and says the
	// sender again each time it takes one up.
	maxSenders = 20_000
	// maxDomains is how many different domains are kept as one text each.
	maxDomains = 4096
	// maxName is the length of a domain in octets (RFC 1035 §2.3.4).
	maxName = 253
)

// senders remembers who sent which message. The oldest is forgotten first. A queue id is kept as a hash of 64 bits.
type senders struct {
	seed    maphash.Seed
	slot    map[uint64]int32
	entries []sender // a ring
	next    int
	domains map[string]string
}

type sender struct {
	key    uint64
	domain string
}

func newSenders() *senders {
	return &senders{seed: maphash.MakeSeed(), slot: map[uint64]int32{}, domains: map[string]string{}}
}

// key names a message of an instance of the MTA.
func (s *senders) key(instance, id []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.Write(instance)
	_ = h.WriteByte(0)
	_, _ = h.Write(id)
	return h.Sum64()
}

// learn notes the sender's address.
func (s *senders) learn(key uint64, address []byte) {
	domain := s.domain(address)
	if at, known := s.slot[key]; known {
		s.entries[at].domain = domain
		return
	}
	if len(s.entries) < maxSenders {
		s.slot[key] = int32(len(s.entries))
		s.entries = append(s.entries, sender{key, domain})
		return
	}
	if old := s.entries[s.next].key; s.slot[old] == int32(s.next) {
		delete(s.slot, old)
	}
	s.slot[key] = int32(s.next)
	s.entries[s.next] = sender{key, domain}
	s.next = (s.next + 1) % maxSenders
}

// of returns the domain of a message's sender; "" when it has none or is not known.
func (s *senders) of(key uint64) string {
	if at, known := s.slot[key]; known {
		return s.entries[at].domain
	}
	return ""
}

// domain returns the domain of an address, one text for each.
func (s *senders) domain(address []byte) string {
	at := len(address) - 1
	for ; at >= 0 && address[at] != '@'; at-- {
	}
	if at < 0 {
		return ""
	}
	name := address[at+1:]
	if domain, known := s.domains[string(name)]; known {
		return domain
	}
	domain := ""
	if isName(string(name)) {
		domain = strings.ToLower(string(name))
	}
	if len(s.domains) >= maxDomains {
		clear(s.domains)
	}
	s.domains[strings.Clone(string(name))] = domain
	return domain
}

// domainOf returns the domain of an address; "" when that has none.
func domainOf(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 && isName(address[at+1:]) {
		return strings.ToLower(address[at+1:])
	}
	return ""
}

// isName reports whether a text may be a domain: labels of letters, digits, hyphens and underscores, or of letters beyond ASCII (RFC 6531).
func isName(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '.' || strings.Contains(name, "..") || !strings.Contains(name, ".") {
		return false
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		case r > 0x9f && r != '\uFFFD' && !isOdd(r):
		default:
			return false
		}
	}
	return true
}
