package main

import (
	"bytes"
	"crypto"
	"fmt"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// goMsgauth is github.com/emersion/go-msgauth.
type goMsgauth struct {
	key    crypto.Signer
	record string
}

func (goMsgauth) withKey(key crypto.Signer) (peer, error) { return goMsgauth{key, ""}, nil }

func (goMsgauth) name() string { return "go-msgauth" }

func (g goMsgauth) sign(m *message, count int) ([][]byte, cost, error) {
	out := make([][]byte, 0, count)
	used, err := measure(func() error {
		for range count {
			s, err := msgauth.NewSigner(&msgauth.SignOptions{
				Domain: domain, Selector: selector, Signer: g.key, HeaderKeys: signed,
				HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed,
			})
			if err != nil {
				return err
			}
			chunks(m.raw, func(b []byte) {
				if err == nil {
					_, err = s.Write(b)
				}
			})
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			out = append(out, []byte(s.Signature()))
		}
		return nil
	})
	return out, used, err
}

func (g goMsgauth) verify(m *message, count int) (cost, error) {
	lookup := func(string) ([]string, error) { return []string{g.record}, nil }
	return measure(func() error {
		for range count {
			if _, err := msgauthVerifies(m.raw, lookup); err != nil {
				return err
			}
		}
		return nil
	})
}

// msgauthVerifies verifies the one signature of a message and returns its domain.
func msgauthVerifies(raw []byte, lookup func(string) ([]string, error)) (signer string, err error) {
	got, err := msgauth.VerifyWithOptions(bytes.NewReader(raw), &msgauth.VerifyOptions{LookupTXT: lookup})
	if err != nil {
		return "", fmt.Errorf("go-msgauth: %w", err)
	}
	if len(got) != 1 {
		return "", fmt.Errorf("go-msgauth finds %d signatures", len(got))
	}
	if got[0].Err != nil {
		return "", fmt.Errorf("go-msgauth: %w", got[0].Err)
	}
	return got[0].Domain, nil
}
