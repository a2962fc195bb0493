package audit

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

// page is what the template gets.
type page struct {
	Reports []Report
	At      time.Time
	Version string
}

// WriteHTML writes reports as one page that needs nothing else: no script, no font, no picture, so that it can be mailed and printed. Everything that came
// from DNS is text.
func WriteHTML(w io.Writer, reports []Report, version string, at time.Time) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"count": func(r Report, s Severity) int {
			n := 0
			for _, f := range r.Findings {
				if f.Severity == s {
					n++
				}
			}
			return n
		},
		"grade": func(score int) string {
			switch {
			case score >= 90:
				return "good"
			case score >= 60:
				return "fair"
			}
			return "poor"
		},
		"sentence": func(s string) string {
			word, _, _ := strings.Cut(s, " ") // a tag stays as it is written
			if s == "" || strings.ContainsAny(word, "=+?") {
				return s + "."
			}
			first := []rune(s)
			return strings.ToUpper(string(first[0])) + string(first[1:]) + "."
		},
		"date":   func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
		"anchor": func(i int) string { return fmt.Sprintf("d%d", i+1) },
	}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	return t.Execute(w, page{reports, at, version})
}
