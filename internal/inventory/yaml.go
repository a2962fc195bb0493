package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFleetFile is about twenty thousand domains with three signers; beyond that the API is the way in.
	maxFleetFile = 4 << 20
	// maxFlowDepth is more than the shape of the document can hold; the YAML parser takes quadratic time on more.
	maxFlowDepth = 20
	// maxNodes bounds what aliases can blow a small file up to.
	maxNodes = 1 << 20
	// maxAliasChain is more than an anchor, an alias and what stands behind it.
	maxAliasChain = 4
)

// place is where something stands in the file, from 1.
type place struct{ line, col int }

// document is a YAML file while it is read: what was wrong so far, and where each part of the Fleet came from.
type document struct {
	file     string
	problems Problems
	anchors  map[string]ast.Node
	places   map[string]place // by path in the Fleet
	reported map[place]bool   // places that already have a problem
	nodes    int
}

func newDocument(file string) document {
	return document{file: file, anchors: make(map[string]ast.Node), places: make(map[string]place), reported: make(map[place]bool)}
}

// tooBig reports whether reading was broken off.
func (d *document) tooBig() bool { return d.nodes >= maxNodes }

// open reads the syntax. It returns nil when there is nothing to go on with.
func (d *document) open(data []byte) ast.Node {
	if len(data) > maxFleetFile {
		d.add(place{}, "the file is larger than 4 MiB", "beyond some thousand domains use the API or an import")
		return nil
	}
	if !utf8.Valid(data) {
		valid := strings.ToValidUTF8(string(data), "\x00")
		head := valid[:strings.IndexByte(valid, 0)]
		line := head[strings.LastIndexByte(head, '\n')+1:]
		d.add(place{strings.Count(head, "\n") + 1, utf8.RuneCountInString(line) + 1}, "the file is not UTF-8 here", "")
		return nil
	}
	tokens := lexer.Tokenize(strings.TrimPrefix(string(data), "\ufeff"))
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxFlowDepth {
			d.add(at(t), "brackets are nested too deeply", "")
			return nil
		}
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are reported here, all of them
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			d.add(at(syntax.Token), syntax.Message, "")
		} else {
			d.add(place{}, "the file is not YAML: "+err.Error(), "")
		}
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc == nil || doc.Body == nil || doc.Body.Type() == ast.DirectiveType {
			continue
		}
		if body != nil {
			d.add(where(doc.Body), "a second document begins here", "one file holds one fleet")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		d.add(place{1, 1}, "the file is empty", "see docs/fleet-yaml.md for an example")
		return nil
	}
	ast.Walk(anchorsOf(d.anchors), body)
	return body
}

type anchorsOf map[string]ast.Node

func (a anchorsOf) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		a[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}

