package intake

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const mailboxHint = "imaps://USER@HOST/MAILBOX?password=file:/path, or env:NAME, or systemd:NAME; oauth= in its place for OAuth; with an at sign in USER written as %40"

// Secrets makes of what is said about a secret ("file:/path") that which gives it. Errors are fault.Invalid.
type Secrets struct {
	Password func(spec string) (Secret, error)       // webapi.NewCredential
	OAuth    func(user, spec string) (Tokens, error) // oauth.ForMailbox
}

// ParseMailbox reads a mailbox as one text: "imaps://USER@HOST:PORT/MAILBOX?password=file:/path", or oauth=file:/path. Further settings are done=, unread=, poll= and ca=. The scheme is
// imaps (TLS), imap (STARTTLS) or imap+insecure (loopback only). A percent sign escapes, so that an at sign in USER is %40. Errors are fault.Invalid and never hold a
// password.
func ParseMailbox(spec string, secrets Secrets) (Mailbox, error) {
	u, err := url.Parse(spec)
	if err != nil { // the error would quote the text, and a password may be in it
		return Mailbox{}, fault.New(fault.Invalid, "the mailbox is not written as an address").WithHint("%s", mailboxHint)
	}
	bad := func(format string, args ...any) (Mailbox, error) {
		return Mailbox{}, fault.New(fault.Invalid, "mailbox at "+strings.ReplaceAll(u.Host, "%", "%%")+": "+format, args...).WithHint("%s", mailboxHint)
	}
	if _, there := u.User.Password(); there {
		return bad("a password does not belong into the address")
	}
	m := Mailbox{Encryption: Encryption(u.Scheme), User: u.User.Username(), Name: strings.TrimPrefix(u.Path, "/")}
	port := map[Encryption]string{ImplicitTLS: "993", StartTLS: "143", NoTLS: "143"}[m.Encryption]
	if port == "" {
		return bad("%q is no scheme", u.Scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if u.Hostname() == "" {
		return bad("there is no host")
	}
	m.Address = net.JoinHostPort(u.Hostname(), port)
	q, err := settings(u.RawQuery, "password", "oauth", "done", "unread", "poll", "ca")
	if err != nil {
		return Mailbox{}, err
	}
	m.Done, m.Unread, m.Roots = q["done"], q["unread"], q["ca"]
	if m.Poll, err = duration(q["poll"]); err != nil {
		return Mailbox{}, err
	}
	password, oauth := q["password"], q["oauth"]
	switch {
	case password != "" && oauth != "":
		return bad("there is a password and a credential for OAuth, and only one of both is used")
	case oauth != "":
		m.OAuth, err = secrets.OAuth(m.User, oauth)
	case password != "":
		m.Password, err = secrets.Password(password)
	default:
		return bad("it is not said where the password is, or the credential for OAuth")
	}
	if err != nil {
		return Mailbox{}, err
	}
	return m, m.complete()
}

// ParseFolder reads a folder as one text: "maildir:/path" or "folder:/path". Further settings follow a question mark: poll=10s, trust=no (of files that are no mail). A percent sign
// escapes. Errors are fault.Invalid.
func ParseFolder(spec string) (Folder, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	path, query, _ := strings.Cut(rest, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return Folder{}, fault.New(fault.Invalid, "the folder %q cannot be read", spec).WithHint("maildir:/path or folder:/path; a percent sign is written as %%25")
	}
	f := Folder{Kind: FolderKind(kind), Path: path}
	q, err := settings(query, "poll", "trust")
	if err != nil {
		return Folder{}, err
	}
	if f.Poll, err = duration(q["poll"]); err != nil {
		return Folder{}, err
	}
	switch q["trust"] {
	case "", "yes":
	case "no":
		f.Doubted = true
	default:
		return Folder{}, fault.New(fault.Invalid, "the folder %s: trust is yes or no, not %q", path, q["trust"])
	}
	return f, f.complete()
}

// settings reads what follows a question mark. A name that is not known is an error, and so is one that is there twice.
func settings(query string, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the settings after the question mark cannot be read").WithHint("name=value, joined by &")
	}
	out := map[string]string{}
	for name, list := range values {
		if !slices.Contains(known, name) {
			return nil, fault.New(fault.Invalid, "there is no setting %.50q", name).WithHint("there are %s", strings.Join(known, ", "))
		}
		if len(list) > 1 {
			return nil, fault.New(fault.Invalid, "the setting %q is there twice", name)
		}
		out[name] = list[0]
	}
	return out, nil
}

func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Invalid, "poll: %q is no time", text).WithHint("for instance 30s or 5m")
	}
	return d, nil
}

// onLoopback reports whether an address is on this machine.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Settings are what `postseal serve` is told, as text.
type Settings struct {
	Listen, Name, Certificate, Key string   // of SMTP
	Mailboxes                      []string // as ParseMailbox reads them
	Folders                        []string // as ParseFolder reads them
}

// Config checks everything that can be checked without opening anything. Errors are fault.Invalid.
func (s Settings) Config(secrets Secrets) (Config, error) {
	c := Config{SMTP: SMTP{Listen: s.Listen, Name: s.Name, Certificate: s.Certificate, Key: s.Key}}
	if s.Listen == "" && (s.Name != "" || s.Certificate != "" || s.Key != "") {
		return Config{}, fault.New(fault.Invalid, "there are settings for a listener for reports, and it is not said where it listens")
	}
	if s.Listen != "" {
		if err := c.SMTP.complete(); err != nil {
			return Config{}, err
		}
	}
	seen := map[string]bool{}
	for _, text := range s.Mailboxes {
		m, err := ParseMailbox(text, secrets)
		if err != nil {
			return Config{}, err
		}
		if key := m.User + " " + m.Address + " " + m.Name; seen[key] {
			return Config{}, fault.New(fault.Invalid, "the mailbox %s of %s at %s is named twice", m.Name, m.User, m.Address)
		} else {
			seen[key] = true
		}
		c.Mailboxes = append(c.Mailboxes, m)
	}
	for _, text := range s.Folders {
		f, err := ParseFolder(text)
		if err != nil {
			return Config{}, err
		}
		if seen[f.Path] {
			return Config{}, fault.New(fault.Invalid, "the folder %s is named twice", f.Path)
		}
		seen[f.Path] = true
		c.Folders = append(c.Folders, f)
	}
	return c, nil
}
