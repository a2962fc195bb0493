package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/postseal/postseal/dmarc"
)

// The limits of what one report becomes.
const (
	// maxCells is how many cells one report gives. Honest ones have a handful a day; a thousand servers with a key each have a few thousand.
	maxCells = 8192
	// maxPlaced is how many pairs of shape and source are remembered while cells are counted; beyond it they are looked up again.
	maxPlaced = 1 << 16
	// Folded stands for names that were too many to be counted apart.
	Folded = "*"
)

// Cells counts an aggregate report by day, in the order of the days; those of other documents, which would count the same messages twice, are none. The sum over all cells is that
// of the rows. Where a report is not counted, or not by all that it says, problem says why. now is when it arrived.
func Cells(f *Facts, d *Directory, now time.Time) (cells []Cell, problem string) {
	if f.Type != Aggregate || f.Problem != "" {
		return nil, ""
	}
	days, problem := daysOf(f.Begin, f.End, now)
	if problem != "" {
		return nil, problem
	}
	c := counter{f: f, d: d, about: d.subject(f), most: max(1, maxCells/len(days)), sights: make([]*sight, len(f.Shapes)), placed: map[place]int{}, known: map[Cell]int{}}
	strange := 0
	for i := range f.Rows {
		r := &f.Rows[i]
		if r.Shape < 0 || r.Shape >= len(f.Shapes) || r.Count < 0 {
			strange++
			continue
		}
		c.add(r)
	}
	if strange > 0 {
		problem = fmt.Sprintf("%d of its records have a count below zero and are not counted", strange)
	}
	if c.level > 0 {
		problem = cmp.Or(problem, fmt.Sprintf("it tells more things apart than %d: %s", maxCells, foldings()[c.level]))
	}
	return spread(c.cells, days), problem
}

// place is where a row is counted.
type place struct {
	shape int
	from  *origin
}

// counter counts rows into cells without a day.
type counter struct {
	f      *Facts
	d      *Directory
	about  subject
	most   int      // cells
	sights []*sight // by shape, when it was read
	placed map[place]int
	known  map[Cell]int // without messages
	cells  []Cell
	level  int // of folding
}

func (c *counter) add(r *Row) {
	if r.Count == 0 {
		return
	}
	at := place{r.Shape, c.d.at(r.Source)}
	i, ok := c.placed[at]
	if !ok {
		i = c.put(c.cell(at))
		if len(c.placed) >= maxPlaced {
			clear(c.placed)
		}
		c.placed[at] = i
	}
	c.cells[i].Messages = plus(c.cells[i].Messages, r.Count)
}

// cell is the cell of a shape and a source, without messages.
func (c *counter) cell(at place) Cell {
	row := &c.f.Shapes[at.shape].Row
	s := c.sights[at.shape]
	if s == nil {
		read := c.d.sight(row, c.about)
		s = &read
		c.sights[at.shape] = s
	}
	a := c.d.combine(s, at.from)
	cell := Cell{
		HeaderFrom: foldName(row.HeaderFrom), SigningDomain: a.SigningDomain, Selector: a.Selector, Result: a.Result, Cause: a.Cause, Signer: a.Signer, How: a.How, KeyID: a.KeyID,
		Source: a.Source, DKIM: row.DKIM == dmarc.Pass, SPF: row.SPF == dmarc.Pass, Disposition: dispositionWord(row.Disposition),
	}
	if len(row.Reasons) > 0 {
		cell.Reason = reasonWord(row.Reasons[0].Type)
	}
	return c.fold(cell)
}

// put finds the place of a cell. When there would be too many, all are folded further and everything is placed anew.
func (c *counter) put(cell Cell) int {
	for {
		if i, ok := c.known[cell]; ok {
			return i
		}
		if len(c.cells) < c.most || c.level == len(foldings())-1 {
			c.known[cell] = len(c.cells)
			c.cells = append(c.cells, cell)
			return len(c.cells) - 1
		}
		c.level++
		old := c.cells
		c.cells = nil
		clear(c.known)
		clear(c.placed)
		for _, x := range old {
			n := x.Messages
			x.Messages = 0
			x = c.fold(x)
			i, ok := c.known[x]
			if !ok {
				i = len(c.cells)
				c.known[x] = i
				c.cells = append(c.cells, x)
			}
			c.cells[i].Messages = plus(c.cells[i].Messages, n)
		}
		cell = c.fold(cell)
	}
}

// foldings say what is not told apart at each level: first what strangers can write at will, at last everything but whether mail passes, which is a handful.
func foldings() []string {
	return []string{"",
		"From domains that are not in the inventory are counted together",
		"all From domains are counted together",
		"selectors that are none of ours are counted together",
		"all selectors are counted together",
		"only what passes is told apart",
	}
}

func (c *counter) fold(x Cell) Cell {
	if c.level >= 1 {
		if _, ours := c.d.domains[x.HeaderFrom]; !ours {
			x.HeaderFrom = Folded
		}
	}
	if c.level >= 2 {
		x.HeaderFrom = Folded
	}
	if c.level >= 3 && x.KeyID == "" && x.How != Exact && x.Result != "" {
		x.SigningDomain, x.Selector = Folded, Folded
	}
	if c.level >= 4 && x.Result != "" {
		x.SigningDomain, x.Selector, x.KeyID = Folded, Folded, ""
	}
	if c.level >= 5 {
		x = Cell{HeaderFrom: Folded, SigningDomain: Folded, Selector: Folded, Result: Folded, How: Unknown, DKIM: x.DKIM, SPF: x.SPF, Messages: x.Messages}
	}
	return x
}

// plus adds counts; where they are more than there are numbers, the sum stays at the largest.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// spread divides cells over days, so that the sum of each stays what it is.
func spread(cells []Cell, days []share) []Cell {
	out := make([]Cell, 0, len(cells)*len(days))
	parts := make([]int64, len(days))
	for _, cell := range cells {
		divide(cell.Messages, days, parts)
		for i, day := range days {
			if parts[i] > 0 {
				cell.Day, cell.Messages = day.day, parts[i]
				out = append(out, cell)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Cell) int { return a.Day.Compare(b.Day) })
	return out
}

func dispositionWord(s string) string {
	switch s {
	case "", "none", "pass", "quarantine", "reject":
		return s
	}
	return "other"
}

// reasonWord is a type of RFC 9990 or RFC 7489.
func reasonWord(s string) string {
	switch s {
	case "", "local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder", "forwarded", "sampled_out":
		return s
	}
	return "other"
}
