package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/googleauth"
	"github.com/postseal/postseal/internal/webapi"
)

// googleScope is what Google wants for IMAP: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol.
const googleScope = "https://mail.google.com/"

// Mailbox gives access tokens for one mailbox. It is safe for concurrent use. Its errors and its text hold no secret.
type Mailbox struct {
	user       string
	credential *webapi.Credential
	tokens     *webapi.Tokens
	log        *slog.Logger
	now        func() time.Time

	mu sync.Mutex // of what follows, and of the file when it is written
	// A server may exchange the refresh token each time that it is used (RFC 6749 §6). Then given is the credential's text as a person wrote it, next is what came in the place of its
	// refresh token, and written the text that was put into its place, "" as long as that could not be done.
	given, next, written string
	warned               bool
}

// ForMailbox makes tokens for the mailbox of user with the credential that the options name; nothing is read yet. Errors are fault.Invalid.
func ForMailbox(user string, o webapi.Options) (*Mailbox, error) {
	m := &Mailbox{user: user, log: o.Log, now: o.Timing.OrReal().Now}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if m.credential, err = o.OpenCredential(); err != nil {
		return nil, err
	}
	m.tokens = webapi.NewTokens(o, m.fetch)
	return m, nil
}

// String says where the credential is.
func (m *Mailbox) String() string { return m.credential.String() }

// Token returns an access token; fresh = it was got just now. Errors are fault.Invalid (the credential is wrong), fault.Denied (the server does not accept it) and fault.Unavailable.
func (m *Mailbox) Token(ctx context.Context) (token string, fresh bool, err error) {
	text, err := m.credential.Secret()
	if err != nil {
		return "", false, err
	}
	m.mu.Lock()
	if m.written != "" && text == m.written {
		text = m.given // what we put there ourselves is no other credential
	}
	m.mu.Unlock()
	return m.tokens.Of(ctx, text)
}

// Forget drops the token: the mail server refused it before its end.
func (m *Mailbox) Forget() { m.tokens.Forget() }

// fetch is the Fetch of webapi.Tokens.
func (m *Mailbox) fetch(ctx context.Context, client *http.Client, text string) (token string, ends time.Time, err error) {
	c, err := parse(m.String(), text)
	if err != nil {
		return "", time.Time{}, err
	}
	if c.Type == serviceAccount {
		token, ends, err = googleauth.For{Vendor: "Google", Scope: googleScope, Subject: m.user}.Fetch(ctx, client, text)
		if err == nil && !usable(token) {
			err = fault.New(fault.Unavailable, "Google gives an access token that no mailbox can be opened with")
		}
		return token, end(ends, m.now()), err
	}
	m.mu.Lock()
	if text == m.given && m.next != "" {
		c.RefreshToken = m.next
	}
	m.mu.Unlock()
	token, ends, next, err := c.grant(ctx, client, m.now(), m.String())
	if c.Type == refreshToken && next != "" && next != c.RefreshToken {
		m.exchanged(text, next)
	}
	return token, ends, err
}

// exchanged keeps a new refresh token: here in any case, and in the file where that is ours.
func (m *Mailbox) exchanged(text, next string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := text
	if text == m.given && m.written != "" {
		before = m.written
	}
	if text != m.given {
		m.written = ""
	}
	m.given, m.next = text, next
	after, ok := withRefreshToken(before, next)
	if !ok {
		return
	}
	err := m.credential.Replace(before, after)
	if err == nil {
		m.written, m.warned = after, false
		return
	}
	if !m.warned {
		m.warned = true
		m.log.Warn("the refresh token of a mailbox was exchanged, and the new one cannot be written: it is lost when the process ends", "mailbox", m.user, "credential", m.String(), "error", err,
			"hint", "let the file and its directory belong to the control plane's account, or put a new refresh token there before the next start if the server takes the old one only once")
	}
}
