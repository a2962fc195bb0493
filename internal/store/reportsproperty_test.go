package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// someReport is a report of which there are n, the same for the same number.
func someReport(number int) report.Facts {
	r := rand.New(rand.NewPCG(uint64(number), 5))
	domains := []string{testDomain, "example.net", "example.com"}
	orgs := []string{"google.example", "yahoo.example", "microsoft.example"}
	results := []dmarc.Result{dmarc.Pass, dmarc.Fail}
	f := report.Facts{
		Document: "r.xml", Type: report.Aggregate, Org: orgs[r.IntN(3)], ReportID: fmt.Sprint(number), Key: sha256.Sum256(fmt.Append(nil, "key ", number)),
		Begin: midnight(r.IntN(5)),
	}
	f.Ours = domains[r.IntN(3)]
	f.Domain, f.End = f.Ours, f.Begin.Add(reportDay-1)
	for range 1 + r.IntN(4) {
		f.Shapes = append(f.Shapes, report.Shape{Row: dmarc.Row{DKIM: results[r.IntN(2)], SPF: results[r.IntN(2)], HeaderFrom: f.Domain}})
	}
	for range r.IntN(20) {
		row := report.Row{Shape: r.IntN(len(f.Shapes)), Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(9))}), Count: int64(r.IntN(50))}
		f.Rows = append(f.Rows, row)
		f.Messages += row.Count
	}
	f.Cells = someCells(r, &f)
	return f
}

// someCells attributes the rows of a report at random; the sum of their messages is the report's.
func someCells(r *rand.Rand, f *report.Facts) (cells []report.Cell) {
	for _, row := range f.Rows {
		s := f.Shapes[row.Shape]
		cells = append(cells, report.Cell{Day: f.Begin.Add(time.Duration(r.IntN(2)) * reportDay), HeaderFrom: f.Domain, Signer: []report.Who{mx1, mx2, someone}[r.IntN(3)], How: report.Inferred,
			Source: []report.Who{mx1, someone}[r.IntN(2)], DKIM: s.DKIM == dmarc.Pass, SPF: s.SPF == dmarc.Pass,
			Disposition: []string{"none", "quarantine", "reject"}[r.IntN(3)], Messages: row.Count})
	}
	return cells
}

// testRollUp does things at random, and compares the roll-up with the sum of the cells, and that with what was counted beside.
func testRollUp(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	const seed = 20261123
	rnd := rand.New(rand.NewPCG(seed, 1))
	steps := 250
	if testing.Short() {
		steps = 40
	}
	type counted struct {
		id      string
		input   string
		vouched bool
		n       int64
	}
	stored := make(map[int]*counted) // by number of the report
	octets := make(map[string][]int) // of an input to the reports in it
	pick := func() (number int, c *counted) {
		numbers := make([]int, 0, len(stored))
		for n := range stored {
			numbers = append(numbers, n)
		}
		slices.Sort(numbers)
		if len(numbers) == 0 {
			return 0, nil
		}
		number = numbers[rnd.IntN(len(numbers))]
		return number, stored[number]
	}
	for step := range steps {
		switch what := rnd.IntN(10); {
		case what < 6: // an input with one to three reports, new or known; or one that came before
			numbers := make([]int, 0, 3)
			for range 1 + rnd.IntN(3) {
				numbers = append(numbers, rnd.IntN(60))
			}
			name := fmt.Sprint(numbers, rnd.IntN(2))
			trust := []report.Trust{report.Verified, report.Unverified}[rnd.IntN(2)]
			var facts []report.Facts
			for _, n := range numbers {
				facts = append(facts, someReport(n))
			}
			a, hash := arrival(name)
			a.At, a.Trust, a.Name = db.clock.Now(), trust, name
			receipt := get[report.Receipt](t)(r.Save(ctx, a, hash, facts))
			if _, known := octets[name]; known != receipt.Again {
				t.Fatalf("step %d: again is %v", step, receipt.Again)
			}
			if !receipt.Again {
				octets[name] = numbers
			}
			for i, x := range receipt.Reports {
				number := numbers[i]
				c, known := stored[number]
				switch {
				case receipt.Again || x.State == report.Duplicate:
					if known && trust.Vouched() && c.id == x.ID {
						c.vouched = true
					}
				case known:
					t.Fatalf("step %d: report %d was counted twice", step, number)
				default:
					stored[number] = &counted{x.ID, receipt.Input, trust.Vouched(), facts[i].Messages}
				}
			}
		case what < 8:
			if number, c := pick(); c != nil {
				f := someReport(number)
				must(t, r.ReplaceCells(ctx, c.id, []string{testDomain, "example.org"}[rnd.IntN(2)], someCells(rnd, &f)))
			}
		case what < 9:
			if number, c := pick(); c != nil {
				// Only the input's first documents are known here; what it holds beside stays as it is.
				got := get[report.Receipt](t)(r.Resave(ctx, c.input, []report.Facts{someReport(number)}))
				if got.Reports[0].ID != c.id {
					t.Fatalf("step %d: %+v, want %s", step, got, c.id)
				}
			}
		default:
			db.clock.advance(reportDay)
			cutoff := db.clock.Now().Add(-time.Duration(2+rnd.IntN(20)) * reportDay)
			for p := (report.Pruned{More: true}); p.More; {
				p = get[report.Pruned](t)(r.Prune(ctx, report.Cutoffs{All: cutoff, Rows: cutoff.Add(reportDay)}))
			}
			for number, c := range stored {
				if _, err := r.Report(ctx, c.id); fault.CodeOf(err) == fault.NotFound {
					delete(stored, number)
				}
			}
			clear(octets)
			for _, in := range get[[]report.Input](t)(r.Inputs(ctx, report.InputFilter{Limit: 1000})) {
				octets[in.Name] = nil
			}
		}
		if step%10 == 0 || step == steps-1 {
			var wantV, wantO int64
			for _, c := range stored {
				if c.vouched {
					wantV += c.n
				} else {
					wantO += c.n
				}
			}
			if v, o := r.total(t); v != wantV || o != wantO {
				t.Fatalf("step %d: %d messages are vouched for and %d not, want %d and %d", step, v, o, wantV, wantO)
			}
		}
	}
	if len(stored) == 0 {
		t.Error("nothing is stored: this test sees nothing")
	}
}

