package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// check returns every violation of the policy, one line each, in the order of the files.
func check(rs rules, limits []rule, pkgs []pkg) []string {
	var bad []string
	for _, p := range pkgs {
		r, listed := rs.find(p.path)
		if !listed {
			bad = append(bad, fmt.Sprintf("%s: the package has no entry in the policy (internal/archtest/policy_test.go)", p.path))
		}
		if slices.Contains(forbiddenNames, path.Base(p.path)) {
			bad = append(bad, fmt.Sprintf("%s: a package called %s says nothing about what is inside", p.path, path.Base(p.path)))
		}
		for _, f := range p.files {
			bad = append(bad, checkFile(r, listed, p, f)...)
		}
	}
	graph := importGraph(pkgs)
	for _, limit := range limits {
		bad = append(bad, checkCone(limit, graph)...)
	}
	return bad
}

func checkFile(r rule, listed bool, p pkg, f source) []string {
	var bad []string
	report := func(line int, format string, args ...any) {
		bad = append(bad, fmt.Sprintf("%s:%d: %s", f.path, line, fmt.Sprintf(format, args...)))
	}
	if slices.Contains(forbiddenNames, f.clause) && f.clause != path.Base(p.path) {
		report(1, "a package called %s says nothing about what is inside", f.clause)
	}
	for _, line := range f.inits {
		report(line, "func init: nothing happens before main; pass what is needed to a constructor")
	}
	for _, v := range f.registries {
		report(v.line, "%s is a package-level map that is filled at run time: a registry; pass it to who needs it", v.name)
	}
	if !listed {
		return bad
	}
	for _, imp := range f.imports {
		inside, ours := strings.CutPrefix(imp.name, module+"/")
		switch {
		case imp.name == "C":
			if !r.cgo {
				report(imp.line, "import \"C\": the program is static; vendor libraries belong in a helper binary")
			}
		case ours && r.std:
			report(imp.line, "%s imports %s; it may import the standard library only", p.path, inside)
		case ours && !r.allows(p.path, inside):
			report(imp.line, "%s imports %s; it may import %s", p.path, inside, r.shown())
		case !ours && r.std && !isStandard(imp.name):
			report(imp.line, "%s imports %s; it may import the standard library only", p.path, imp.name)
		}
	}
	return bad
}

// shown writes what a rule allows for the message of a violation.
func (r rule) shown() string {
	if len(r.may) == 0 {
		return "internal/fault and nothing else of the module"
	}
	return "internal/fault, " + strings.Join(r.may, ", ")
}

// isStandard reports whether an import path belongs to the standard library: other modules have a dot in the first
// element.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// importGraph is who imports whom inside the module.
func importGraph(pkgs []pkg) map[string][]string {
	graph := make(map[string][]string)
	for _, p := range pkgs {
		graph[p.path] = nil
		for _, f := range p.files {
			for _, imp := range f.imports {
				if inside, ours := strings.CutPrefix(imp.name, module+"/"); ours {
					graph[p.path] = append(graph[p.path], inside)
				}
			}
		}
	}
	return graph
}

// checkCone walks everything that a package reaches and names what its limit does not allow, with the way to it.
func checkCone(limit rule, graph map[string][]string) []string {
	var bad []string
	way := map[string]string{limit.name: limit.name}
	for queue := []string{limit.name}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, next := range graph[at] {
			if way[next] != "" {
				continue
			}
			way[next] = way[at] + " → " + next
			queue = append(queue, next)
		}
	}
	for _, reached := range slices.Sorted(maps.Keys(way)) {
		if reached != limit.name && !slices.Contains(limit.may, reached) {
			bad = append(bad, fmt.Sprintf("%s reaches %s (%s); its import cone is limited to %s", limit.name, reached, way[reached], limit.coneText()))
		}
	}
	return bad
}

func (r rule) coneText() string {
	if len(r.may) == 0 {
		return "itself"
	}
	return strings.Join(r.may, ", ")
}

// parseCones reads the limits; the names need no floors.
func parseCones(text string) ([]rule, error) {
	rs, _, err := entries(text)
	if err != nil {
		return nil, err
	}
	for i := range rs {
		for _, w := range strings.Fields(rs[i].text) {
			rs[i].may = append(rs[i].may, fullName(w))
		}
	}
	return rs, nil
}
