package main

import (
	"cmp"
	"fmt"
	"slices"
)

// aim is one line of what the product wants to reach, with what this run measured.
type aim struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"` // in Unit; 0 when it was not measured
	Unit     string  `json:"unit"`
	Peer     string  `json:"best_peer,omitempty"`
	PeerHas  float64 `json:"best_peer_has,omitempty"` // in Unit
	Ratio    float64 `json:"ratio,omitempty"`         // the peer's by ours
	Aim      string  `json:"aim"`
	Here     string  `json:"here"`    // what is held against the aim
	Reached  string  `json:"reached"` // yes, no, not measured
}

// The aims. Times above the floor are CPU time beyond RSA and SHA-256.
var (
	aimAbove       = []limit{{"2 KiB", 10}, {"1 MiB base64", 500}, {"1 MiB prose", 1000}} // µs
	aimVerify      = []limit{{"2 KiB", 1.5}, {"50 KiB", 2.5}, {"1 MiB base64", 2.8}}      // times the best peer's rate
	aimMilterSign  = []limit{{"2 KiB", 1.5}, {"50 KiB", 1.7}, {"1 MiB base64", 2.4}}      // times less CPU than opendkim
	aimMilterCheck = []limit{{"2 KiB", 3}, {"50 KiB", 4}, {"1 MiB base64", 3}}
)

const (
	aimAllocations    = 10
	aimMemory         = 20   // MB
	aimDomainsStart   = 1    // s
	aimDomainsMemory  = 60   // MB
	aimDomainsUniform = 1.15 // times one domain
	aimDomainsZipf    = 1.05
	aimRecords        = 400_000 // per second of one core
	aimRecordsMemory  = 30      // MB
	aimSmallReports   = 15_000  // per second of one core
)

type limit struct {
	message string
	value   float64
}

// aimPeer is the milter that the aims for milters name.
const aimPeer = "opendkim"

// aims are all lines; what was not measured says so.
func (r *report) aims() (out []aim) {
	for _, l := range aimAbove {
		a := aim{What: "library, sign " + l.message + ": time above RSA and SHA-256", Unit: "µs", Aim: fmt.Sprintf("≤ %g µs", l.value)}
		if us, ok := r.library("sign", l.message); ok && us.HasFloor {
			a.Measured = us.Above
			for _, p := range r.Library.peers("sign", l.message) {
				if p.HasFloor && (a.Peer == "" || p.Above < a.PeerHas) {
					a.Peer, a.PeerHas = p.Library, p.Above
				}
			}
			if a.Measured > 0 {
				a.Ratio = a.PeerHas / a.Measured
			}
			a.reached(number(us.Above, a.Unit), us.Above <= l.value)
		}
		out = append(out, a)
	}
	for _, l := range aimVerify {
		a := aim{What: "library, verify " + l.message + ": per second of CPU time", Unit: "/s", Aim: fmt.Sprintf("≥ %g× the best peer", l.value)}
		if us, ok := r.library("verify", l.message); ok {
			a.Measured = us.PerSecond
			if best, ok := r.Library.best("verify", l.message); ok {
				a.Peer, a.PeerHas, a.Ratio = best.Library, best.PerSecond, best.Ratio
				a.reached(times(best.Ratio), best.Ratio >= l.value)
			}
		}
		out = append(out, a)
	}
	for _, operation := range []string{"sign", "verify"} {
		out = append(out, r.allocations(operation))
	}
	out = append(out, milterAims(r.Signing, "sign", aimMilterSign)...)
	out = append(out, milterAims(r.Verifying, "verify", aimMilterCheck)...)
	out = append(out, r.domainAims()...)
	return append(out, r.reportAims()...)
}

// reached notes the outcome of a line that was measured: what was held against the aim, and whether it is good enough.
func (a *aim) reached(here string, yes bool) {
	a.Here, a.Reached = here, "no"
	if yes {
		a.Reached = "yes"
	}
}

