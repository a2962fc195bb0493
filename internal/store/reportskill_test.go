package store

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/report"
)

// killedImport tells this test binary to be a process that stores reports, and is killed: "database number-of-the-first".
const killedImport = "POSTSEAL_TEST_KILLED_IMPORT"

// importInputs is how many inputs there are; each holds two reports, the second of which is the next one's first.
const importInputs = 200

func importInput(i int) (report.Arrival, [32]byte, []report.Facts) {
	a, hash := arrival(fmt.Sprint("octets ", i, strings.Repeat(" and more", 100)))
	return a, hash, []report.Facts{someReport(i), someReport(i + 1)}
}

// TestKilledImportChild is that process.
func TestKilledImportChild(t *testing.T) {
	database, first := "", 0
	if n, _ := fmt.Sscan(os.Getenv(killedImport), &database, &first); n != 2 {
		t.Skip("it is for testKilledImport")
	}
	r, err := OpenReports(t.Context(), Options{Database: database})
	must(t, err)
	defer r.Close()
	for i := first; i < importInputs; i++ {
		a, hash, facts := importInput(i)
		receipt := get[report.Receipt](t)(r.Save(t.Context(), a, hash, facts))
		fmt.Printf("stored %d %v\n", i, !receipt.Again)
	}
}

// testKilledImport kills a process that stores reports at random moments, many times. What it said to be stored is stored, the rest can come again, and in the end every
// report is counted once.
func testKilledImport(t *testing.T, db *database) {
	if testing.Short() {
		t.Skip("many processes take some seconds")
	}
	r := db.reports(t) // a reader beside
	ctx := t.Context()
	const kills = 20
	next := 0
	seed := time.Now().UnixNano()
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	t.Logf("seed %d", seed)
	said := make(map[int]bool)
	whole := 0
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledImportChild$", "-test.count=1")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", killedImport, db.options().Database, next))
		out, err := cmd.StdoutPipe()
		must(t, err)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		// It dies some time after it said so many times that something is stored: in the middle of something.
		left, lines := 1+rnd.IntN(12), bufio.NewScanner(out)
		for lines.Scan() {
			var i int
			var isNew bool
			if n, _ := fmt.Sscanf(lines.Text(), "stored %d %t", &i, &isNew); n != 2 {
				continue
			}
			if said[i] = true; i >= next {
				next = i + 1
			}
			if left--; left == 0 {
				for begin, wait := time.Now(), time.Duration(rnd.IntN(3000))*time.Microsecond; time.Since(begin) < wait; {
				}
				must(t, cmd.Process.Kill())
			}
		}
		if cmd.Wait() == nil {
			whole++
		}
		// What was said stays, for whoever looks from outside.
		if got := len(get[[]report.Input](t)(r.Inputs(ctx, report.InputFilter{Limit: 1000}))); got < len(said) || got > len(said)+kills {
			t.Fatalf("%d inputs are there, %d were said to be stored", got, len(said))
		}
		r.balanced(t)
		if next -= rnd.IntN(3); next < 0 || next >= importInputs {
			next = 0
		}
	}
	if whole == kills || len(said) < kills {
		t.Fatalf("%d of %d were not killed, and %d inputs were stored: this test sees nothing", whole, kills, len(said))
	}
	// Everything comes again.
	for i := range importInputs {
		a, hash, facts := importInput(i)
		receipt := get[report.Receipt](t)(r.Save(ctx, a, hash, facts))
		if said[i] && !receipt.Again {
			t.Errorf("input %d was said to be stored, and was not", i)
		}
	}
	var want int64
	for i := range importInputs + 1 {
		want += someReport(i).Messages
	}
	if v, o := r.total(t); v != want || o != 0 {
		t.Errorf("%d messages, want %d", v, want)
	}
	stored := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{State: report.Stored, Limit: 1000}))
	duplicates := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{State: report.Duplicate, Limit: 1000}))
	if len(stored) != importInputs+1 || len(duplicates) != importInputs-1 {
		t.Errorf("%d reports and %d duplicates", len(stored), len(duplicates))
	}
	for _, l := range stored {
		if rows := get[[]report.StoredRow](t)(r.Rows(ctx, l.ID, 0, 100)); len(rows) != l.Rows {
			t.Errorf("%s has %d of %d rows", l.ID, len(rows), l.Rows)
		}
	}
}
