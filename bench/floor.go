package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"time"
)

// floor is what nobody can do without, per operation: RSA with Go's and with OpenSSL's code, and SHA-256 of a body.
type floor struct {
	goSign, goVerify   time.Duration
	sslSign, sslVerify time.Duration // 0 when libopendkim's child, which measures them, is missing
	sha                map[string]time.Duration
}

// measureFloor takes the floor's cost once; the rounds take it again and keep the median.
func measureFloor(key *keyPair, msgs []*message, ssl *child, budget time.Duration) (floor, error) {
	f := floor{sha: map[string]time.Duration{}}
	digest := sha256.Sum256([]byte("floor"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.private, crypto.SHA256, digest[:])
	if err != nil {
		return f, err
	}
	per := func(work func() error) (time.Duration, error) {
		count := 0
		used, err := measure(func() error {
			for begin := cpuTime(); cpuTime()-begin < budget; count++ {
				if err := work(); err != nil {
					return err
				}
			}
			return nil
		})
		return used.cpu / time.Duration(max(count, 1)), err
	}
	if f.goSign, err = per(func() error {
		_, err := rsa.SignPKCS1v15(rand.Reader, key.private, crypto.SHA256, digest[:])
		return err
	}); err != nil {
		return f, err
	}
	const verifiesPerLook = 50 // looking at the clock costs a twentieth of a verification
	if f.goVerify, err = per(func() error {
		for range verifiesPerLook {
			if err := rsa.VerifyPKCS1v15(&key.private.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return f, err
	}
	f.goVerify /= verifiesPerLook
	for _, m := range msgs {
		const hashesPerLook = 10
		each, err := per(func() error {
			for range hashesPerLook {
				digest = sha256.Sum256(m.body)
			}
			return nil
		})
		if err != nil {
			return f, err
		}
		f.sha[m.name] = each / hashesPerLook
	}
	if ssl == nil {
		return f, nil
	}
	const signs, verifies = 300, 5000 // about 100 ms each
	s, err := ssl.ask("rsasign", "-", signs, "-")
	if err != nil {
		return f, err
	}
	v, err := ssl.ask("rsaverify", "-", verifies, "-")
	f.sslSign, f.sslVerify = s.cpu/signs, v.cpu/verifies
	return f, err
}
