package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// newTicketNoun makes "ticket".
func newTicketNoun() *cobra.Command {
	return noun("ticket", "What people are asked to change in DNS by hand", newTicketList(), newTicketShow(), newTicketCheck(), newTicketNote())
}

func newTicketList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what owners of zones are asked for, since when, and until when",
		Long: `List the open tickets. A ticket is all that one owner of zones (a publisher of kind "manual") is asked to change at a time. It opens, grows and closes by
itself: it is done when every name server shows all of its changes.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed ones too")
	return query(cmd, func(ctx context.Context, c *client.Client, _ []string) (client.Tickets, error) {
		return c.Tickets(ctx, all)
	}, printTickets)
}

func newTicketShow() *cobra.Command {
	var r remote
	var form client.TicketForm
	cmd := &cobra.Command{
		Use:   "show TICKET",
		Short: "Show a ticket: as text to paste, as a mail, in zone-file form, or as click steps",
		Long: `Show one ticket. Without --as: where it stands, for yourself. With --as, for whoever changes the zone:

  text    a complete text for a mail or a ticket system
  mail    a message (RFC 5322) to be piped to a mail program; nothing is sent by this command
  zone    the records in zone-file form
  steps   numbered steps for the console of the publisher's host`,
		Example: `  postseal ticket show T-3
  postseal ticket show T-3 --as mail --from postmaster@example.com | sendmail -t`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"", "text", "mail", "zone", "steps"}, form.As) {
				return fault.New(fault.Invalid, "a ticket cannot be shown as %q", form.As).WithHint("--as text, mail, zone or steps")
			}
			if form.As != "mail" && (form.From != "" || form.To != "") {
				return fault.New(fault.Invalid, "--from and --to are for a mail").WithHint("add --as mail")
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			if form.As == "" {
				t, err := c.Ticket(cmd.Context(), args[0])
				if err != nil || r.asJSON {
					return firstError(err, func() error { return r.json(cmd.OutOrStdout(), t) })
				}
				return printTicket(cmd.OutOrStdout(), t)
			}
			text, err := c.TicketText(cmd.Context(), args[0], form)
			if err != nil || r.asJSON {
				return firstError(err, func() error { return r.json(cmd.OutOrStdout(), client.TicketText{Text: text}) })
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&form.As, "as", "", "text, mail, zone or steps")
	cmd.Flags().StringVar(&form.From, "from", "", "mail: the sender's address (without it your mail program adds it)")
	cmd.Flags().StringVar(&form.To, "to", "", "mail: whom to write to (default the publisher's contact)")
	return r.add(cmd, true)
}

// firstError returns the error, or what comes of going on.
func firstError(err error, goOn func() error) error {
	if err != nil {
		return err
	}
	return goOn()
}

func newTicketCheck() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "check TICKET",
		Short: "Look at every record of a ticket now, and say what is wrong with it",
		Long: `Ask every authoritative server for every record of the ticket. What stands there in its place is explained: quotes in the value, a value that was cut, a name
that ends in the zone twice, a record at another name. Large tickets are looked at in pages of 200 changes, one after the other, and standard error says
how far it is; the first 50 of each page that are missing are looked for at other names as well. What is seen to be done counts at once. The exit status
is 1 unless everything is done.`,
		Example: `  postseal ticket check T-3`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			all := client.TicketCheck{Changes: []client.TicketChecked{}}
			for page, err := range c.CheckTicket(cmd.Context(), args[0]) {
				if err != nil {
					return err
				}
				all.Now, all.Ticket, all.NotLooked = page.Now, page.Ticket, page.NotLooked
				all.Changes = append(all.Changes, page.Changes...)
				if !r.asJSON {
					printTicketChecked(cmd.OutOrStdout(), page.Changes)
				}
				if page.NotLooked > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "looked at %d of %d\n", len(all.Changes), len(all.Changes)+page.NotLooked)
				}
			}
			if r.asJSON {
				err = r.json(cmd.OutOrStdout(), all)
			} else {
				err = printTicketDone(cmd.OutOrStdout(), all)
			}
			if err == nil && !allDone(all) {
				return errBad
			}
			return err
		},
	}
	return r.add(cmd, true)
}

func newTicketNote() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "note TICKET TEXT",
		Short:   "Keep a note with a ticket, which its texts show; an empty one takes it away",
		Example: `  postseal ticket note T-3 "asked again by phone; they do it on Monday"`,
		Args:    cobra.ExactArgs(2),
	}
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		said := "The note is kept with " + args[0] + "."
		if strings.TrimSpace(args[1]) == "" {
			said = "The note of " + args[0] + " is taken away."
		}
		return said, c.NoteTicket(cmd.Context(), args[0], args[1])
	})
}

func printTickets(out io.Writer, all client.Tickets) error {
	t := table{head: []string{"TICKET", "STATE", "FOR", "DONE", "WAITING", "REMINDED", "EXPIRES", "DOMAINS"}}
	for _, x := range all.Tickets {
		waits := strings.TrimSuffix(since(x.Oldest, all.Now), " ago")
		if !x.Closed.IsZero() {
			waits = "closed " + since(x.Closed, all.Now)
		}
		t.add(ticketMood(x), x.Ticket, x.State, firstOf(x.Contact, x.Publisher), fmt.Sprintf("%d of %d", x.Done, x.Done+x.Open), waits, remindedText(x, all.Now), expiryText(x, all.Now), few(x.Domains))
	}
	return t.print(out, "Nobody is asked for anything.")
}