// library is our row.
func (r *report) library(operation, message string) (row libraryRow, ok bool) {
	if r.Library == nil {
		return row, false
	}
	i := slices.IndexFunc(r.Library.Rows, func(x libraryRow) bool {
		return x.Library == oursLibrary && x.Operation == operation && x.Message == message
	})
	if i < 0 {
		return row, false
	}
	return r.Library.Rows[i], true
}

// allocations is the line for all sizes: the most, and whether it is the same for each.
func (r *report) allocations(operation string) aim {
	a := aim{What: "library, " + operation + ": allocations, any size", Unit: "", Aim: fmt.Sprintf("≤ %d and the same for each", aimAllocations)}
	if r.Library == nil {
		return a
	}
	var us []float64
	for _, row := range r.Library.Rows {
		if row.Operation != operation || row.Allocs == 0 {
			continue
		}
		if row.Library == oursLibrary {
			us = append(us, row.Allocs)
		} else if a.Peer == "" || row.Allocs > a.PeerHas {
			a.Peer, a.PeerHas = row.Library, row.Allocs
		}
	}
	if len(us) == 0 {
		return a
	}
	a.Measured = slices.Max(us)
	a.Ratio = a.PeerHas / a.Measured
	const same = 0.5 // what the run itself allocates beside, by the few operations of a round
	a.reached(fmt.Sprintf("%.1f–%.1f", slices.Min(us), a.Measured), a.Measured <= aimAllocations+same && a.Measured-slices.Min(us) < same)
	return a
}

// milterAims are the lines for CPU time and memory of the milters that all do the same.
func milterAims(r *milterResult, work string, limits []limit) (out []aim) {
	for _, l := range limits {
		a := aim{What: fmt.Sprintf("milter, %s %s: CPU per 1,000", work, l.message), Unit: "s", Aim: fmt.Sprintf("≥ %g× less than %s", l.value, aimPeer)}
		if us, them := r.row(oursMilter, l.message), r.row(aimPeer, l.message); us != nil {
			a.Measured = us.PerThou
			if best := r.best(l.message); best != nil {
				a.Peer, a.PeerHas, a.Ratio = best.Milter, best.PerThou, best.Ratio
			}
			if them != nil && them.Ratio > 0 {
				a.reached(times(them.Ratio), them.Ratio >= l.value)
			}
		}
		out = append(out, a)
	}
	a := aim{What: fmt.Sprintf("milter, %s: peak memory, %d connections of 1 MiB", work, memoryConnections), Unit: "MB", Aim: fmt.Sprintf("≤ %d MB", aimMemory)}
	if r != nil {
		for _, m := range r.Memory {
			switch {
			case m.Many == 0:
			case m.Milter == oursMilter:
				a.Measured = m.Many
				a.reached(number(m.Many, a.Unit), m.Many <= aimMemory)
			case m.Milter != allChecks && (a.Peer == "" || m.Many < a.PeerHas):
				a.Peer, a.PeerHas = m.Milter, m.Many
			}
		}
		if a.Measured > 0 {
			a.Ratio = a.PeerHas / a.Measured
		}
	}
	return append(out, a)
}

// row is a milter's row for a message, nil when there is none.
func (r *milterResult) row(milter, message string) *milterRow {
	if r == nil {
		return nil
	}
	for _, row := range r.Rows {
		if row.Milter == milter && row.Message == message {
			return row
		}
	}
	return nil
}

// best is the peer that takes the least CPU time by ours for a message, nil when there is none.
func (r *milterResult) best(message string) (best *milterRow) {
	for _, row := range r.Rows {
		peer := row.Milter != oursMilter && row.Milter != allChecks
		if peer && row.Message == message && row.Ratio > 0 && (best == nil || row.Ratio < best.Ratio) {
			best = row
		}
	}
	return best
}

