package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// reporters touches the domains whose DMARC reports go to a domain that comes, goes, or is written in another way now: their records in its zone follow.
// Which domains those are is found in the state that is at hand; nothing is kept for it.
func (a *applying) reporters(ctx context.Context, domains difference[inventory.Domain], next inventory.State) error {
	changed := map[string]bool{}
	for _, c := range domains.saved {
		if c.added || c.before.Mode != c.after.Mode || c.before.Publisher != c.after.Publisher {
			changed[c.name] = true
		}
	}
	for _, d := range domains.gone {
		changed[d.Name] = true
	}
	for _, d := range next.Domains {
		if d.Publisher != "" && a.rewired[d.Publisher] {
			changed[d.Name] = true
		}
	}
	if len(changed) == 0 {
		return nil
	}
	for _, d := range next.Domains {
		if a.domains[d.Name] || d.DMARC == "" {
			continue
		}
		for _, host := range inventory.ReportHosts(d) {
			for _, name := range inventory.Above(host) {
				if changed[name] {
					a.domains[d.Name] = true
				}
			}
		}
	}
	// What lies with a publisher whose zone changed is looked at again, also where nobody wants it any more.
	for name := range a.rewired {
		if err := a.rows(ctx, `SELECT DISTINCT domain FROM records WHERE publisher = $1 AND purpose = $2 AND gone = 0`, []any{name, lifecycle.ForReport}, func(s scanner) error {
			var domain string
			err := s(&domain)
			a.domains[domain] = true
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// leaveReportRecords gives back what a publisher that goes wrote into its zones for other domains' DMARC reports: it stays as it is. What is just being
// taken away keeps the publisher (fault.Conflict).
func (a *applying) leaveReportRecords(ctx context.Context, publisher string) error {
	var record string
	leaving, err := a.row(ctx, `SELECT name FROM records WHERE publisher = $1 AND purpose = $2 AND written <> '' AND want = '' AND gone = 0 LIMIT 1`,
		[]any{publisher, lifecycle.ForReport}, &record)
	if err != nil {
		return err
	}
	if leaving {
		return fault.New(fault.Conflict, "the publisher %s is still needed to take %s away", publisher, record).WithHint("it can go when the record is removed: postseal record list")
	}
	_, err = a.exec(ctx, `UPDATE records SET written = '', adopted = '', pending = 0, publisher = '', revision = revision + 1 WHERE publisher = $1 AND purpose = $2`,
		publisher, lifecycle.ForReport)
	return err
}