// remindedText says how often somebody was reminded, and when it is time again.
func remindedText(x client.Ticket, now time.Time) string {
	switch {
	case x.NextReminder.IsZero() && x.Reminders == 0:
		return "-"
	case x.NextReminder.IsZero():
		return fmt.Sprintf("%d×", x.Reminders)
	}
	return fmt.Sprintf("%d×, next %s", x.Reminders, until(x.NextReminder, now))
}

func ticketMood(x client.Ticket) mood {
	switch {
	case x.Severity == "error":
		return bad
	case x.State == "open":
		return waiting
	case x.State == "done":
		return good
	}
	return calm
}

func whenText(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return until(t, now)
}

func expiryText(x client.Ticket, now time.Time) string {
	if !x.Expired.IsZero() {
		return "expired " + since(x.Expired, now)
	}
	return whenText(x.Expires, now)
}

// few names the first of many.
func few(names []string) string {
	const most = 2
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func printTicket(out io.Writer, x client.TicketShow) error {
	revision := fmt.Sprint(x.Revision)
	if x.Revision > 1 {
		revision += ", of " + stamp(x.Revised)
	}
	reminders := "none yet"
	if x.Reminders > 0 {
		reminders = fmt.Sprintf("%d, the last %s", x.Reminders, since(x.Reminded, x.Now))
	}
	note := ""
	if x.Note != "" {
		note = fmt.Sprintf("%s (%s, %s)", x.Note, x.NoteBy, stamp(x.NoteAt))
	}
	pairs := []string{"ticket", x.Ticket.Ticket, "state", x.State, "publisher", x.Publisher, "asked of", x.Contact, "steps for", x.Host, "opened", stamp(x.Opened) + ", " + since(x.Opened, x.Now),
		"revision", revision, "changes", changesText(x.Ticket)}
	if x.Closed.IsZero() {
		pairs = append(pairs, "reminders", reminders, "next reminder", whenText(x.NextReminder, x.Now), "expires", expiryText(x.Ticket, x.Now))
	} else {
		pairs = append(pairs, "closed", stamp(x.Closed))
	}
	facts(out, append(pairs, "note", note)...)
	fmt.Fprintln(out)
	t := table{head: []string{"CHANGE", "STATE", "NAME", "TYPE", "WAITING", "DNS"}}
	for _, c := range x.Changes {
		m, waits := waiting, strings.TrimSuffix(since(c.Since, x.Now), " ago")
		switch c.State {
		case "done":
			m, waits = good, "-"
		case "withdrawn":
			m, waits = calm, "-"
		}
		kind := c.Kind
		if c.Urgent {
			m, kind = bad, kind+", URGENT"
		}
		t.add(m, kind, c.State, c.Name, c.Type, waits, dash(c.DNS))
	}
	if err := t.print(out, "It has no changes."); err != nil {
		return err
	}
	if x.Closed.IsZero() {
		fmt.Fprintf(out, "\nFor whoever changes the zone: postseal ticket show %s --as text, mail, zone or steps\n", x.Ticket.Ticket)
	}
	return nil
}

func changesText(x client.Ticket) string {
	text := fmt.Sprintf("%d open, %d done", x.Open, x.Done)
	if x.Withdrawn > 0 {
		text += fmt.Sprintf(", %d no longer asked for", x.Withdrawn)
	}
	return text
}

func allDone(c client.TicketCheck) bool {
	for _, x := range c.Changes {
		if x.State != "done" {
			return false
		}
	}
	return c.NotLooked == 0
}

// printTicketChecked says what was seen of some changes.
func printTicketChecked(out io.Writer, changes []client.TicketChecked) {
	for _, x := range changes {
		fmt.Fprintf(out, "%-8s %s %s record at %s\n", x.State, kindText(x.Kind), x.Type, clean(x.Name))
		for _, m := range x.Mistakes {
			fmt.Fprintf(out, "         %s (%s)\n           %s\n", clean(m.Message), clean(strings.Join(m.Servers, ", ")), clean(m.Fix))
		}
		for _, s := range x.Silent {
			fmt.Fprintf(out, "         no usable answer: %s\n", clean(s))
		}
	}
}

// printTicketDone says how far a ticket is.
func printTicketDone(out io.Writer, check client.TicketCheck) error {
	if len(check.Changes) == 0 {
		_, err := fmt.Fprintf(out, "%s asks for nothing any more.\n", check.Ticket)
		return err
	}
	done := 0
	for _, x := range check.Changes {
		if x.State == "done" {
			done++
		}
	}
	_, err := fmt.Fprintf(out, "%s: %d of %d done.\n", check.Ticket, done, len(check.Changes))
	return err
}

func kindText(kind string) string {
	if kind == "add" {
		return "add the"
	}
	return kind + " the"
}

// printTicketLines says below the status what people are asked for.
func printTicketLines(out io.Writer, tickets []client.Ticket, now time.Time) {
	for _, x := range tickets {
		text := fmt.Sprintf("%s: %s asked for %s", x.Ticket, clean(firstOf(x.Contact, x.Publisher)), countChanges(x.Open))
		if x.State == "expired" {
			fmt.Fprintf(out, "error TICKET-02 %s for %s, EXPIRED %s; next reminder %s\n  postseal ticket check %s says what is still wrong\n",
				text, strings.TrimSuffix(since(x.Oldest, now), " ago"), since(x.Expired, now), whenText(x.NextReminder, now), x.Ticket)
			continue
		}
		lead := ""
		if x.Severity == "warning" {
			lead = "warning TICKET-01 "
		}
		fmt.Fprintf(out, "%s%s %s; next reminder %s, expires %s\n", lead, text, since(x.Oldest, now), whenText(x.NextReminder, now), whenText(x.Expires, now))
	}
}

func countChanges(n int) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}

// countOf is a number of things with its noun.
func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
