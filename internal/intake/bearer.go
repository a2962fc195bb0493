package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postseal/postseal/internal/fault"
)

// The SASL mechanisms for access tokens, the one that Microsoft and Google document first.
//
// XOAUTH2: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol and
// https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth. OAUTHBEARER: RFC 7628.
const (
	xoauth2     = "XOAUTH2"
	oauthBearer = "OAUTHBEARER"
)

// bearer logs in with an access token. It is a sasl.Client of package imapclient, for one exchange.
type bearer struct {
	mechanism string
	initial   string
	challenge []byte // what the server says when it refuses the token
	refused   bool
}

// newBearer chooses the mechanism. host and port are those of the server.
func newBearer(caps imap.CapSet, user, address, token string) (*bearer, error) {
	switch {
	case caps.Has(imap.AuthCap(xoauth2)):
		return &bearer{mechanism: xoauth2, initial: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"}, nil
	case caps.Has(imap.AuthCap(oauthBearer)):
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user) // saslname of RFC 5801 §4
		return &bearer{mechanism: oauthBearer, initial: "n,a=" + name + ",\x01host=" + host + "\x01port=" + port + "\x01auth=Bearer " + token + "\x01\x01"}, nil
	}
	return nil, fault.New(fault.Invalid, "no login: the server takes no access tokens (neither XOAUTH2 nor OAUTHBEARER)").WithHint("check the host, and whether IMAP with OAuth is switched on there; else use password=")
}

// Start implements sasl.Client.
func (b *bearer) Start() (mechanism string, initial []byte, err error) {
	return b.mechanism, []byte(b.initial), nil
}

// Next implements sasl.Client: there is a challenge only where the token is refused, and the answer to it means nothing (RFC 7628 §3.2.3). That of XOAUTH2 would be empty, which the
// library cannot send; servers do not look at it.
func (b *bearer) Next(challenge []byte) ([]byte, error) {
	if b.refused {
		return nil, errors.New("the server asks again after it refused the access token")
	}
	b.refused, b.challenge = true, challenge[:min(len(challenge), maxChallenge)]
	return []byte{1}, nil
}

// refusedToken is a server's refusal of an access token.
type refusedToken struct{ said string }

func (r *refusedToken) Error() string {
	return "the server refuses the access token" + r.said
}

var errUnchecked = errors.New("intake: it is not known whether the access token is good")

// passing are the codes of RFC 5530 with which the server says that it is not about the token.
func passing(code imap.ResponseCode) bool {
	return slices.Contains([]imap.ResponseCode{imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug}, code)
}

// explain makes an error of the one that the login ended with. The server's own words are left out: they may hold the token.
func (b *bearer) explain(err error) error {
	var answer *imap.Error
	isAnswer := errors.As(err, &answer)
	switch {
	case err == nil:
		return nil
	case isAnswer && passing(answer.Code):
		return fault.Wrap(fault.Unavailable, errUnchecked, "no login: the server cannot check access tokens now (%s)", answer.Code).WithHint("it is tried again")
	case b.refused, isAnswer && answer.Type == imap.StatusResponseTypeNo:
		return &refusedToken{b.status()}
	case isAnswer:
		return fault.New(fault.Unavailable, "no login: the server does not take the command of %s", b.mechanism).WithHint("it is tried again")
	}
	return err
}

// status is the status of a refusal (RFC 7628 §3.2.2), in brackets; "" = there is none of a known form.
func (b *bearer) status() string {
	var said struct {
		Status any `json:"status"` // Google writes a text, others a number
	}
	if json.Unmarshal(b.challenge, &said) != nil {
		return ""
	}
	text := ""
	switch status := said.Status.(type) {
	case string:
		text = status
	case float64:
		text = fmt.Sprint(status)
	}
	if text == "" || len(text) > maxStatus || strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz_0123456789", r) }) {
		return ""
	}
	return " (status " + text + ")"
}
