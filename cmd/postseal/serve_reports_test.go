package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/oauth"
	"github.com/postseal/postseal/internal/server"
	"github.com/postseal/postseal/internal/webapi"
)

// What stands behind --report-mailbox becomes a mailbox with a password or one with OAuth, without anything being read yet.
func TestReportMailboxFlag(t *testing.T) {
	read := func(args ...string) (server.Config, error) {
		var c server.Config
		var r reportFlags
		cmd := &cobra.Command{}
		r.add(cmd, &c)
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		return c, r.complete(&c)
	}
	c, err := read("--report-mailbox", "imaps://dmarc%40example.org@outlook.office365.com/INBOX?oauth=systemd:imap", "--report-mailbox", "imaps://b@imap.example.org/?password=env:P")
	if err != nil || len(c.Intake.Mailboxes) != 2 {
		t.Fatalf("%+v, %v", c.Intake, err)
	}
	if m, ok := c.Intake.Mailboxes[0].OAuth.(*oauth.Mailbox); !ok || m.String() != "systemd:imap" || c.Intake.Mailboxes[0].Password != nil || c.Intake.Mailboxes[0].User != "dmarc@example.org" {
		t.Errorf("%+v", c.Intake.Mailboxes[0])
	}
	if p, ok := c.Intake.Mailboxes[1].Password.(*webapi.Credential); !ok || p.String() != "env:P" || c.Intake.Mailboxes[1].OAuth != nil {
		t.Errorf("%+v", c.Intake.Mailboxes[1])
	}
	for _, bad := range []string{"imaps://a@host/?oauth=hush-hush", "imaps://a@host/?oauth=file:relative", "imaps://a@host/?oauth=file:/o&password=file:/p", "imaps://a@host/"} {
		if _, err := read("--report-mailbox", bad); fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
