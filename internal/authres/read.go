package authres

import (
	"errors"
	"strings"
)

// ErrSyntax: the value is not that of an Authentication-Results field.
var ErrSyntax = errors.New("authres: not an Authentication-Results field")

// maxResults bounds the results and the properties of each that are read of one field.
const maxResults = 100

// ID returns the authserv-id that a field's value claims, "" when there is none to be found. It looks at the beginning only, so that
// a field which is broken further on is told too.
func ID(value string) string {
	l := lexer{value}
	w, ok := l.next(";")
	if !ok || w.text == ";" && w.plain {
		return ""
	}
	return w.text
}

// Parse reads a field's value. Methods, results and property names come in lower case. Errors wrap ErrSyntax.
func Parse(value string) (Field, error) {
	l := lexer{value}
	id, ok := l.next(";")
	if !ok || id.plain && id.text == ";" {
		return Field{}, ErrSyntax
	}
	f := Field{ID: id.text}
	w, ok := l.next(";=")
	if ok && w.plain && digits(w.text) { // the version
		w, ok = l.next(";=")
	}
	for ok {
		if !w.plain || w.text != ";" {
			return f, ErrSyntax
		}
		if w, ok = l.next(";=/"); !ok {
			break // a semicolon at the end
		}
		if w.plain && w.text == "none" && len(f.Results) == 0 {
			if _, more := l.next(";="); more {
				return f, ErrSyntax
			}
			return f, nil
		}
		if len(f.Results) == maxResults {
			return f, ErrSyntax
		}
		var r Result
		if w, ok, r = l.result(w); r.Method == "" {
			return f, ErrSyntax
		}
		f.Results = append(f.Results, r)
	}
	if l.rest != "" {
		return f, ErrSyntax
	}
	return f, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// result reads method [/version] = value and what follows, up to the next semicolon, which it returns as next. A result without
// method is none.
func (l *lexer) result(method word) (next word, ok bool, r Result) {
	w, ok := l.next(";=/")
	if ok && w.plain && w.text == "/" {
		if _, ok = l.next(";=/"); ok {
			w, ok = l.next(";=/")
		}
	}
	if !ok || !w.plain || w.text != "=" || !method.plain {
		return w, ok, Result{}
	}
	value, ok := l.next(";=")
	if !ok || value.plain && (value.text == ";" || value.text == "=") {
		return value, ok, Result{}
	}
	r = Result{Method: strings.ToLower(method.text), Value: strings.ToLower(value.text)}
	for {
		key, ok := l.next(";=")
		if !ok || key.plain && key.text == ";" {
			return key, ok, r
		}
		eq, ok := l.next(";=")
		if !ok || !eq.plain || eq.text != "=" {
			return eq, ok, Result{}
		}
		value, ok := l.next(";")
		if !ok || value.plain && value.text == ";" {
			return value, ok, Result{}
		}
		if !value.plain && strings.HasPrefix(l.rest, "@") { // "local part"@domain
			if domain, ok := l.next(";"); ok {
				value.text += domain.text
			}
		}
		name := strings.ToLower(key.text)
		ptype, property, dotted := strings.Cut(name, ".")
		switch {
		case name == "reason":
			r.Reason = value.text
		case !dotted:
			return value, true, Result{}
		case len(r.Properties) < maxResults:
			r.Properties = append(r.Properties, Property{ptype, property, value.text})
		}
	}
}
