package intake

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/emersion/go-imap/v2"

	"github.com/postseal/postseal/internal/fault"
)

const shownNowhere = "token-not-to-be-shown"

// saslServer is an IMAP server that answers logins with what a test says. It understands no more than a mailbox needs.
type saslServer struct {
	ln      net.Listener
	caps    string // behind IMAP4rev1
	refuses func(initial string) (challenge, end string)
	choose  string // how it answers SELECT

	mu    sync.Mutex
	tried []string // initial answers, decoded
}

func startSASLServer(t testing.TB, s *saslServer) *saslServer {
	t.Helper()
	var err error
	if s.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			conn, err := s.ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = s.ln.Close(); wg.Wait() })
	return s
}

func (s *saslServer) serve(conn net.Conn) {
	fmt.Fprintf(conn, "* OK [CAPABILITY IMAP4rev1 %s] hello\r\n", s.caps)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		end := "OK done"
		switch name, rest, _ := strings.Cut(command, " "); name {
		case "CAPABILITY":
			fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1 %s\r\n", s.caps)
		case "AUTHENTICATE":
			_, initial, there := strings.Cut(rest, " ")
			if !there { // without SASL-IR it is asked for
				fmt.Fprint(conn, "+ \r\n")
				if !lines.Scan() {
					return
				}
				initial = lines.Text()
			}
			raw, _ := base64.StdEncoding.DecodeString(initial)
			s.mu.Lock()
			s.tried = append(s.tried, string(raw))
			s.mu.Unlock()
			var challenge string
			if challenge, end = s.refuses(initial); challenge != "" {
				fmt.Fprintf(conn, "+ %s\r\n", challenge)
				if !lines.Scan() {
					return
				}
			}
		case "LIST":
			fmt.Fprintf(conn, "* LIST () \"/\" %s\r\n", command[strings.LastIndexByte(command, ' ')+1:])
		case "SELECT":
			fmt.Fprint(conn, "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n")
			end = s.choose
		}
		fmt.Fprintf(conn, "%s %s\r\n", tag, end)
	}
}

// countedTokens counts what it is asked.
type countedTokens struct {
	kept             bool // the first token is one that had been kept
	asked, forgotten int
}

