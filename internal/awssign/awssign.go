// Package awssign signs requests to the APIs of Amazon Web Services, with keys read from a file in the form that AWS's own
// tools share. The signature itself (Signature Version 4) is made by AWS's library; nothing else of its SDK is used.
package awssign

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/postseal/postseal/internal/fault"
)

// Keys are an access key. The zero value is none.
type Keys struct {
	ID      string
	Secret  string
	Session string // of temporary keys; "" for lasting ones
}

// profile is the section of a shared credentials file that counts; a file with one section may name it otherwise.
const profile = "default"

// ReadKeys reads a shared credentials file: sections in brackets, lines "name = value". Of several sections the one named default counts.
// Errors are fault.Invalid and never hold what was read.
func ReadKeys(text string) (Keys, error) {
	sections := make(map[string]*Keys)
	last, current := "", (*Keys)(nil)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			last = strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(name, "]"), "profile "))
			current = &Keys{}
			sections[last] = current
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || current == nil {
			return Keys{}, unreadable()
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			current.ID = value
		case "aws_secret_access_key":
			current.Secret = value
		case "aws_session_token":
			current.Session = value
		}
	}
	if lines.Err() != nil {
		return Keys{}, unreadable()
	}
	keys := sections[profile]
	if keys == nil && len(sections) == 1 {
		keys = sections[last]
	}
	if keys == nil || keys.ID == "" || keys.Secret == "" {
		return Keys{}, unreadable()
	}
	return *keys, nil
}

func unreadable() error {
	return fault.New(fault.Invalid, "the credential is no file with an access key of AWS").
		WithHint("write it as AWS's tools do: a line [default], then aws_access_key_id = … and aws_secret_access_key = …")
}

// Sign puts the signature on a request; body is what will be sent.
func Sign(ctx context.Context, r *http.Request, body []byte, keys Keys, service, region string, now time.Time) error {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	credentials := aws.Credentials{AccessKeyID: keys.ID, SecretAccessKey: keys.Secret, SessionToken: keys.Session}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hash, service, region, now); err != nil {
		return fault.Wrap(fault.Internal, err, "the request cannot be signed")
	}
	return nil
}
