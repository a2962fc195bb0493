package dkim

import (
	"context"
	"errors"
	"io"
)

// Errors of the signing side and of whole messages.
var (
	ErrNoFrom         = errors.New("dkim: the message has not exactly one From field")
	ErrKeyUnsupported = errors.New("dkim: the key is neither RSA of 1024 to 4096 bits nor Ed25519")
)

// VerifyMessage verifies a whole message.
func VerifyMessage(ctx context.Context, r io.Reader, opts VerifyOptions) ([]Result, error) { return nil, nil }

// SignMessage signs a whole message.
func SignMessage(r io.Reader, signings ...Signing) ([][]byte, error) { return nil, ErrNoFrom }
