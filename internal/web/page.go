package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/report"
)

//go:embed pages
var pageFiles embed.FS

// pages are the templates by name, each with the frame around it.
type pages map[string]*template.Template

// view is what a template gets.
type view struct {
	Title  string
	Who    string // "" = nobody has logged in
	Role   string
	Limits string // the labels that access is limited to
	Upload bool   // may hand reports in
	Data   any
}

func readPages() (pages, error) {
	frame, err := template.New("frame.html").Funcs(template.FuncMap{
		"count": func(n any) string { return report.Grouped(reflect.ValueOf(n).Int()) }, "share": report.Share, "day": day, "time": clock, "sentence": sentence, "join": strings.Join,
	}).ParseFS(pageFiles, "pages/frame.html")
	if err != nil {
		return nil, fmt.Errorf("read the console's frame: %w", err)
	}
	out := pages{}
	for _, name := range []string{"login", "error", "overview", "upload", "report", "summary", "sources"} {
		t, err := frame.Clone()
		if err == nil {
			t, err = t.ParseFS(pageFiles, "pages/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("read the console's page %s: %w", name, err)
		}
		out[name] = t
	}
	return out, nil
}

// viewOf is a view for somebody.
func viewOf(who access.Principal, title string, data any) view {
	return view{Title: title, Who: who.Name, Role: string(who.Role), Limits: strings.Join(who.Labels, ", "), Upload: mayUpload(who) == nil, Data: data}
}

// show sends a page when all of it could be made: a template that fails must not leave half a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	var out bytes.Buffer
	if err := c.pages[name].Execute(&out, v); err != nil {
		c.log.ErrorContext(r.Context(), "a page of the console cannot be made", "page", name, "error", err)
		http.Error(w, "The console has trouble of its own; the log of serve says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.Map(calm, out.Bytes())) // the browser went away when this fails
}

// calm shows what would change the direction of writing: none of it is ours, and strangers' names must not be read as something else.
func calm(r rune) rune {
	if unicode.Is(unicode.Bidi_Control, r) {
		return unicode.ReplacementChar
	}
	return r
}

// failure is what the page of an error shows.
type failure struct{ Message, Hint string }

// fail shows an error as a page, and logs what nobody may see.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, who access.Principal, err error) {
	code := fault.CodeOf(err)
	message, hint := c.told(r.Context(), r.Method+" "+r.URL.Path, err)
	c.show(w, r, code.HTTPStatus(), "error", viewOf(who, "It did not work", failure{sentence(message), hint}))
}

// told is what somebody may see of an error; the rest is logged.
func (c *Console) told(ctx context.Context, where string, err error) (message, hint string) {
	message, hint = fault.Show(err)
	switch code := fault.CodeOf(err); {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		message, hint = "the request was given up", ""
	case code == fault.Internal:
		reference := inventory.NewID("ref")
		c.log.ErrorContext(ctx, "a request to the console failed", "request", where, "reference", reference, "error", err)
		message, hint = "the control plane could not do this because of trouble of its own", "its log says why, at "+reference
	case code == fault.Unavailable:
		c.log.WarnContext(ctx, "a request to the console failed", "request", where, "error", err)
	}
	return message, hint
}

func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02")
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// sentence begins with a capital, unless it begins with something that is written as it is, and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if word, _, _ := strings.Cut(s, " "); !strings.ContainsAny(word, "=._@/0123456789") {
		first, size := utf8.DecodeRuneInString(s)
		s = string(unicode.ToUpper(first)) + s[size:]
	}
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") && !strings.HasSuffix(s, "!") {
		s += "."
	}
	return s
}
