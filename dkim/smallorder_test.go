package dkim

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// TestSmallOrderPoints: under such a key one signature fits many messages or all, so no record may hold one, whatever the sign of x.
func TestSmallOrderPoints(t *testing.T) {
	// R is the identity and S is zero: what a forger would write. It fits where the message's hash is a multiple of the key's order.
	forged := append([]byte(smallOrderPoints[0]), make([]byte, 32)...)
	for _, y := range smallOrderPoints {
		for _, sign := range []byte{0, 0x80} {
			key := []byte(y)
			key[31] |= sign
			fits := 0
			for i := range 400 {
				if ed25519.Verify(key, []byte{byte(i), byte(i >> 8)}, forged) {
					fits++
				}
			}
			if fits < 20 { // 400/8 are expected for order 8
				t.Errorf("%x: %d of 400 messages are forged: no point of small order, or crypto/ed25519 refuses them by itself now", key, fits)
			}
			_, err := ParseKeyRecord("v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key))
			if !errors.Is(err, ReasonKeySyntax) || !strings.Contains(err.Error(), "small order") {
				t.Errorf("%x: %v", key, err)
			}
		}
	}
	if _, err := ParseKeyRecord("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="); err != nil {
		t.Errorf("a good key: %v", err)
	}
}