func (r *report) domainAims() (out []aim) {
	for _, x := range []struct {
		what, unit string
		get        func(*domainsRow) float64
		limit      float64
		aim        string
	}{
		{"start until it signs", "s", func(d *domainsRow) float64 { return d.Start }, aimDomainsStart, "≤ %g s"},
		{"memory after loading", "MB", func(d *domainsRow) float64 { return d.Loaded }, aimDomainsMemory, "≤ %g MB"},
		{"CPU against one domain, uniform", "×", func(d *domainsRow) float64 { return d.Uniform.Slowdown }, aimDomainsUniform, "≤ %g×"},
		{"CPU against one domain, Zipf", "×", func(d *domainsRow) float64 { return d.Zipf.Slowdown }, aimDomainsZipf, "≤ %g×"},
	} {
		a := aim{What: fmt.Sprintf("milter, %d domains: %s", manyDomains, x.what), Unit: x.unit, Aim: fmt.Sprintf(x.aim, x.limit)}
		if r.Domains != nil && r.Domains.ours() != nil {
			a.Measured = x.get(r.Domains.ours())
			for _, row := range r.Domains.Rows {
				if row.Milter != oursMilter && (a.Peer == "" || x.get(row) < a.PeerHas) {
					a.Peer, a.PeerHas = row.Milter, x.get(row)
				}
			}
			a.Ratio = a.PeerHas / a.Measured
			// With another number of domains, which -domains allows, the aim is not answered.
			if r.Domains.Domains == manyDomains {
				a.reached(number(a.Measured, a.Unit), a.Measured <= x.limit)
			}
		}
		out = append(out, a)
	}
	return out
}

// reportAims are the lines for the reader of reports; each set has one for its speed, the large ones for memory too.
func (r *report) reportAims() (out []aim) {
	for _, x := range []struct {
		what, set, reader string
		least             float64
	}{
		{"one report of 100,000 records, XML", largeSet, readerOurs, aimRecords},
		{"the same, gzip", packedSet, readerOurs, aimRecords},
		{"small reports, gzip", smallSet, readerOurs, aimSmallReports},
	} {
		speed := aim{What: "reports, " + x.what + ": per second of CPU time", Unit: "/s", Aim: fmt.Sprintf("≥ %.0f/s", x.least)}
		memory := aim{What: "reports, " + x.what + ": peak memory", Unit: "MB", Aim: fmt.Sprintf("≤ %d MB", aimRecordsMemory)}
		if us := r.Reports.row(x.reader, x.set); us != nil {
			speed.Measured, memory.Measured = us.PerSecond, us.Memory
			speed.reached(number(us.PerSecond, "/s"), us.PerSecond >= x.least)
			memory.reached(number(us.Memory, "MB"), us.Memory <= aimRecordsMemory)
			if best := r.Reports.best(x.set, false); best != nil {
				speed.Peer, speed.PeerHas, speed.Ratio = best.Reader, best.PerSecond, best.Ratio
				memory.Peer, memory.PeerHas, memory.Ratio = best.Reader, best.Memory, best.Memory/us.Memory
			}
		}
		out = append(out, speed)
		if x.set != smallSet {
			out = append(out, memory)
		}
	}
	return out
}

// aimsGrid is the table of all aims.
func aimsGrid(all []aim) *grid {
	g := &grid{title: "AIMS: what this run says of each", head: []string{"aim", "measured", "best peer", "it has", "ratio", "wanted", "here", "reached"}}
	for _, a := range all {
		measured, has, ratio, reached := "–", "–", "–", cmp.Or(a.Reached, "not measured")
		if a.Measured != 0 {
			measured = number(a.Measured, a.Unit)
		}
		if a.Ratio > 0 {
			ratio = times(a.Ratio)
		}
		if a.Peer != "" {
			has = number(a.PeerHas, a.Unit)
		}
		g.row(a.What, measured, cmp.Or(a.Peer, "–"), has, ratio, a.Aim, cmp.Or(a.Here, "–"), reached)
	}
	return g
}

func times(ratio float64) string { return fmt.Sprintf("%.2f×", ratio) }

// number writes a value with as many digits as mean something.
func number(n float64, unit string) string {
	digits := 0
	switch {
	case n < 1 || unit == "×": // a slowdown, held against hundredths
		digits = 3
	case n < 10:
		digits = 2
	case n < 1000:
		digits = 1
	}
	if unit == "×" || unit == "" || unit == "/s" {
		return fmt.Sprintf("%.*f%s", digits, n, unit)
	}
	return fmt.Sprintf("%.*f %s", digits, n, unit)
}
