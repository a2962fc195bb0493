package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// What reports must show before they speak for a stronger policy.
const (
	// adviceDays is how many days with reports are wanted: every working day twice.
	adviceDays = 14
	// adviceMessages is how many messages reports must tell of before a share of them means anything.
	adviceMessages = 100
)

// Advice is what the reports of some days say of a domain's mail as a whole, and whether they speak for a policy that acts on mail that fails. Only reports that are vouched for are in
// the figures.
type Advice struct {
	From, To  time.Time // midnight UTC of the first and the last day that reports tell of; zero = there are none
	Days      int       // with reports
	Reporters []string  // those with most messages first

	Messages   int64 // in the name of the domain
	Aligned    int64 // by DKIM or SPF
	NotAligned int64
	Unvouched  int64 // messages that other reports tell of; in none of the other figures

	Own        int64 // of servers and services of the inventory, not passed on by others
	OwnAligned int64
	OwnDKIM    int64 // aligned by DKIM: what p=reject asks for (RFC 9989 §7.4)
	OwnSPF     int64 // aligned by SPF

	PassedOn     int64 // signed by us, and come by way of others
	PassedOnLost int64 // of these, what does not align: a policy that acts hits it
	Strangers    int64 // of nobody known, neither aligned: what a policy is for, unless a sender was forgotten

	Senders []SenderFigures // most messages first

	// Ready says that a policy that acts would hit hardly any mail of ours; Reasons and Missing say why and why not, a sentence each.
	Ready   bool
	Reasons []string
	Missing []string
}

// SenderFigures is what one signer sent; of nobody known when Who is empty.
type SenderFigures struct {
	Who                          Who
	Messages, Aligned, DKIM, SPF int64
	Rejected                     int64 // that receivers refused or quarantined
	First, Last                  time.Time
	Reporters                    int
}

// Advise adds a domain's groups up. found is what Diagnose finds in them.
func Advise(groups []Group, scene Scene, found []Diagnosis) Advice {
	c := newClinic(groups, scene)
	var a Advice
	sure := filter(c.groups, func(g *Group) bool { return g.Vouched })
	all := sum(sure, true)
	a.From, a.To, a.Reporters, a.Messages = all.first, all.last, all.names(), all.messages
	a.Unvouched = sum(filter(c.groups, func(g *Group) bool { return !g.Vouched }), false).messages
	days := map[time.Time]bool{}
	for i := range sure {
		g := sure[i]
		for d := g.First; !d.After(g.Last) && len(days) < maxAdviceDays; d = d.AddDate(0, 0, 1) {
			days[d] = true
		}
		a.count(c, g)
	}
	a.Days = len(days)
	a.Senders = senders(sure)
	a.judge(scene, found)
	return a
}

// maxAdviceDays is the longest time that days are counted in; groups come from storage and are of a year at most.
const maxAdviceDays = 400

func (a *Advice) count(c *clinic, g *Group) {
	add := func(to *int64, when bool) {
		if when {
			*to = plus(*to, g.Messages)
		}
	}
	mine := c.mine(g)
	add(&a.Aligned, g.aligned())
	add(&a.NotAligned, !g.aligned())
	add(&a.Own, mine)
	add(&a.OwnAligned, mine && g.aligned())
	add(&a.OwnDKIM, mine && g.DKIM)
	add(&a.OwnSPF, mine && g.SPF)
	add(&a.PassedOn, !mine && c.knows(g.Signer))
	add(&a.PassedOnLost, !mine && c.knows(g.Signer) && !g.aligned())
	add(&a.Strangers, !mine && !c.knows(g.Signer) && !g.aligned())
}

func senders(groups []*Group) []SenderFigures {
	whos, parts := by(groups, func(g *Group) (Who, bool) { return g.Signer, true }, whoName)
	out := make([]SenderFigures, 0, len(whos))
	for _, w := range whos {
		f := sum(parts[w], false)
		x := SenderFigures{Who: w, Messages: f.messages, First: f.first, Last: f.last, Reporters: len(f.reporters)}
		x.Aligned = sum(filter(parts[w], func(g *Group) bool { return g.aligned() }), false).messages
		x.DKIM = sum(filter(parts[w], func(g *Group) bool { return g.DKIM }), false).messages
		x.SPF = sum(filter(parts[w], func(g *Group) bool { return g.SPF }), false).messages
		x.Rejected = sum(filter(parts[w], func(g *Group) bool { return g.Disposition == "reject" || g.Disposition == "quarantine" }), false).messages
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b SenderFigures) int { return cmp.Compare(b.Messages, a.Messages) })
	return out
}

// judge weighs the figures and the diagnoses.
func (a *Advice) judge(scene Scene, found []Diagnosis) {
	because := func(format string, args ...any) { a.Reasons = append(a.Reasons, fmt.Sprintf(format, args...)) }
	lacks := func(format string, args ...any) { a.Missing = append(a.Missing, fmt.Sprintf(format, args...)) }
	switch {
	case a.Messages == 0:
		lacks("no reports that are vouched for have come yet")
		return
	case a.Days < adviceDays:
		lacks("reports tell of %s; %d are wanted", count(int64(a.Days), "day", "days"), adviceDays)
	}
	if len(a.Reporters) < FloorReporters {
		lacks("only %s reports; %d reporters are wanted", list(a.Reporters), FloorReporters)
	}
	if a.Own < adviceMessages {
		lacks("reports tell of %s of your own senders; %d at least say something", count(a.Own, "message", "messages"), adviceMessages)
	} else {
		text := fmt.Sprintf("of %s of your own senders in %s %s align (%s), %s by DKIM (%s)", count(a.Own, "message", "messages"), count(int64(a.Days), "day", "days"),
			Grouped(a.OwnAligned), Share(a.OwnAligned, a.Own), Grouped(a.OwnDKIM), Share(a.OwnDKIM, a.Own))
		if morePercent(a.Own-a.OwnAligned, a.Own, minorPercent) {
			lacks("%s: more than %d %% do not", text, minorPercent)
		} else {
			because("%s", text)
		}
		if bySPF := a.OwnAligned - a.OwnDKIM; morePercent(bySPF, a.Own, failingPercent) {
			lacks("%s of your own mail rests on SPF alone, which is lost when mail is passed on (RFC 9989 §7.4)", Share(bySPF, a.Own))
		}
	}
	for _, d := range found {
		switch d.ID {
		case "DKIM-L01", "DKIM-L06", "DKIM-L07", "DMARC-24", RptService, RptShadow, RptOurDNS:
			if d.Severity != Info {
				lacks("%s", d.Message)
			}
		case RptBySPF:
			if d.Severity != Info {
				because("%s", d.Message)
			}
		}
	}
	if a.Strangers > 0 {
		because("%s (%s) are of nobody known and do not align: a policy that acts stops them; see once that none of their sources is yours", count(a.Strangers, "message", "messages"), Share(a.Strangers, a.Messages))
	}
	if a.PassedOnLost > 0 {
		because("%s of yours were changed on their way by lists or forwarders (%s of all), and a policy that acts hits them", count(a.PassedOnLost, "message", "messages"), Share(a.PassedOnLost, a.Messages))
	}
	a.Ready = len(a.Missing) == 0
}
