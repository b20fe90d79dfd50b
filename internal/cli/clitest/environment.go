package clitest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEnvironment finds the variables that the code in some folders asks for and the
// manual does not name.
func (m Manual) TestEnvironment(t *testing.T, dirs ...string) {
	t.Helper()
	var terms []string
	for _, b := range m.Environment {
		terms = append(terms, strings.Split(b.Term, ", ")...)
	}
	asked := 0
	for _, dir := range dirs {
		paths, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 1 {
					return true
				}
				name := ""
				switch fun := call.Fun.(type) {
				case *ast.Ident:
					name = fun.Name
				case *ast.SelectorExpr:
					name = fun.Sel.Name
				}
				if lit, ok := call.Args[0].(*ast.BasicLit); ok && slices.Contains([]string{"env", "Env", "Getenv", "LookupEnv"}, name) {
					variable, _ := strconv.Unquote(lit.Value)
					asked++
					if !slices.Contains(terms, variable) {
						t.Errorf("%s asks for %s, which the manual page does not name", fset.Position(call.Pos()), variable)
					}
				}
				return true
			})
		}
	}
	if asked < 5 {
		t.Errorf("found only %d questions for a variable: the search is broken", asked)
	}
}