// testReportsAtOnce has several processes store the same inputs at the same time: each is counted once.
func testReportsAtOnce(t *testing.T, db *database) {
	const inputs, processes = 20, 4
	var all [processes]*Reports
	for i := range all {
		all[i] = db.reports(t)
	}
	var mu sync.Mutex
	found := make(map[report.State]int)
	again := 0
	var group sync.WaitGroup
	failed := make(chan error, processes)
	for p, r := range all {
		group.Go(func() {
			var err error
			for i := range inputs {
				i = (i + p*inputs/processes/2) % inputs
				a, hash := arrival(fmt.Sprint("octets ", i))
				var receipt report.Receipt
				// Two reports that the neighbours hold as well, in the other order.
				facts := []report.Facts{someReport(i), someReport((i + 1) % inputs)}
				if i%2 == 1 {
					facts[0], facts[1] = facts[1], facts[0]
				}
				if receipt, err = r.Save(t.Context(), a, hash, facts); err != nil {
					break
				}
				mu.Lock()
				if receipt.Again {
					again++
				} else {
					for _, x := range receipt.Reports {
						found[x.State]++
					}
				}
				mu.Unlock()
			}
			failed <- err
		})
	}
	group.Wait()
	var err error
	for range processes {
		err = errors.Join(err, <-failed)
	}
	must(t, err)
	if found[report.Stored] != inputs || found[report.Duplicate] != inputs || again != inputs*(processes-1) {
		t.Errorf("%v, again %d", found, again)
	}
	var want int64
	for i := range inputs {
		want += someReport(i).Messages
	}
	if v, o := all[0].total(t); v != want || o != 0 {
		t.Errorf("%d messages, want %d", v, want)
	}
}

// testReportsStress has several processes store, attribute, read again and delete at the same time. None is told of more than that something is gone, and in the end the roll-up is
// the sum of the cells.
func testReportsStress(t *testing.T, db *database) {
	const processes, steps = 4, 40
	var all [processes]*Reports
	for i := range all {
		all[i] = db.reports(t)
	}
	ctx := t.Context()
	var group sync.WaitGroup
	failed := make(chan error, processes)
	done := make([]int, processes)
	for p, r := range all {
		rnd := rand.New(rand.NewPCG(uint64(p), 7))
		group.Go(func() {
			var err error
			for i := 0; i < steps && err == nil; i++ {
				number := rnd.IntN(12)
				var some []report.Listed
				if some, err = r.Reports(ctx, report.ReportFilter{State: report.Stored, Limit: 10}); err != nil {
					break
				}
				what := rnd.IntN(10)
				if len(some) == 0 {
					what = 0
				}
				f := someReport(number)
				switch {
				case what < 5:
					a, hash := arrival(fmt.Sprint(number, rnd.IntN(3)))
					a.Trust = []report.Trust{report.Verified, report.Unverified}[rnd.IntN(2)]
					a.At = reportNow.Add(-time.Duration(rnd.IntN(10)) * reportDay)
					_, err = r.Save(ctx, a, hash, []report.Facts{f, someReport((number + 1) % 12)})
				case what < 7:
					err = r.ReplaceCells(ctx, some[rnd.IntN(len(some))].ID, testDomain, someCells(rnd, &f))
				case what < 9:
					_, err = r.Resave(ctx, some[rnd.IntN(len(some))].Input, []report.Facts{f})
				default:
					cutoff := reportNow.Add(-time.Duration(rnd.IntN(10)) * reportDay)
					_, err = r.Prune(ctx, report.Cutoffs{All: cutoff})
				}
				if code := fault.CodeOf(err); code == fault.NotFound || code == fault.Unavailable {
					err = nil // it was deleted meanwhile, or held for long
				} else {
					done[p]++
				}
			}
			failed <- err
		})
	}
	group.Wait()
	var err error
	for range processes {
		err = errors.Join(err, <-failed)
	}
	must(t, err)
	all[0].balanced(t)
	for p, n := range done {
		if n < steps/2 {
			t.Errorf("process %d did %d of %d", p, n, steps)
		}
	}
}
