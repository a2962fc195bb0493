package nameserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	clientCookie = 8  // octets, RFC 7873 §4.1
	serverCookie = 16 // octets, RFC 9018 §4: version, reserved, time, hash

	// How old a cookie of ours may be, and how far ahead (RFC 9018 §4.3).
	cookieAge   = time.Hour
	cookieAhead = 5 * time.Minute
)

// cookies makes server cookies in the layout of RFC 9018. They show that a client gets what is sent to its address, so that it need not
// be limited. Each process has a secret of its own: a client that meets another instance gets a new cookie with its answer.
type cookies struct {
	hashes sync.Pool
}

func newCookies() *cookies {
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	return &cookies{hashes: sync.Pool{New: func() any { return &keyed{hash: hmac.New(sha256.New, secret)} }}}
}

// keyed is a hash with room for what it takes and gives.
type keyed struct {
	hash hash.Hash
	in   []byte
	sum  [sha256.Size]byte
}

// cookieRoom is how many octets of the reply's OPT record the cookie takes.
func cookieRoom(q *query) int {
	if q.cookie == nil {
		return 0
	}
	return 4 + clientCookie + serverCookie
}

// appendTo appends the option with the client's cookie and a fresh one of ours.
func (c *cookies) appendTo(out []byte, q *query, from client) []byte {
	out = binary.BigEndian.AppendUint16(out, dns.EDNS0COOKIE)
	out = binary.BigEndian.AppendUint16(out, clientCookie+serverCookie)
	out = append(out, q.cookie[:clientCookie]...)
	at := len(out)
	out = append(out, 1, 0, 0, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(from.now.Unix()))
	return c.sum(out, q.cookie[:clientCookie], out[at:at+8], from)
}

// valid reports whether the client shows a cookie that we gave to this address not long ago.
func (c *cookies) valid(q *query, from client) bool {
	if len(q.cookie) != clientCookie+serverCookie {
		return false
	}
	ours := q.cookie[clientCookie:]
	age := time.Duration(int32(uint32(from.now.Unix())-binary.BigEndian.Uint32(ours[4:]))) * time.Second // RFC 1982
	if ours[0] != 1 || age > cookieAge || age < -cookieAhead {
		return false
	}
	var want [sha256.Size]byte
	sum := c.sum(want[:0], q.cookie[:clientCookie], ours[:8], from)
	return subtle.ConstantTimeCompare(sum, ours[8:]) == 1
}

// sum appends the eight octets that nobody else can make.
func (c *cookies) sum(out, theirs, ours []byte, from client) []byte {
	k := c.hashes.Get().(*keyed)
	defer c.hashes.Put(k)
	addr := from.addr.As16()
	k.in = append(append(append(k.in[:0], theirs...), ours...), addr[:]...)
	k.hash.Reset()
	k.hash.Write(k.in)
	return append(out, k.hash.Sum(k.sum[:0])[:8]...)
}
