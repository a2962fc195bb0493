package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// reportRow is one reader with one set of reports: medians over the rounds.
type reportRow struct {
	Set       string  `json:"set"`
	Unit      string  `json:"unit"`
	Reader    string  `json:"reader"`
	Prints    bool    `json:"prints"`     // it shows what it read; the others only count it
	PerSecond float64 `json:"per_second"` // of CPU time, the process's start included
	Memory    float64 `json:"peak_memory_mb"`
	Ratio     float64 `json:"ratio"` // CPU time per unit by that of ours of the same kind, median of the rounds' ratios; then the least and the most; 0 without ours
	Least     float64 `json:"ratio_least"`
	Most      float64 `json:"ratio_most"`
	Counted   int     `json:"counted"` // rows whose number and sum were right
	seconds   []float64
	memory    []float64
}

// reportResult is the whole comparison of readers.
type reportResult struct {
	Rows    []*reportRow `json:"rows"`
	Corpus  *corpusFound `json:"corpus,omitempty"`
	Missing []string     `json:"missing"`
}

// startedForEach is how many files of a folder a reader gets that takes one at a time: the start of a process is most of its time.
const startedForEach = 100

// compareReports lets the readers of reports take turns, and compares what they find in the reports of other projects.
func compareReports(ctx context.Context, dir string, t tools, rounds int, limit time.Duration) (result reportResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	all, missing, err := readers(dir, self, t.postseal)
	if err != nil {
		return result, err
	}
	result.Missing = missing
	large, packed, small, err := makeReports(dir)
	if err != nil {
		return result, err
	}
	type turn struct {
		set   *reportSet
		by    reader
		row   *reportRow
		files []string
	}
	var turns []turn
	for _, set := range []*reportSet{&large, &packed, &small} {
		for _, by := range all {
			if by.sets != nil && !by.sets(set) {
				continue
			}
			x := turn{set, by, &reportRow{Set: set.name, Unit: set.unit, Reader: by.name, Prints: by.prints}, []string{set.path}}
			if set.files > 1 && !by.folders {
				if x.files, err = someFiles(set.path, startedForEach); err != nil {
					return result, err
				}
			}
			turns = append(turns, x)
			result.Rows = append(result.Rows, x.row)
		}
	}
	began := time.Now()
	for round := range max(rounds, 1) {
		if round > 0 && time.Since(began) > limit {
			result.Missing = append(result.Missing, fmt.Sprintf("rounds %d to %d: the time was up", round+1, rounds))
			break
		}
		for i := range turns {
			x := &turns[i]
			if x.files == nil || ctx.Err() != nil {
				continue
			}
			if err := x.row.round(ctx, self, x.set, x.by, x.files); err != nil {
				result.Missing = append(result.Missing, fmt.Sprintf("%s with %s: %v", x.by.name, x.set.name, err))
				x.files = nil
			}
		}
	}
	result.finish()
	result.Corpus, err = compareCorpus(ctx, dir, self, all)
	return result, err
}

// round reads once.
func (r *reportRow) round(ctx context.Context, self string, set *reportSet, by reader, files []string) error {
	var sum taken
	var got, want found
	for _, path := range files {
		out, used, err := measured(ctx, self, by.command(path))
		if err != nil {
			return err
		}
		f, err := by.counts(out)
		if err != nil {
			return err
		}
		sum.CPU, sum.Memory = sum.CPU+used.CPU, max(sum.Memory, used.Memory)
		got.add(f)
		want.add(set.each[path])
	}
	count := len(files)
	if files[0] == set.path {
		count, want = set.count, set.all
	}
	if got != want {
		return fmt.Errorf("it found %d rows with %d messages, and there are %d with %d", got.rows, got.messages, want.rows, want.messages)
	}
	r.Counted += want.rows
	r.seconds = append(r.seconds, sum.CPU.Seconds()/float64(count))
	r.memory = append(r.memory, sum.Memory)
	return nil
}

// someFiles are the first files of a folder.
func someFiles(dir string, n int) (out []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries[:min(n, len(entries))] {
		if e.Type() == fs.ModeDir {
			continue
		}
		out = append(out, filepath.Join(dir, e.Name()))
	}
	return out, err
}

// finish takes the medians.
func (r *reportResult) finish() {
	for _, row := range r.Rows {
		if len(row.seconds) == 0 {
			continue
		}
		row.PerSecond, row.Memory = 1/median(row.seconds), median(row.memory)
		ours := readerOurs
		if row.Prints {
			ours = readerProgram
		}
		if us := r.row(ours, row.Set); us != nil && row != us {
			all := ratios(row.seconds, us.seconds)
			row.Ratio, row.Least, row.Most = median(all), slices.Min(all), slices.Max(all)
		}
	}
	r.Rows = slices.DeleteFunc(r.Rows, func(row *reportRow) bool { return len(row.seconds) == 0 })
}

// row is a reader's row for a set, nil when there is none.
func (r *reportResult) row(reader, set string) *reportRow {
	if r == nil {
		return nil
	}
	for _, row := range r.Rows {
		if row.Reader == reader && row.Set == set && len(row.seconds) > 0 {
			return row
		}
	}
	return nil
}

// best is the fastest peer of the same kind with a set, nil when there is none.
func (r *reportResult) best(set string, prints bool) (best *reportRow) {
	for _, row := range r.Rows {
		if row.Set == set && row.Prints == prints && row.Ratio > 0 && (best == nil || row.PerSecond > best.PerSecond) {
			best = row
		}
	}
	return best
}

// grids are the tables of the comparison.
func (r *reportResult) grids() (out []*grid) {
	g := &grid{
		title: "REPORTS, read by processes of their own on one core; per second of CPU time, median of interleaved rounds",
		head:  []string{"reports", "reader", "does", "per second", "peak MB", "checked", "CPU time by postseal's, round by round"},
		notes: missing(r.Missing),
	}
	for _, row := range r.Rows {
		does, ratio := "counts", "–"
		if row.Prints {
			does = "prints"
		}
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f× (%.2f–%.2f)", row.Ratio, row.Least, row.Most)
		}
		g.row(row.Set, row.Reader, does, fmt.Sprintf("%.0f %s", row.PerSecond, row.Unit), mb(row.Memory), fmt.Sprint(row.Counted), ratio)
	}
	out = append(out, g)
	if r.Corpus != nil {
		out = append(out, r.Corpus.grids()...)
	}
	return out
}
