package intake

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Config is what a person sets. Each of the three may be missing.
type Config struct {
	SMTP      SMTP
	Mailboxes []Mailbox
	Folders   []Folder
}

// SMTP is the listener.
type SMTP struct {
	Listen string // "ADDR:PORT"; "" = there is no listener
	Name   string // that it greets with: the name in the MX record
	// Certificate and Key are PEM files for STARTTLS, read again when they change; both "" = it is not offered.
	Certificate string
	Key         string
	Connections int // at once; 0 = defaultConnections
	PerPeer     int // of them, from one IPv4 address or IPv6 network of /64; 0 = defaultPerPeer
}

// Encryption says how a connection to an IMAP server is protected.
type Encryption string

// The ways of protecting it.
const (
	ImplicitTLS Encryption = "imaps"         // TLS from the first octet on
	StartTLS    Encryption = "imap"          // STARTTLS, and nothing without it
	NoTLS       Encryption = "imap+insecure" // loopback only
)

// Secret is a password that is read anew for each login; *webapi.Credential is one.
type Secret interface {
	Secret() (string, error)
	String() string // where it is, for people
}

// Tokens gives the access tokens (OAuth 2.0) that a mailbox is opened with; *oauth.Mailbox is one.
type Tokens interface {
	// Token returns a token; fresh = it was got just now, so that asking again promises nothing. Errors are those for people, and hold no secret.
	Token(ctx context.Context) (token string, fresh bool, err error)
	// Forget says that the server refused the token; the next one is another.
	Forget()
	String() string // where the credential is, for people
}

// Mailbox is a mailbox on an IMAP server.
type Mailbox struct {
	Address    string // "HOST:PORT"
	Encryption Encryption
	User       string
	Password   Secret // one of Password and OAuth
	OAuth      Tokens
	Name       string        // of the mailbox; "" = INBOX
	Done       string        // where messages go that are stored; "" = "Postseal"
	Unread     string        // where stored messages go that hold no report which can be read; "" = "Postseal-unread"
	Poll       time.Duration // 0 = defaultMailboxPoll
	Roots      string        // a PEM file with the certificate authorities of the server; "" = the system's
}

// FolderKind says what a folder is.
type FolderKind string

// The kinds.
const (
	Maildir FolderKind = "maildir" // with new, cur and tmp: each file is a mail
	Files   FolderKind = "folder"  // reports and mails, each in a file
)

// Folder is a folder that is watched.
type Folder struct {
	Kind FolderKind
	Path string
	Poll time.Duration // 0 = defaultFolderPoll
	// Doubted has files that are no mail counted apart, as mail is that cannot be verified: for a folder that something fills with what strangers send. Else whoever may write
	// into the folder is trusted.
	Doubted bool
}

func (c *SMTP) complete() error {
	name, err := resolver.ToASCII(c.Name)
	if err != nil || name == "." || c.Name == "" {
		return fault.New(fault.Invalid, "the listener for reports needs a name to greet with, not %q", c.Name).WithHint("the name that the MX record of the report address has, for instance reports.example.org")
	}
	c.Name = name
	if (c.Certificate == "") != (c.Key == "") {
		return fault.New(fault.Invalid, "the listener for reports has a certificate or a key, and not both").WithHint("name both files, or none")
	}
	if c.Connections <= 0 {
		c.Connections = defaultConnections
	}
	if c.PerPeer <= 0 {
		c.PerPeer = min(defaultPerPeer, c.Connections)
	}
	return nil
}

func (m *Mailbox) complete() error {
	if !slices.Contains([]Encryption{ImplicitTLS, StartTLS, NoTLS}, m.Encryption) {
		return fault.New(fault.Invalid, "mailbox %s: %q is no way to protect a connection", m.User, m.Encryption).WithHint("imaps for TLS, imap for STARTTLS")
	}
	if m.Address == "" || m.User == "" || (m.Password == nil) == (m.OAuth == nil) {
		return fault.New(fault.Invalid, "a mailbox needs a server, a user, and either a password or a credential for OAuth").WithHint("%s", mailboxHint)
	}
	if strings.ContainsFunc(m.User, unicode.IsControl) { // it would end the field of a login
		return fault.New(fault.Invalid, "the user %q of a mailbox holds a control character", m.User).WithHint("%s", mailboxHint)
	}
	if m.Encryption == NoTLS && !onLoopback(m.Address) {
		return fault.New(fault.Invalid, "mailbox %s at %s: the password or token would be sent for everybody to read", m.User, m.Address).WithHint("imaps for TLS, imap for STARTTLS; without only on loopback")
	}
	for _, d := range []struct {
		name    *string
		without string
	}{{&m.Name, "INBOX"}, {&m.Done, "Postseal"}, {&m.Unread, "Postseal-unread"}} {
		if *d.name == "" {
			*d.name = d.without
		}
	}
	if m.Name == m.Done || m.Name == m.Unread {
		return fault.New(fault.Invalid, "mailbox %s: messages cannot be moved from %q to itself", m.User, m.Name).WithHint("name another mailbox for done and unread")
	}
	return completePoll("mailbox "+m.User, &m.Poll, defaultMailboxPoll, minMailboxPoll)
}

func (f *Folder) complete() error {
	if f.Kind != Maildir && f.Kind != Files {
		return fault.New(fault.Invalid, "%q is no kind of folder", f.Kind).WithHint("maildir:/path or folder:/path")
	}
	if !filepath.IsAbs(f.Path) {
		return fault.New(fault.Invalid, "the folder %q is no absolute path", f.Path).WithHint("maildir:/path or folder:/path")
	}
	f.Path = filepath.Clean(f.Path)
	return completePoll("folder "+f.Path, &f.Poll, defaultFolderPoll, minFolderPoll)
}

func completePoll(what string, d *time.Duration, without, least time.Duration) error {
	if *d == 0 {
		*d = without
	}
	if *d < least || *d > maxPoll {
		return fault.New(fault.Invalid, "%s: it cannot be looked at every %s", what, *d).WithHint("from %s to %s", least, maxPoll)
	}
	return nil
}
