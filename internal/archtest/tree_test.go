package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/postseal/postseal"

// pkg is one folder with .go files that are not tests.
type pkg struct {
	path  string // below the module's root; "." for the root itself
	files []source
}

// source is what the rules want to know of one file.
type source struct {
	path       string
	clause     string // the name in the package clause
	imports    []reference
	inits      []int // lines of func init
	registries []reference
}

// reference is something named at a line.
type reference struct {
	name string
	line int
}

// readTree reads every .go file of the module that is not a test. Folders that the go command ignores are left out;
// build constraints are not looked at, so that a rule holds on every system.
func readTree(root fs.FS) ([]pkg, error) {
	found := make(map[string]*pkg)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor") {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); name != "." && err == nil {
				return fs.SkipDir // another module, with rules of its own
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return nil
		}
		src, err := readSource(root, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if found[dir] == nil {
			found[dir] = &pkg{path: dir}
		}
		found[dir].files = append(found[dir].files, src)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var pkgs []pkg
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		pkgs = append(pkgs, *found[dir])
	}
	return pkgs, nil
}

func readSource(root fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return source{}, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		// A half-written function is the compiler's business; only the imports must be readable.
		if file, err = parser.ParseFile(set, name, text, parser.ImportsOnly); err != nil {
			return source{}, fmt.Errorf("read %s: %w", name, err)
		}
	}
	src := source{path: name, clause: file.Name.Name}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("read %s: import %s: %w", name, spec.Path.Value, err)
		}
		src.imports = append(src.imports, reference{imported, set.Position(spec.Pos()).Line})
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				src.inits = append(src.inits, set.Position(d.Pos()).Line)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && isRegistry(v) {
					src.registries = append(src.registries, reference{v.Names[0].Name, set.Position(v.Pos()).Line})
				}
			}
		}
	}
	return src, nil
}

// isRegistry reports whether a package's variable is a map that starts empty, so that it can only be there to be
// filled while the program runs. A map written out in full is a table and may stay.
func isRegistry(v *ast.ValueSpec) bool {
	if sel, ok := v.Type.(*ast.SelectorExpr); ok {
		from, _ := sel.X.(*ast.Ident)
		return from != nil && from.Name == "sync" && sel.Sel.Name == "Map"
	}
	if _, isMap := v.Type.(*ast.MapType); isMap && len(v.Values) == 0 {
		return true
	}
	for _, value := range v.Values {
		switch e := value.(type) {
		case *ast.CallExpr:
			if f, ok := e.Fun.(*ast.Ident); ok && f.Name == "make" && len(e.Args) > 0 {
				if _, isMap := e.Args[0].(*ast.MapType); isMap {
					return true
				}
			}
		case *ast.CompositeLit:
			if _, isMap := e.Type.(*ast.MapType); isMap && len(e.Elts) == 0 {
				return true
			}
		}
	}
	return false
}
