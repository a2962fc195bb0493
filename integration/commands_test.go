package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/internal/api/client"
)

// in is the same organisation for a part of a test.
func (o *organisation) in(t *testing.T) *organisation {
	c := *o
	c.t = t
	return &c
}

// product runs the binary to its end.
func product(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("postseal %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// refused runs a command that has to say no: exit status 2, and a sentence and a hint that hold these words.
func refused(t *testing.T, args []string, words ...string) {
	t.Helper()
	_, stderr, status := product(t, args...)
	what := strings.Join(args, " ")
	if status != 2 {
		t.Errorf("postseal %s: exit status %d, expected 2; it says %q", what, status, stderr)
	}
	if !strings.Contains("\n"+stderr, "\npostseal: ") { // warnings may stand before it
		t.Errorf("postseal %s: %q does not begin as an error does", what, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("postseal %s: %q does not say %q", what, stderr, w)
		}
	}
	for _, bad := range []string{"goroutine ", "panic", "internal error", "runtime error"} {
		if strings.Contains(stderr, bad) {
			t.Errorf("postseal %s: %q is not for people", what, stderr)
		}
	}
}

// refused is the same for a command on this control plane.
func (o *organisation) refused(args []string, words ...string) {
	o.t.Helper()
	refused(o.t, append(args, "--data", o.data), words...)
}

// api is a client of the control plane as the local administrator.
func (o *organisation) api() *client.Client {
	o.t.Helper()
	access, err := client.ReadAdmin(o.data)
	if err != nil {
		o.t.Fatal(err)
	}
	c, err := client.New(access)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(c.Close)
	return c
}

// rows are the lines of status about one domain; none while the control plane does not answer.
func rows(c *client.Client, domain string) []client.StatusRow {
	page, err := c.Status(context.Background(), domain)
	if err != nil || len(page.Domains) != 1 {
		return nil
	}
	return page.Domains[0].Rows
}

// newest is the line of a signer's newest key, or of the signer when it has none.
func newest(c *client.Client, domain, signer string) client.StatusRow {
	for _, r := range rows(c, domain) {
		if r.Signer == signer {
			return r
		}
	}
	return client.StatusRow{}
}

// row of one selector; the zero row when it is not shown (any more).
func rowOf(c *client.Client, domain, selector string) client.StatusRow {
	for _, r := range rows(c, domain) {
		if r.Selector == selector {
			return r
		}
	}
	return client.StatusRow{}
}

// blocked waits until status says of a signer's newest key what is in the way, in these words.
func blocked(t *testing.T, c *client.Client, domain, signer string, words ...string) client.StatusRow {
	t.Helper()
	var last client.StatusRow
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if r := newest(c, domain, signer); r.Signer != "" {
			last = r
		}
		if last.Blocked && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(last.Reason, w) }) {
			return last
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("status of %s in %s never says %q; it says (blocked %v) %q", signer, domain, words, last.Blocked, last.Reason)
	return last
}

// activeKey waits until a signer's newest key signs, as its agent says, and returns its selector.
func activeKey(t *testing.T, c *client.Client, domain, signer string, not ...string) string {
	t.Helper()
	var r client.StatusRow
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		r = newest(c, domain, signer)
		if r.State == "active" && !slices.Contains(not, r.Selector) {
			if k, err := c.Key(context.Background(), domain, r.Selector); err == nil && !k.Signing.IsZero() {
				return r.Selector
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s has no (new) key in use for %s: %s is %s: %s", signer, domain, r.Selector, r.State, r.Reason)
	return ""
}

// journal returns the entries after one, oldest first.
func journal(t *testing.T, c *client.Client, after int64) []client.Entry {
	t.Helper()
	var found []client.Entry
	for q := (client.JournalQuery{Limit: 500}); ; {
		page, err := c.Journal(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			if e.Seq <= after {
				slices.Reverse(found)
				return found
			}
			found = append(found, e)
			q.Before = e.Seq
		}
		if len(page.Entries) == 0 {
			slices.Reverse(found)
			return found
		}
	}
}

// lastEntry is the number of the newest entry of the journal.
func lastEntry(t *testing.T, c *client.Client) int64 {
	t.Helper()
	page, err := c.Journal(context.Background(), client.JournalQuery{Limit: 1})
	if err != nil || len(page.Entries) == 0 {
		t.Fatalf("the journal cannot be read: %v", err)
	}
	return page.Entries[0].Seq
}

// journalled reports whether an entry has this actor, this step and all these words.
func journalled(entries []client.Entry, actor, step string, words ...string) bool {
	return slices.ContainsFunc(entries, func(e client.Entry) bool {
		return e.Actor == actor && e.Step == step && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e.Why, w) })
	})
}

// apply makes a text the inventory.
func (o *organisation) apply(text string, more ...string) {
	o.t.Helper()
	o.postseal(append([]string{"apply", "-f", o.file("fleet.yaml", text), "--yes"}, more...)...)
}

// file writes a file of the organisation and returns its path.
func (o *organisation) file(name, text string) string {
	path := filepath.Join(o.dir, name)
	write(o.t, path, text)
	return path
}

// settle ends the traffic, waits for the last message and fails for every one that did not verify at arrival.
func (o *organisation) settle(mail *traffic) {
	o.t.Helper()
	mail.end()
	o.drain(mail)
	for _, failure := range o.sink.failures() {
		o.t.Errorf("a message that does not verify: %s", failure)
	}
	if n := mail.errs.Load(); n > 0 {
		o.t.Errorf("%d messages were not accepted, the last one because: %v", n, mail.last.Load())
	}
	if check, err := o.api().CheckJournal(context.Background()); err != nil || !check.OK {
		o.t.Errorf("the journal's chain: %v, %+v", err, check)
	}
}

// post sends one message with this author through a server, as a client that does not try again.
func post(p *postfix, from, body string) error {
	raw := fmt.Sprintf("From: %s\r\nTo: someone@receiver.example\r\nSubject: one message\r\nDate: %s\r\nMessage-ID: <%d@%s.example.com>\r\nX-Via: %s\r\n\r\n%s\r\n",
		from, time.Now().Format(time.RFC1123Z), time.Now().UnixNano(), p.name, p.name, body)
	c, err := smtp.Dial(p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from, nil); err != nil {
		return err
	}
	if err := c.Rcpt("someone@receiver.example", nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// arrived waits for the message with this body and returns it.
func (s *sink) arrived(t *testing.T, body string) received {
	t.Helper()
	var found received
	eventually(t, "the message "+body+" arrives", func() bool {
		for _, m := range s.messages() {
			if strings.Contains(string(m.raw), "\r\n\r\n"+body+"\r\n") {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// forget drops a message that was meant not to verify.
func (s *sink) forget(body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(m received) bool { return strings.Contains(string(m.raw), "\r\n\r\n"+body+"\r\n") })
}
