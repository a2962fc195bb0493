package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"
)

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// print writes the library comparison.
func (r *libraryResult) print(w io.Writer) {
	fmt.Fprintf(w, "\nLIBRARY  rsa-sha256, relaxed/relaxed, RSA-2048; one core, CPU time, median of interleaved rounds\n\n")
	t := newTable(w)
	for _, name := range slices.Sorted(maps.Keys(r.Floor)) {
		if r.Floor[name] > 0 {
			fmt.Fprintf(t, "floor\t%s\t%.1f µs\t\n", name, r.Floor[name])
		}
	}
	_ = t.Flush()
	for _, operation := range []string{"sign", "verify"} {
		fmt.Fprintln(w)
		t := newTable(w)
		fmt.Fprintf(t, "%s\tlibrary\tper second\tCPU µs\tabove RSA and SHA-256 µs\tallocations\tverified\tpostseal is\t\n", operation)
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
			if row.Library != "postseal" {
				ratio = fmt.Sprintf("%.2f× as fast", row.Ratio)
			}
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.1f\t%s\t%s\t%d\t%s\t\n", row.Message, row.Library, row.PerSecond, row.Micros, above, allocs, row.Verified, ratio)
		}
		_ = t.Flush()
	}
	fmt.Fprintf(w, "\nAgainst the best peer of each line:\n\n")
	t = newTable(w)
	fmt.Fprintf(t, "\tbest peer\trate, ratio\tleast above the floor\tµs\tpostseal µs\tratio\t\n")
	for _, operation := range []string{"sign", "verify"} {
		for _, us := range r.Rows {
			if us.Library == "postseal" && us.Operation == operation {
				r.printBest(t, us)
			}
		}
	}
	_ = t.Flush()
	for _, m := range r.Missing {
		fmt.Fprintf(w, "not measured: %s\n", m)
	}
}

func (r *libraryResult) printBest(w io.Writer, us libraryRow) {
	var peers []libraryRow
	for _, row := range r.Rows {
		if row.Operation == us.Operation && row.Message == us.Message && row.Library != us.Library {
			peers = append(peers, row)
		}
	}
	if len(peers) == 0 {
		return
	}
	fast := slices.MaxFunc(peers, func(a, b libraryRow) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	lean := slices.MinFunc(peers, func(a, b libraryRow) int { return cmp.Compare(aboveOrInf(a), aboveOrInf(b)) })
	least, ratio := "–", "–"
	if lean.HasFloor {
		least = fmt.Sprintf("%.1f", lean.Above)
		if us.Above > 0 {
			ratio = fmt.Sprintf("%.1f×", lean.Above/us.Above)
		}
	}
	fmt.Fprintf(w, "%s %s\t%s\t%.2f×\t%s\t%s\t%.1f\t%s\t\n", us.Operation, us.Message, fast.Library, fast.Ratio, lean.Library, least, us.Above, ratio)
}

func aboveOrInf(r libraryRow) float64 {
	if !r.HasFloor {
		return math.Inf(1)
	}
	return r.Above
}