func at(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

// where returns the place of a node's first character.
func where(n ast.Node) place {
	switch v := n.(type) {
	case nil:
		return place{}
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return at(v.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return at(v.Key.GetToken())
	}
	return at(n.GetToken())
}

func (d *document) add(p place, message, hint string) {
	d.reported[p] = true
	d.problems = append(d.problems, Problem{File: d.file, Line: p.line, Col: p.col, Message: message, Hint: hint})
}

func (d *document) wrong(n ast.Node, hint, format string, args ...any) {
	d.add(where(n), fmt.Sprintf(format, args...), hint)
}

// mark remembers where a part of the Fleet came from.
func (d *document) mark(path string, n ast.Node) { d.places[path] = where(n) }

// locate finds the place of a part of the Fleet, or of the nearest part that holds it.
func (d *document) locate(path string) place {
	for path != "" {
		if p, ok := d.places[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{}
}

// resolve follows anchors, aliases and tags to the value itself.
func (d *document) resolve(n ast.Node) ast.Node {
	d.nodes++
	if d.nodes == maxNodes {
		d.wrong(n, "write less with aliases, or use the API", "the file holds too much")
	}
	if d.tooBig() {
		return nil
	}
	for range maxAliasChain {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			d.wrong(v, "write the value without it", "the tag %s is not taken", v.Start.Value)
			return nil
		case *ast.AliasNode:
			target, ok := d.anchors[v.Value.GetToken().Value]
			if !ok {
				d.wrong(v, "", "nothing is anchored as &%s", v.Value.GetToken().Value)
				return nil
			}
			n = target
		default:
			return n
		}
	}
	return nil // YAML has no aliases of aliases; the parser reported it
}

// entries calls f for each key of a mapping, in order. Keys that appear twice are problems.
func (d *document) entries(n ast.Node, what string, f func(key string, k, v ast.Node)) {
	n = d.resolve(n)
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case nil:
		return
	case *ast.NullNode:
		return // "servers:" with nothing below it
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		d.wrong(n, "", "%s must hold keys and values, not %s", what, kind(n))
		return
	}
	seen := make(map[string]place, len(values))
	for _, kv := range values {
		key := kv.Key.GetToken().Value
		switch kv.Key.(type) {
		case *ast.MergeKeyNode:
			d.wrong(kv.Key, "repeat the keys, or set them once under policy", "merging with << is not taken")
			continue
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		default:
			d.wrong(kv.Key, "", "a key must be plain text")
			continue
		}
		if first, twice := seen[key]; twice {
			d.wrong(kv.Key, fmt.Sprintf("first in line %d", first.line), "the key %q appears twice", key)
			continue
		}
		seen[key] = where(kv.Key)
		f(key, kv.Key, kv.Value)
	}
}

// object reads a mapping with a fixed set of keys.
func (d *document) object(n ast.Node, what string, fields map[string]func(v ast.Node)) {
	d.entries(n, what, func(key string, k, v ast.Node) {
		field, ok := fields[key]
		if !ok {
			d.unknown(k, "key", key, slices.Collect(maps.Keys(fields)))
			return
		}
		field(v)
	})
}

// unknown reports a word that is not in the vocabulary, with the nearest ones.
func (d *document) unknown(n ast.Node, what, word string, vocabulary []string) {
	d.wrong(n, suggestion(word, vocabulary), "unknown %s %q", what, shorten(word))
}

// list calls f for each item of a sequence.
func (d *document) list(n ast.Node, what string, f func(i int, item ast.Node)) {
	n = d.resolve(n)
	switch v := n.(type) {
	case nil:
	case *ast.NullNode:
	case *ast.SequenceNode:
		for i, item := range v.Values {
			f(i, item)
		}
	default:
		d.wrong(n, "write it in brackets: [a, b]", "%s must be a list, not %s", what, kind(n))
	}
}

// text reads a string. Numbers are taken as they are written, because a selector may be 20260101.
func (d *document) text(n ast.Node, what string) (string, bool) {
	switch v := d.resolve(n).(type) {
	case nil:
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return strings.TrimRight(v.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode:
		return v.GetToken().Value, true
	case *ast.NullNode:
		d.wrong(n, "", "%s has no value", what)
	case *ast.BoolNode:
		d.wrong(n, "put it in quotes", "%s must be text, not %s", what, kind(v))
	default:
		d.wrong(n, "", "%s must be text, not %s", what, kind(v))
	}
	return "", false
}

// texts reads a list of strings.
func (d *document) texts(n ast.Node, what, path string, each func(s string, n ast.Node)) {
	kept := 0
	d.list(n, what, func(_ int, item ast.Node) {
		if s, ok := d.text(item, "an entry of "+what); ok {
			d.mark(path+"["+strconv.Itoa(kept)+"]", item)
			kept++
			each(s, item)
		}
	})
}

func (d *document) boolean(n ast.Node, what string) bool {
	switch v := d.resolve(n).(type) {
	case nil:
	case *ast.BoolNode:
		return v.Value
	default:
		d.wrong(n, "", "%s must be true or false, not %s", what, kind(v))
	}
	return false
}

func (d *document) integer(n ast.Node, what string) (int, bool) {
	if v, ok := d.resolve(n).(*ast.IntegerNode); ok {
		if i, err := strconv.Atoi(v.GetToken().Value); err == nil {
			return i, true
		}
	}
	d.wrong(n, "", "%s must be a whole number", what)
	return 0, false
}

func (d *document) duration(n ast.Node, what string, into *time.Duration) {
	s, ok := d.text(n, what)
	if !ok {
		return
	}
	v, err := ParseDuration(s)
	if err != nil {
		d.wrong(n, "", "%s: %q %v", what, shorten(s), err)
		return
	}
	*into = v
}

// kind names what stands there, for people.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.NullNode:
		return "nothing"
	default:
		return "text"
	}
}
