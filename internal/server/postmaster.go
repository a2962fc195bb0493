package server

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

const (
	// postmasterEvery is how often Google is asked: it has new figures once a day.
	postmasterEvery = 24 * time.Hour
	// postmasterJitter is what is added at most, so that not everybody asks at one hour, nor several replicas at one time.
	postmasterJitter = 2 * time.Hour
	// postmasterRetry is how soon it is asked again after trouble of the account, which may pass, or be mended by a person, and after a change of the inventory, which may have
	// brought a domain.
	postmasterRetry = time.Hour
	// postmasterPoll is how often it is seen whether that time has come; it costs a query.
	postmasterPoll = time.Minute
	// postmasterDays is how many days are asked for at first: Google keeps as many.
	postmasterDays = 120
	// postmasterLate is how many of the days that were asked for are asked for again: figures come two days late, and now and then later.
	postmasterLate = 5
	// maxPostmasterDomains is how many domains of an account are asked about: with the requests that Google allows in a minute that takes ten.
	maxPostmasterDomains = 1000
)

// witness asks Google Postmaster Tools.
type witness struct {
	client *postmaster.Client
	jitter time.Duration
	begun  bool // it was looked whether it is time since this process started
	// generation is that of the inventory whose domains were asked about.
	generation int64
}

// openPostmaster makes what asks Google, where there is a credential.
func (r *reporting) openPostmaster() error {
	o := r.config.Postmaster
	if o.Credential == "" {
		if o.Subject != "" || o.Endpoint != "" {
			return fault.New(fault.Invalid, "Google Postmaster Tools cannot be asked without a credential").WithHint("pass --postmaster-credential file:/path")
		}
		return nil
	}
	o.Log = r.config.Logger
	c, err := postmaster.New(o)
	if err != nil {
		return err
	}
	r.witness = &witness{client: c, jitter: rand.N(postmasterJitter)}
	return nil
}

// askPostmaster asks Google when it is time: at the first start, once a day, soon after trouble or a change of the inventory, and when a process starts that finds trouble, because a
// person may have mended it.
func (r *reporting) askPostmaster(ctx context.Context) error {
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	all, err := r.PostmasterAsked(ctx)
	if err != nil {
		return err
	}
	asked := map[string]postmaster.Asked{}
	for _, a := range all {
		asked[a.Domain] = a
	}
	generation, err := r.store.Generation(ctx)
	if err != nil {
		return err
	}
	w, account := r.witness, asked[""]
	fresh := !w.begun && account.Problem != ""
	if !w.begun {
		w.begun, w.generation = true, generation
	}
	pause := postmasterEvery + w.jitter
	if account.Problem != "" || w.generation != generation {
		pause = postmasterRetry
	}
	if !fresh && now.Before(account.At.Add(pause)) {
		return nil
	}
	w.generation = generation
	return r.askAccount(ctx, now, asked)
}

// askAccount asks about every domain of the account that is in the inventory.
func (r *reporting) askAccount(ctx context.Context, now time.Time, asked map[string]postmaster.Asked) error {
	domains, err := r.witness.client.Domains(ctx)
	if err != nil {
		return r.postmasterTrouble(ctx, postmaster.Asked{At: now}, asked[""], err)
	}
	known, err := r.Directory(ctx)
	if err != nil {
		return err
	}
	today := now.UTC().Truncate(24 * time.Hour)
	has, changed, more := map[string]bool{}, map[string]bool{}, 0
	for _, d := range domains {
		has[d.Name] = true
		ours, before := known.Domain(d.Name), asked[d.Name]
		switch {
		case ours == "":
			continue
		case len(changed) >= maxPostmasterDomains:
			more++
			continue
		case before.Problem == "" && now.Sub(before.At) < postmasterEvery/2:
			continue // it was asked about before the trouble that made us come again
		}
		changed[ours] = true
		a := postmaster.Asked{Domain: d.Name, At: now, Since: before.Since, Until: before.Until}
		if !d.Readable {
			err := fault.New(fault.Denied, "%s is not verified in Postmaster Tools, or the account has no access to its figures", d.Name).
				WithHint("verify it at https://postmaster.google.com, and let the service account's address see it there (Manage users)")
			if err := r.postmasterTrouble(ctx, a, before, err); err != nil {
				return err
			}
			continue
		}
		from := today.AddDate(0, 0, -postmasterDays)
		if late := before.Until.AddDate(0, 0, -postmasterLate); late.After(from) {
			from = late
		}
		days, err := r.witness.client.Stats(ctx, d.Name, from, today)
		switch code := fault.CodeOf(err); {
		case err == nil:
			a.Until = today
			if a.Since.IsZero() || from.Before(a.Since) {
				a.Since = from
			}
			if err := r.SavePostmaster(ctx, a, days); err != nil {
				return err
			}
			r.config.Logger.Debug("asked Google Postmaster Tools", "domain", d.Name, "days", len(days))
		case code == fault.Denied || code == fault.NotFound:
			if err := r.postmasterTrouble(ctx, a, before, err); err != nil {
				return err
			}
		default: // the others would fare no better
			return r.postmasterTrouble(ctx, postmaster.Asked{At: now}, asked[""], err)
		}
	}
	for name, before := range asked {
		if name == "" || has[name] {
			continue
		}
		err := fault.New(fault.NotFound, "the account does not have %s any more", name).WithHint("add it in Postmaster Tools, or give the service account's address access to it again")
		if err := r.postmasterTrouble(ctx, before, before, err); err != nil {
			return err
		}
	}
	if more > 0 {
		r.config.Logger.Warn("Google Postmaster Tools have more domains than are asked about", "asked", maxPostmasterDomains, "more", more)
	}
	if err := r.SavePostmaster(ctx, postmaster.Asked{At: now}, nil); err != nil {
		return err
	}
	for name := range changed {
		if err := r.diagnose(ctx, []string{name}); err != nil {
			return err
		}
	}
	return nil
}

