package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/postseal/postseal/internal/inventory"
)

const (
	tokenPrefix = "psa1"
	// secretSize of a token: 256 bits, so that a plain hash is enough to store it.
	secretSize = 32
	// maxToken is what is looked at: prefix, id and secret have about 70 octets.
	maxToken = 256
)

// newToken makes an id, the text that its owner keeps (psa1.ID.SECRET), and the hash that is stored.
func newToken() (id, text string, hash []byte) {
	secret := make([]byte, secretSize)
	rand.Read(secret)
	sum := sha256.Sum256(secret)
	id = inventory.NewID("at")
	return id, strings.Join([]string{tokenPrefix, id, base64.RawURLEncoding.EncodeToString(secret)}, "."), sum[:]
}

// parseToken takes a token apart; ok is false when it is none.
func parseToken(text string) (id string, hash []byte, ok bool) {
	if len(text) > maxToken {
		return "", nil, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != tokenPrefix || parts[1] == "" {
		return "", nil, false
	}
	secret, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(secret) != secretSize {
		return "", nil, false
	}
	sum := sha256.Sum256(secret)
	return parts[1], sum[:], true
}