func (c *countedTokens) Token(context.Context) (string, bool, error) {
	c.asked++
	return fmt.Sprintf("%s-%d", shownNowhere, c.asked), !c.kept || c.asked > 1, nil
}
func (c *countedTokens) Forget()        { c.forgotten++ }
func (c *countedTokens) String() string { return "file:/etc/oauth.json" }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// Whatever a server says about a login is a sentence of ours with something to do, and never holds the token.
func TestBearerLogin(t *testing.T) {
	always := func(challenge, end string) func(string) (string, string) {
		return func(string) (string, string) { return challenge, end }
	}
	const hint = " (check that USER is the mailbox's address and that the application of file:/etc/oauth.json may open it (docs/reports.md))"
	for _, c := range []struct {
		name, caps string
		kept       bool
		refuses    func(string) (string, string)
		choose     string
		code       fault.Code
		want       string
		tries      int
	}{
		{"well", "AUTH=XOAUTH2 SASL-IR", false, always("", "OK in"), "OK", "", "", 1},
		{"well, without SASL-IR", "AUTH=OAUTHBEARER", false, always("", "OK in"), "OK", "", "", 1},
		{"no mechanism", "AUTH=PLAIN AUTH=LOGIN", false, nil, "", fault.Invalid, "no login: the server takes no access tokens (neither XOAUTH2 nor OAUTHBEARER) (check the host, and whether IMAP with OAuth is switched on there; else use password=)", 0},
		{"as Google does", "AUTH=XOAUTH2 SASL-IR", false, always(encoded(`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`), "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"), "",
			fault.Denied, "no login: the server refuses the access token (status 400)" + hint, 1},
		{"as Microsoft does", "AUTH=XOAUTH2 SASL-IR", false, always("", "NO AUTHENTICATE failed."), "", fault.Denied, "no login: the server refuses the access token" + hint, 1},
		{"as RFC 7628 says", "AUTH=OAUTHBEARER SASL-IR", false, always(encoded(`{"status":"invalid_token","openid-configuration":"https://x.example/"}`), "NO no"), "",
			fault.Denied, "no login: the server refuses the access token (status invalid_token)" + hint, 1},
		{"a number", "AUTH=XOAUTH2", false, always(encoded(`{"status":401}`), "BAD no"), "", fault.Denied, "no login: the server refuses the access token (status 401)" + hint, 1},
		{"a token that had been kept", "AUTH=XOAUTH2 SASL-IR", true, func(initial string) (string, string) {
			if raw, _ := base64.StdEncoding.DecodeString(initial); strings.Contains(string(raw), shownNowhere+"-1\x01") {
				return encoded(`{"status":"401"}`), "NO expired"
			}
			return "", "OK in"
		}, "OK", "", "", 2},
		{"and the new one too", "AUTH=XOAUTH2 SASL-IR", true, always(encoded(`{"status":"401"}`), "NO no"), "", fault.Denied, "no login: the server refuses the access token (status 401)" + hint, 2},
		{"not now", "AUTH=XOAUTH2 SASL-IR", true, always("", "NO [UNAVAILABLE] "+shownNowhere+"-1"), "", fault.Unavailable, "no login: the server cannot check access tokens now (UNAVAILABLE) (it is tried again)", 1},
		{"the token as status", "AUTH=XOAUTH2 SASL-IR", false, always(encoded(`{"status":"`+shownNowhere+`-1"}`), "NO "+shownNowhere+"-1"), "", fault.Denied, "no login: the server refuses the access token" + hint, 1},
		{"the command repeated", "AUTH=XOAUTH2 SASL-IR", false, func(initial string) (string, string) { return "", "BAD AUTHENTICATE XOAUTH2 " + initial }, "",
			fault.Unavailable, "no login: the server does not take the command of XOAUTH2 (it is tried again)", 1},
		{"a challenge that is no base64", "AUTH=XOAUTH2 SASL-IR", false, always("!"+shownNowhere+"-1", "NO no"), "", fault.Unavailable, "no login: illegal base64 data at input byte 0", 1},
		{"a challenge that is no JSON", "AUTH=XOAUTH2 SASL-IR", false, always(encoded("\x1b[31m"+shownNowhere), "NO no"), "", fault.Denied, "no login: the server refuses the access token" + hint, 1},
		{"a long challenge", "AUTH=XOAUTH2 SASL-IR", false, always(encoded(`{"status":"401","x":"`+strings.Repeat("x", 100_000)+`"}`), "NO no"), "", fault.Denied, "no login: the server refuses the access token" + hint, 1},
		{"another's mailbox at Microsoft", "AUTH=XOAUTH2 SASL-IR", false, always("", "OK AUTHENTICATE completed."), "BAD User is authenticated but not connected.", fault.Denied,
			"the server takes the access token, and does not open the mailbox of an,n=x@example.org for it (allow the application the mailbox: Add-MailboxPermission with FullAccess (docs/reports.md))", 1},
		{"the token in a later answer", "AUTH=XOAUTH2 SASL-IR", false, always("", "OK in"), "NO " + shownNowhere + "-1", fault.Unavailable, "its mailboxes cannot be used: the server repeats the password or the access token", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startSASLServer(t, &saslServer{caps: c.caps, refuses: c.refuses, choose: c.choose})
			tokens := &countedTokens{kept: c.kept}
			box := Mailbox{Address: s.ln.Addr().String(), Encryption: NoTLS, User: "an,n=x@example.org", OAuth: tokens, Poll: time.Hour}
			if err := box.complete(); err != nil {
				t.Fatal(err)
			}
			conn, err := dialIMAP(t.Context(), &box)
			if err == nil {
				conn.close()
			}
			p := newProgress("", "", time.Now)
			if err != nil {
				p.trouble(err)
				if strings.Contains(err.Error(), shownNowhere) {
					t.Errorf("the log would have %v", err)
				}
			}
			if got := p.status().Error; got != oneLine(c.want) || err != nil && fault.CodeOf(err) != c.code {
				t.Errorf("%s: %s", fault.CodeOf(err), got)
			}
			if len(c.want) > maxText {
				t.Errorf("the sentence is cut: %d octets", len(c.want))
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.tried) != c.tries || c.tries > 0 && tokens.asked != c.tries {
				t.Fatalf("%d logins, %d tokens", len(s.tried), tokens.asked)
			}
			for n, got := range s.tried {
				want := fmt.Sprintf("user=an,n=x@example.org\x01auth=Bearer %s-%d\x01\x01", shownNowhere, n+1)
				if strings.Contains(c.caps, oauthBearer) {
					_, port, _ := net.SplitHostPort(box.Address)
					want = fmt.Sprintf("n,a=an=2Cn=3Dx@example.org,\x01host=127.0.0.1\x01port=%s\x01auth=Bearer %s-%d\x01\x01", port, shownNowhere, n+1)
				}
				if got != want {
					t.Errorf("%q", got)
				}
			}
			if denied := c.code == fault.Denied && !strings.Contains(c.name, "Microsoft") || c.name == "as Microsoft does"; denied && tokens.forgotten != c.tries {
				t.Errorf("forgotten %d times", tokens.forgotten)
			}
		})
	}
}

// FuzzBearerStatus: whatever a server says, a status is a short word.
func FuzzBearerStatus(f *testing.F) {
	for _, seed := range []string{`{"status":"400"}`, `{"status":401}`, `{"status":null}`, `{"status":["x"]}`, `{"status":1e300}`, "", "x", `{"status":"\u001b"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, challenge []byte) {
		b, err := newBearer(imap.CapSet{imap.AuthCap(xoauth2): {}}, "ann", "host:993", shownNowhere)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Next(challenge); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Next(challenge); err == nil {
			t.Fatal("it goes on for ever")
		}
		got := b.status()
		if len(got) > maxStatus+len(" (status )") || strings.ContainsFunc(got, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			t.Errorf("%q", got)
		}
	})
}