// postmasterTrouble keeps why something is not known, and logs what is new of it.
func (r *reporting) postmasterTrouble(ctx context.Context, a, before postmaster.Asked, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.Problem, a.Hint = fault.Show(err)
	if a.Problem != before.Problem {
		r.config.Logger.Warn("Google Postmaster Tools", "domain", a.Domain, "problem", a.Problem, "hint", a.Hint)
	}
	return r.SavePostmaster(ctx, a, nil)
}

// Postmaster returns what Postmaster Tools say of a domain of the inventory, beside the reports of google.com.
func (r *reporting) Postmaster(ctx context.Context, domain string, p report.Period) (postmaster.Witness, error) {
	w := postmaster.Witness{On: r.witness != nil}
	all, err := r.PostmasterAsked(ctx)
	if err != nil || len(all) == 0 {
		return w, err
	}
	known, err := r.Directory(ctx)
	if err != nil {
		return w, err
	}
	for _, a := range all {
		if a.Domain == "" || known.Domain(a.Domain) == domain {
			w.Asked = append(w.Asked, a)
		}
	}
	if !slices.ContainsFunc(w.Asked, func(a postmaster.Asked) bool { return a.Domain != "" }) {
		return w, nil
	}
	days, err := r.PostmasterDays(ctx, domain, p.Since, p.Until)
	if err != nil {
		return w, err
	}
	p.Domains = []string{domain}
	groups, err := r.Groups(ctx, p, true)
	if err != nil {
		return w, err
	}
	now, err := r.store.Now(ctx)
	if err != nil {
		return w, err
	}
	for _, a := range w.Asked {
		if a.Domain == "" {
			continue
		}
		var of []postmaster.Day
		for _, d := range days {
			if d.Domain == a.Domain {
				of = append(of, d)
			}
		}
		w.Add(a, of, reported(groups, a.Domain), expected(groups), now)
	}
	return w, nil
}

// googleReports is who reports Gmail's mail: the domain that their reports come from, and the name in them.
const googleReports = "google.com"

// reported is what the vouched reports of google.com say of a domain of Postmaster Tools and of those below it, as authors or in signatures. Google counts by the domain that mail is
// signed with, or bounces to. What the sums of reports cannot tell is left out: results of SPF are kept as far as they align, and of each message the one signature that counts.
func reported(groups []report.Group, domain string) (out []postmaster.Reported) {
	within := func(name string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }
	byDay, folded := map[time.Time]int{}, map[time.Time]bool{}
	for _, g := range groups {
		of := within(g.HeaderFrom) || within(g.SigningDomain) || g.HeaderFrom == report.Folded && g.Domain == domain
		if !g.Vouched || !of || !strings.EqualFold(g.Org, googleReports) {
			continue
		}
		i, ok := byDay[g.First]
		if !ok {
			i = len(out)
			byDay[g.First], out = i, append(out, postmaster.Reported{Date: g.First})
		}
		n, x := uint64(max(0, g.Messages)), &out[i]
		x.Messages += n
		folded[g.First] = folded[g.First] || g.Result == report.Folded
		pass := g.Result == "pass"
		if within(g.SigningDomain) {
			x.DKIMTried += n
			if pass {
				x.DKIMPassed += n
			}
		}
		if g.DKIM || g.SPF {
			x.Aligned += n
		}
		if g.DKIM || g.SPF || pass {
			x.Authenticated += n
		}
	}
	for i := range out {
		if folded[out[i].Date] { // too many names in a report to tell whose signatures they are
			out[i].DKIMTried, out[i].DKIMPassed = 0, 0
		}
	}
	return out
}

// expected says of which days a report of google.com is missing: nobody has any of the time before the first one came, and where another part of the domain was reported, reports
// get through.
func expected(groups []report.Group) func(time.Time) bool {
	var first time.Time
	heard := map[time.Time]bool{}
	for _, g := range groups {
		if first.IsZero() || g.First.Before(first) {
			first = g.First
		}
		if strings.EqualFold(g.Org, googleReports) {
			heard[g.First] = true
		}
	}
	return func(day time.Time) bool { return !first.IsZero() && !day.Before(first) && !heard[day] }
}

// spoken makes diagnoses of what Postmaster Tools say of a domain of late.
func (r *reporting) spoken(ctx context.Context, domain string, p report.Period) (out []report.Diagnosis, err error) {
	w, err := r.Postmaster(ctx, domain, p)
	if err != nil {
		return nil, err
	}
	for _, f := range w.Judge(p.Until) {
		d := report.Diagnosis{ID: f.ID, Severity: report.Info, Subject: f.Subject, Message: f.Message, Fix: f.Fix, Since: f.Since, Reporters: []string{googleReports}}
		if f.Warning {
			d.Severity = report.Warning
		}
		out = append(out, d)
	}
	return out, nil
}

func isPostmasterFinding(id string) bool { return strings.HasPrefix(id, "GPT-") }
