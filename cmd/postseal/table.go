package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
	lgtable "charm.land/lipgloss/v2/table"
	"golang.org/x/term"
)

// table prints rows for people: with a frame that fits the terminal, or in plain columns when piped.
type table struct {
	head []string
	rows [][]string
	// mood tells a row's colour on a terminal; nil = all plain.
	mood []mood
	// group is true when the first column is shown only where it changes; piped rows always have it.
	group bool
}

type mood int

const (
	calm mood = iota
	good
	waiting
	bad
)

func (t *table) add(m mood, cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
	t.mood = append(t.mood, m)
}

// print writes the table; without rows it writes the sentence for nobody.
func (t *table) print(out io.Writer, nobody string) error {
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(out, nobody)
		return err
	}
	if width, ok := terminalWidth(out); ok {
		return t.framed(out, width)
	}
	return t.plain(out)
}

// plain separates columns by two spaces and never wraps: rows stay lines.
func (t *table) plain(out io.Writer) error {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], lipgloss.Width(cell))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			if i == len(row)-1 {
				b.WriteString(cell)
				break
			}
			b.WriteString(cell + strings.Repeat(" ", width[i]-lipgloss.Width(cell)+2))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t *table) framed(out io.Writer, width int) error {
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		rows[i] = append([]string(nil), row...)
		if t.group && i > 0 && row[0] == t.rows[i-1][0] {
			rows[i][0] = ""
		}
	}
	head := lipgloss.NewStyle().Bold(true).Padding(0, 1)
	styles := map[mood]lipgloss.Style{
		calm:    lipgloss.NewStyle().Padding(0, 1),
		good:    lipgloss.NewStyle().Padding(0, 1).Foreground(lipgloss.Green),
		waiting: lipgloss.NewStyle().Padding(0, 1).Foreground(lipgloss.Yellow),
		bad:     lipgloss.NewStyle().Padding(0, 1).Foreground(lipgloss.Red),
	}
	build := func() *lgtable.Table {
		return lgtable.New().Headers(t.head...).Rows(rows...).Border(lipgloss.NormalBorder()).Wrap(true).
			BorderStyle(lipgloss.NewStyle().Foreground(lipgloss.BrightBlack)).
			StyleFunc(func(row, _ int) lipgloss.Style {
				if row == lgtable.HeaderRow {
					return head
				}
				return styles[t.mood[row]]
			})
	}
	drawn := build().String()
	if natural := lipgloss.Width(drawn); natural > width {
		// The library forgets the borders when it decides whether to shrink, and would cut the last one off.
		borders := len(t.head) + 1
		drawn = build().Width(min(width, natural-borders-1)).String()
	}
	_, err := lipgloss.Fprintln(out, drawn)
	return err
}

// defaultWidth of a terminal that does not say.
const defaultWidth = 100

// terminalWidth says whether out is a terminal, and how wide.
func terminalWidth(out io.Writer) (int, bool) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = defaultWidth
	}
	return width, true
}

// clean keeps what came from DNS or from others from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func trimSpace(s string) string { return strings.TrimSpace(s) }

// since prints how long ago something was, as seen by the control plane's clock; "-" for never.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(now.Sub(t)) + " ago"
}

// until prints how far ahead something is.
func until(t, now time.Time) string {
	if d := t.Sub(now); d > 0 {
		return "in " + span(d)
	}
	return "now"
}

// span prints a duration the way people say it.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	default:
		return fmt.Sprintf("%d d", int(d/(24*time.Hour)))
	}
}

// printJSON prints what --json promises of a command that works on this machine: one document on one line.
func printJSON(out io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(calmJSON(b.Bytes()))
	return err
}

// dash shows that there is nothing.
func dash(s string) string { return cmp.Or(s, "-") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}
