package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// grid is one table of the output. Its cells are finished text; the first column says what a line is about.
type grid struct {
	title string
	head  []string
	rows  [][]string
	notes []string // below it
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// text writes a table for a terminal.
func (g *grid) text(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", g.title)
	if len(g.rows) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, cells := range append([][]string{g.head}, g.rows...) {
			fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
		}
		_ = t.Flush()
	}
	for _, n := range g.notes {
		fmt.Fprintln(w, n)
	}
}

// markdown writes a table to paste into a page.
func (g *grid) markdown(w io.Writer) {
	fmt.Fprintf(w, "**%s**\n\n", g.title)
	if len(g.rows) > 0 {
		line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
		line(g.head)
		line(slices.Repeat([]string{"---"}, len(g.head)))
		for _, cells := range g.rows {
			line(cells)
		}
		fmt.Fprintln(w)
	}
	for _, n := range g.notes {
		fmt.Fprintf(w, "%s\n\n", strings.TrimSpace(n))
	}
}

// missing are the notes on what was not measured.
func missing(all []string) (notes []string) {
	for _, m := range all {
		notes = append(notes, "not measured: "+m)
	}
	return notes
}

// grids are the tables of the library comparison.
func (r *libraryResult) grids() []*grid {
	floor := &grid{title: "The floor", head: []string{"operation", "µs"}}
	for _, name := range slices.Sorted(maps.Keys(r.Floor)) {
		if r.Floor[name] > 0 {
			floor.row(name, fmt.Sprintf("%.1f", r.Floor[name]))
		}
	}
	out := []*grid{floor}
	for _, operation := range []string{"sign", "verify"} {
		g := &grid{
			title: fmt.Sprintf("LIBRARY, %s: rsa-sha256, relaxed/relaxed, RSA-2048; one core, CPU time, median of interleaved rounds", operation),
			head:  []string{operation, "library", "per second", "CPU µs", "above RSA and SHA-256 µs", "allocations", "verified", "postseal is"},
		}
		for _, row := range r.Rows {
			if row.Operation != operation {
				continue
			}
			above, allocs, ratio := "–", "–", ""
			if row.HasFloor {
				above = fmt.Sprintf("%.1f", row.Above)
			}
			if row.Allocs > 0 {
				allocs = fmt.Sprintf("%.1f", row.Allocs)
			}
			if row.Library != oursLibrary {
				ratio = fmt.Sprintf("%.2f× as fast", row.Ratio)
			}
			g.row(row.Message, row.Library, fmt.Sprintf("%.0f", row.PerSecond), fmt.Sprintf("%.1f", row.Micros), above, allocs, fmt.Sprint(row.Verified), ratio)
		}
		out = append(out, g)
	}
	best := &grid{title: "LIBRARY, against the best peer of each line", head: []string{"", "best peer", "rate, ratio", "least above the floor", "µs", "postseal µs", "ratio"}, notes: missing(r.Missing)}
	for _, us := range r.Rows {
		if us.Library == oursLibrary {
			r.addBest(best, us)
		}
	}
	return append(out, best)
}

// best is the fastest peer with an operation on a message; ok is false when there is none.
func (r *libraryResult) best(operation, message string) (row libraryRow, ok bool) {
	peers := r.peers(operation, message)
	if len(peers) == 0 {
		return row, false
	}
	return slices.MinFunc(peers, func(a, b libraryRow) int { return cmp.Compare(a.Ratio, b.Ratio) }), true
}

func (r *libraryResult) peers(operation, message string) (out []libraryRow) {
	for _, row := range r.Rows {
		if row.Operation == operation && row.Message == message && row.Library != oursLibrary {
			out = append(out, row)
		}
	}
	return out
}

func (r *libraryResult) addBest(g *grid, us libraryRow) {
	fast, ok := r.best(us.Operation, us.Message)
	if !ok {
		return
	}
	lean := slices.MinFunc(r.peers(us.Operation, us.Message), func(a, b libraryRow) int { return cmp.Compare(aboveOrInf(a), aboveOrInf(b)) })
	least, ratio := "–", "–"
	if lean.HasFloor {
		least = fmt.Sprintf("%.1f", lean.Above)
		if us.Above > 0 {
			ratio = fmt.Sprintf("%.1f×", lean.Above/us.Above)
		}
	}
	g.row(us.Operation+" "+us.Message, fast.Library, fmt.Sprintf("%.2f×", fast.Ratio), lean.Library, least, fmt.Sprintf("%.1f", us.Above), ratio)
}

func aboveOrInf(r libraryRow) float64 {
	if !r.HasFloor {
		return math.Inf(1)
	}
	return r.Above
}

// grids are the tables of one comparison of milters; what says what they do.
func (r *milterResult) grids(what string) []*grid {
	g := &grid{
		title: fmt.Sprintf("MILTER, %s over a Unix socket, %d connections; CPU seconds of the milter's processes per 1,000 messages, median of interleaved rounds", what, milterConnections),
		head:  []string{"message", "milter", "CPU s per 1,000", "checked", "by postseal's, round by round"},
	}
	for _, row := range r.Rows {
		ratio := "–"
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f× (%.2f–%.2f)", row.Ratio, row.Least, row.Most)
		}
		g.row(row.Message, row.Milter, fmt.Sprintf("%.3f", row.PerThou), fmt.Sprint(row.Counted), ratio)
	}
	memory := &grid{
		title: fmt.Sprintf("MILTER, %s: peak resident memory, MB; of several processes what they have together at that moment", what),
		head:  []string{"milter", "processes", "started", fmt.Sprintf("%d connections", milterConnections), fmt.Sprintf("%d connections of 1 MiB", memoryConnections)},
		notes: missing(r.Missing),
	}
	for _, m := range r.Memory {
		if m.Many > 0 {
			memory.row(m.Milter, fmt.Sprint(m.Processes), mb(m.Start), mb(m.Eight), mb(m.Many))
		}
	}
	return []*grid{g, memory}
}

func mb(n float64) string { return fmt.Sprintf("%.1f", n) }

// grids is the table of the comparison with many domains.
func (r *domainsResult) grids() []*grid {
	g := &grid{
		title: fmt.Sprintf("MILTER, %d domains with an RSA-2048 key each, 2 KiB; CPU seconds per 1,000 messages against the same milter with one domain, median of interleaved rounds", r.Domains),
		head: []string{"milter", "start s", "with one", "MB after it", "10 s later", "after all", "peak", "one domain", fmt.Sprintf("Zipf %.1f", zipfExponent), "slowdown", "one domain", "uniform", "slowdown",
			"verified"},
		notes: missing(r.Missing),
	}
	cpu := func(n float64) string { return fmt.Sprintf("%.3f", n) }
	for _, row := range r.Rows {
		g.row(row.Milter, fmt.Sprintf("%.2f", row.Start), fmt.Sprintf("%.2f", row.StartOne), mb(row.First), mb(row.Loaded), mb(row.After), mb(row.Peak), cpu(row.Zipf.One), cpu(row.Zipf.Many),
			fmt.Sprintf("%.2f×", row.Zipf.Slowdown), cpu(row.Uniform.One), cpu(row.Uniform.Many), fmt.Sprintf("%.2f×", row.Uniform.Slowdown), fmt.Sprint(row.Verified))
	}
	return []*grid{g}
}
