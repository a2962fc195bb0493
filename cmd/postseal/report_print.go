package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/report"
)

// shownReports prints reports for people.
type shownReports struct {
	out   io.Writer
	shown int
}

func (s *shownReports) document(d *parsedReport, rows func(each func(*parsedRow) error) error) error {
	if s.shown++; s.shown > 1 {
		fmt.Fprintln(s.out)
	}
	day := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return time.Unix(n, 0).UTC().Format("2006-01-02 15:04")
	}
	span := day(d.Begin)
	switch {
	case d.Begin == 0 && d.End == 0:
		span = "it does not say when"
	case d.End != d.Begin:
		span += " to " + day(d.End)
	}
	fmt.Fprintf(s.out, "%s: %s report (%s) of %s about %s, %s\n", clean(d.File), d.Type, d.Schema, clean(dash(d.OrgName)), clean(dash(d.Domain)), span)
	switch {
	case d.Failure != nil:
		printFailure(s.out, d.Failure)
		return nil
	case d.Type == string(report.TLS):
		return d.policies().print(s.out, noPolicies)
	}
	fmt.Fprintf(s.out, "  %s in %s, policy %s\n", counted(d.Messages, "message"), counted(d.Records, "record"), clean(dash(d.Policy)))
	for _, e := range d.Errors {
		fmt.Fprintf(s.out, "  the reporter says: %s\n", clean(e))
	}
	t := table{head: []string{"  SOURCE", "MESSAGES", "FROM", "DKIM", "SPF", "DISPOSITION", "SIGNATURES"}}
	err := rows(func(r *parsedRow) error {
		if len(t.rows) == maxHeldRows {
			return errEnough
		}
		m := bad
		if r.DKIMAligned || r.SPFAligned {
			m = good
		}
		t.add(m, "  "+dash(r.SourceIP), strconv.FormatInt(r.Count, 10), dash(r.HeaderFrom), passOrFail(r.DKIMAligned), passOrFail(r.SPFAligned), dash(r.Disposition), dash(signaturesOf(r.DKIM)))
		return nil
	})
	if err != nil && err != errEnough {
		return err
	}
	if err := t.print(s.out, "  It has no records."); err != nil {
		return err
	}
	if more := d.Records - int64(len(t.rows)); more > 0 {
		fmt.Fprintf(s.out, "  %s not shown: --csv and --json print all.\n", counted(more, "more record"))
	}
	return nil
}

// noPolicies is said of a TLS report without any.
const noPolicies = "  It says nothing of any policy."

func printFailure(out io.Writer, f *parsedFailure) {
	facts(out, "  from", f.SourceIP, "  author's domain", f.HeaderFrom, "  failed", strings.Join(f.Failed, ", "), "  aligned", f.Alignment, "  delivered", f.Delivery, "  DKIM domain", f.DKIMDomain,
		"  selector", f.DKIMSelector, "  message", f.MessageID)
}

// errEnough ends the reading of rows when no more are shown.
var errEnough = fmt.Errorf("enough rows were read")

func (s *shownReports) end(problems []unreadableOne) error {
	for i, e := range problems {
		if i == 0 && s.shown > 0 {
			fmt.Fprintln(s.out)
		}
		if _, err := fmt.Fprintf(s.out, "%s: cannot be read: %s\n", clean(e.File), clean(e.Error)); err != nil {
			return err
		}
	}
	return nil
}

// policies is the table of a TLS report.
func (d *parsedReport) policies() *table {
	t := &table{head: []string{"  POLICY", "DOMAIN", "SESSIONS", "FAILED", "WHY"}}
	for _, x := range d.Sessions {
		m := good
		if x.Failed > 0 {
			m = bad
		}
		var why []string
		for _, f := range x.Failures {
			m = bad
			why = append(why, fmt.Sprintf("%s %d×", f.Result, f.Sessions))
		}
		t.add(m, "  "+dash(x.Type), dash(x.Domain), strconv.FormatInt(x.Successful+x.Failed, 10), strconv.FormatInt(x.Failed, 10), dash(strings.Join(why, ", ")))
	}
	return t
}

// counted is a number with its noun.
func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatInt(n, 10) + " " + what + "s"
}

func passOrFail(pass bool) string {
	if pass {
		return "pass"
	}
	return "fail"
}

// signaturesOf says which selectors a row names, with what became of each.
func signaturesOf(results []parsedDKIM) string {
	var out []string
	for _, s := range results {
		name := dash(s.Domain)
		if s.Selector != "" {
			name = s.Selector + "._domainkey." + name
		}
		out = append(out, name+" "+dash(s.Result))
	}
	return strings.Join(out, ", ")
}
