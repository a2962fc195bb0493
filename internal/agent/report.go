package agent

import (
	"context"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// Bounds of what a control plane may ask for, and of what one report carries.
const (
	fastestReport = time.Second
	slowestReport = time.Hour

	// canariesPerReport keeps a report with its keys below agentapi.MaxMessage; the other canaries follow when the control plane has
	// taken these and wants them no more.
	canariesPerReport = 200
)

// report tells the control plane what is, after each change and now and then.
func (a *Agent) report(ctx context.Context) {
	failures := 0
	for {
		wait := a.reportInterval()
		err := a.reportOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		kick := a.reportKick
		if err != nil {
			a.noContact(err)
			if code := fault.CodeOf(err); code == fault.Invalid || code == fault.Denied {
				a.setCondition(conditionReport, "the control plane refuses this agent's reports: "+errorText(err))
			}
			a.log.Warn("the control plane takes no report; signing goes on", "error", err)
			wait = min(wait, backoff(failures, a.pace.RetryMin, a.pace.RetryMax))
			failures++
			kick = nil // changes wait with the retry
		} else {
			failures = 0
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (a *Agent) reportInterval() time.Duration {
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	if s := a.fleet.wanted.ReportSeconds; s > 0 {
		return min(max(time.Duration(min(s, 1<<20))*time.Second, fastestReport), slowestReport)
	}
	return a.pace.Report
}

func (a *Agent) reportOnce(ctx context.Context) error {
	request, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := a.reachable(request); err != nil {
		return err
	}
	report := a.currentReport()
	response, err := a.controlPlane.Report(request, report)
	a.giveBack()
	if err != nil {
		return err
	}
	if a.refusals.taken(report.Refusals) {
		defer a.reportSoon()
	}
	a.contact()
	a.setCondition(conditionReport, "")
	if have, _ := a.haveVersion(); response.Latest != 0 && response.Latest != have {
		kick(a.pollKick)
	}
	return nil
}

// currentReport is the report as of now.
func (a *Agent) currentReport() agentapi.Report {
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	r := agentapi.Report{
		Version: agentapi.Version, Applied: f.applied, Source: agentapi.Source{Installation: f.wanted.Installation, Epoch: f.wanted.Epoch}, UnixTime: a.now().Unix(), Software: software(), Unsigned: a.counters.reasonTotals(),
		Refusals: a.refusals.pending(),
		Keys:     make([]agentapi.KeyReport, 0, len(f.keys)),
	}
	r.ProbesReady, r.Probes = a.settings.Load().probe.ready(), a.probes.reported(f.wanted.Probes)
	// First who may still sign, then how much was signed: a key that is said to have stopped comes with its last number.
	inUse := a.tables.inUse()
	ids := slices.Sorted(maps.Keys(f.keys))
	canaries := f.nextCanaries(ids)
	for _, id := range ids {
		k := f.keys[id]
		count := a.counters.seen(id)
		rare := k.rare()
		kr := agentapi.KeyReport{ID: id, Has: k.has, Record: a.recordToReport(k), Signing: inUse[id], SignedAgeSeconds: -1, Destroyed: k.destroyed, Error: shown(k.problem())}
		if age, ok := a.counters.age(count); ok {
			kr.SignedAgeSeconds = int64(age / time.Second)
		}
		kr.Signed = count.signed.Load()
		if canaries[id] {
			kr.CanaryNonce, kr.Canary = rare.canaryNonce, rare.canary
		}
		r.Keys = append(r.Keys, kr)
	}
	return r
}

// recordToReport is the record of a key as far as the control plane does not know it: a hundred thousand would not fit a report, nor the
// memory. The caller holds the lock.
func (a *Agent) recordToReport(k *keyState) string {
	asWanted := func() bool { return k.named() && k.known && k.own.known() && k.wanted() == k.own }
	if !k.has && !k.own.known() || asWanted() {
		return ""
	}
	if r := k.rare(); r.record != "" {
		return r.record
	}
	record, err := a.recordOf(k.id)
	if err != nil {
		return ""
	}
	// Saying nothing of a key that is here says that it is the one which the instructions have, so that must be known.
	if k.setOwn(sumOf(record)); asWanted() {
		return ""
	}
	k.note().record = record
	return record
}

// nextCanaries picks the keys whose canaries go into the next report: all in turn, whether or not the control plane says that it has
// seen them.
func (f *fleetState) nextCanaries(ids []string) map[string]bool {
	var waiting []string
	for _, id := range ids {
		if f.keys[id].rare().canary != nil {
			waiting = append(waiting, id)
		}
	}
	from, _ := slices.BinarySearch(waiting, f.canaryFrom)
	picked := map[string]bool{}
	for i := range min(len(waiting), canariesPerReport) {
		picked[waiting[(from+i)%len(waiting)]] = true
	}
	if len(waiting) > 0 {
		f.canaryFrom = waiting[(from+len(picked))%len(waiting)]
	}
	return picked
}

// software names this program and its version.
func software() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "postseal " + info.Main.Version
	}
	return "postseal"
}

// kick wakes the loop behind a channel of capacity one; a loop that is awake already looks at everything anyway.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *Agent) reportSoon() { kick(a.reportKick) }
func (a *Agent) workSoon()   { kick(a.workKick) }
func (a *Agent) checkSoon()  { kick(a.checkKick) }

// manyKeys is from how many keys on a report, or new instructions, leave so much garbage that it is given back to the system at once: by
// itself it would stay for minutes, and be counted to an agent that has hardly anything to do.
const manyKeys = 10_000

func (a *Agent) giveBack() {
	if a.hasMany() {
		debug.FreeOSMemory()
	}
}

func (a *Agent) hasMany() bool {
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	return len(a.fleet.keys) >= manyKeys
}

// reachable asks a control plane that did not answer last time for something small, before a report on many keys is made for nothing.
func (a *Agent) reachable(ctx context.Context) error {
	a.fleet.mu.Lock()
	answered := a.fleet.trouble == "" && !a.fleet.contact.IsZero()
	a.fleet.mu.Unlock()
	if answered || !a.hasMany() {
		return nil
	}
	have, source := a.haveVersion()
	_, err := a.controlPlane.Poll(ctx, agentapi.PollRequest{Version: agentapi.Version, Have: have, Source: source})
	return err
}
