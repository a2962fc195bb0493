package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
)

const (
	// probeDial is how long the MTA may take to accept a connection: it is on this machine.
	probeDial = 10 * time.Second
	// probeTime is how long the whole submission may take: filters that run before the queue (content filters, milters) may be slow, and RFC 5321 §4.5.3.2.6 gives them minutes.
	probeTime = 2 * time.Minute
	// probeSaid is what is read of a sendmail program's complaint, in octets.
	probeSaid = 4 << 10
)

// submitProbe hands the message to the MTA and says what that answered.
func (a *Agent) submitProbe(ctx context.Context, set *settings, order agentapi.ProbeOrder) (agentapi.ProbeState, string) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	host, _ := os.Hostname()
	if host == "" {
		host = "localhost"
	}
	from := set.probe.From + "@" + order.Domain
	message := probeMessage(order, from, host, a.now())
	var reply string
	var err error
	if set.probe.SMTP != "" {
		reply, err = submitSMTP(ctx, set.probe.SMTP, host, from, order.To, message)
	} else {
		reply, err = submitSendmail(ctx, set.probe.Sendmail, from, order.To, message)
	}
	if err != nil {
		return agentapi.ProbeRefused, bounded(withoutToken(err.Error(), order.To))
	}
	return agentapi.ProbeSubmitted, bounded(withoutToken(reply, order.To))
}

// withoutToken takes the token of a probe's address out of a text, which is kept and shown to many: who knows it could send the mail in this server's place.
func withoutToken(text, to string) string {
	local, _, _ := strings.Cut(to, "@")
	_, token, _ := strings.Cut(local, "+")
	if token == "" {
		return text
	}
	return regexp.MustCompile(`(?i)`+regexp.QuoteMeta(token)).ReplaceAllLiteralString(text, "…")
}

// bounded makes a reply fit for a report.
func bounded(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))), " ")
	if len(text) > agentapi.MaxProbeReply-len("…") {
		text = strings.ToValidUTF8(text[:agentapi.MaxProbeReply-len("…")], "") + "…"
	}
	return text
}

// probeMessage is the message. It is plain text in ASCII with short lines: what breaks it on the way breaks ordinary mail as well.
func probeMessage(order agentapi.ProbeOrder, from, host string, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Postseal probe <%s>\r\nTo: <%s>\r\nSubject: Postseal probe %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", from, order.To, order.ID, now.Format(time.RFC1123Z), strings.ToLower(rand.Text()), order.Domain)
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n")
	fmt.Fprintf(&b, `This is a test message of Postseal, which looks after the DKIM keys of
%s. It was handed to the mail server on

    %s

as any other mail of this domain is, and goes to an address that nothing
else uses. There it is looked at whether it was signed, with which key, and
whether it arrived as it was signed. Nobody needs to do anything about it.

If it came to you, it was forwarded, or it could not be delivered.

Probe: %s
`, order.Domain, host, order.ID)
	return bytes.ReplaceAll(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// submitSMTP speaks SMTP to the local MTA and returns its answer to the message. An answer that is no yes is the error.
func submitSMTP(ctx context.Context, addr, host, from, to string, message []byte) (reply string, err error) {
	dial, cancel := context.WithTimeout(ctx, probeDial)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(dial, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("the MTA cannot be reached: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	// Replies are lines, and a line without end must not fill the memory.
	c := textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{io.LimitReader(conn, maxReplies), conn, conn})
	say := func(command string, want int) (string, error) {
		what := "its greeting"
		if command != "" {
			if what = command; len(what) > 40 {
				what, _, _ = strings.Cut(what, ":")
			}
			if err := c.PrintfLine("%s", command); err != nil {
				return "", fmt.Errorf("the MTA went away before %s: %w", what, err)
			}
		}
		code, text, err := c.ReadResponse(want)
		var no *textproto.Error
		switch {
		case errors.As(err, &no):
			return "", fmt.Errorf("%d %s (to %s)", no.Code, no.Msg, what)
		case err != nil:
			return "", fmt.Errorf("the MTA gave no answer to %s: %w", what, err)
		}
		return fmt.Sprintf("%d %s", code, text), nil
	}
	for _, step := range []struct {
		command string
		want    int
	}{{"", 220}, {"EHLO " + host, 250}, {"MAIL FROM:<" + from + ">", 250}, {"RCPT TO:<" + to + ">", 25}, {"DATA", 354}} {
		if _, err := say(step.command, step.want); err != nil {
			return "", err
		}
	}
	w := c.DotWriter()
	if _, err := w.Write(message); err != nil {
		return "", fmt.Errorf("the MTA went away during the message: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("the MTA went away at the end of the message: %w", err)
	}
	code, text, err := c.ReadResponse(250)
	var no *textproto.Error
	switch {
	case errors.As(err, &no):
		return "", fmt.Errorf("%d %s (to the message)", no.Code, no.Msg)
	case err != nil:
		return "", fmt.Errorf("the MTA gave no answer to the message: %w", err)
	}
	_ = c.PrintfLine("QUIT")
	return fmt.Sprintf("%d %s", code, text), nil
}

// maxReplies is what an MTA may say during one submission, in octets: a dozen replies of some lines each.
const maxReplies = 64 << 10

// submitSendmail runs the sendmail program. It says nothing when it took the message.
func submitSendmail(ctx context.Context, path, from, to string, message []byte) (reply string, err error) {
	cmd := exec.CommandContext(ctx, path, "-i", "-f", from, "--", to)
	cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))) // local programs use the system's line ends
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C"}
	cmd.WaitDelay = probeDial // for children that keep the pipe open
	said := &head{left: probeSaid}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w %s", path, err, said.text.String())
	}
	return "handed to " + path, nil
}

// head keeps the beginning of what is written.
type head struct {
	text bytes.Buffer
	left int
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.left)
	h.text.Write(p[:n])
	h.left -= n
	return len(p), nil
}
