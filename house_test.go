// Package house holds the house rules as tests: who may import whom, one package comment each, nothing that hides state
// or ends the process from the inside, and no document that names a file that is not there.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/addagent/addagent"

type source struct {
	dir, name string // dir relative to the module, "." for the root
	file      *ast.File
	fset      *token.FileSet
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path.Dir(filepath.ToSlash(p)), d.Name(), f, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(all))
	}
	return all
}

func TestOnePackageComment(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.test() && s.dir != "." {
			continue
		}
		comments[s.dir] += 0
		if s.file.Doc == nil {
			continue
		}
		text := s.file.Doc.Text()
		if s.file.Name.Name == "main" {
			if strings.TrimSpace(text) != "" {
				comments[s.dir]++
			}
			continue
		}
		if strings.HasPrefix(text, "Package "+s.file.Name.Name+" ") {
			comments[s.dir]++
		} else {
			t.Errorf("%s/%s: the package comment begins %q, not \"Package %s ...\"", s.dir, s.name, strings.SplitN(text, "\n", 2)[0], s.file.Name.Name)
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, not one", dir, n)
		}
	}
}

// forbidden are calls that belong nowhere, or in one place only.
var forbidden = []struct {
	pkg, name string
	where     func(s source) bool // where it is fine
	why       string
}{
	{"time", "Sleep", func(source) bool { return false }, "wait for the condition, with a deadline"},
	// In a test time may be a bubble's own, where nothing is left running.
	{"time", "After", func(s source) bool {
		return s.test() || strings.HasPrefix(s.dir, "test/") || strings.HasSuffix(s.dir, "test")
	}, "its timer does not stop: retry.Wait, or a timer of your own"},
	{"filepath", "Glob", func(s source) bool { return s.test() || s.dir == "demo" || strings.HasSuffix(s.dir, "test") },
		"a folder's path is no pattern: files.Matching, or fs.Glob below an os.DirFS"},
	{"os", "Exit", func(s source) bool {
		return s.name == "main.go" && s.file.Name.Name == "main" || s.test() && callsMain(s.file)
	}, "only main ends the process"},
	{"testing", "Short", inTestkit, "testkit.Long and testkit.Rounds: make test lists what they leave out"},
	{"t", "Skip", notATest, "a test that cannot run fails, and says what it needs"},
	{"t", "Skipf", notATest, "a test that cannot run fails, and says what it needs"},
	{"t", "SkipNow", notATest, "a test that cannot run fails, and says what it needs"},
	{"tb", "Skip", func(s source) bool { return inTestkit(s) || s.dir == "internal/cloud/cloudtest" }, "a test that cannot run fails, and says what it needs"},
	{"log", "Fatal", func(source) bool { return false }, "return an error"},
	{"log", "Fatalf", func(source) bool { return false }, "return an error"},
	{"os", "Setenv", func(source) bool { return false }, "the environment belongs to everybody: pass values"},
	{"os", "Unsetenv", func(source) bool { return false }, "the environment belongs to everybody: pass values"},
	{"os", "Chdir", func(source) bool { return false }, "the working directory belongs to everybody: pass paths"},
}

func inTestkit(s source) bool { return s.dir == "internal/testkit" }
func notATest(s source) bool  { return !s.test() }

// callsMain tells whether a test file has a TestMain, which ends the process by contract.
func callsMain(f *ast.File) bool {
	return f.Scope.Lookup("TestMain") != nil
}

// abortsHandler knows panic(http.ErrAbortHandler): net/http's own word for breaking a connection.
func abortsHandler(c *ast.CallExpr) bool {
	sel, ok := c.Args[0].(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "ErrAbortHandler"
}

func TestForbiddenCalls(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: func init: nothing happens at import time", s.fset.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && !(s.test() && abortsHandler(n)) {
					t.Errorf("%s: panic: return an error", s.fset.Position(n.Pos()))
				}
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				id, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				for _, f := range forbidden {
					if id.Name == f.pkg && sel.Sel.Name == f.name && !f.where(s) {
						t.Errorf("%s: %s.%s: %s", s.fset.Position(n.Pos()), f.pkg, f.name, f.why)
					}
				}
			}
			return true
		})
	}
}

// TestNoMutableGlobals refuses package-level variables, but for the kinds that
// never change: errors, embedded files, and tables (map, slice, struct and
// function literals and calls of regexp.MustCompile), which no code assigns to.
func TestNoMutableGlobals(t *testing.T) {
	all := sources(t)
	globals := map[string]map[string]bool{} // dir -> names
	for _, s := range all {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, n := range v.Names {
					if n.Name == "_" {
						continue
					}
					if globals[s.dir] == nil {
						globals[s.dir] = map[string]bool{}
					}
					globals[s.dir][n.Name] = true
					embedded := g.Doc != nil && strings.Contains(g.Doc.Text()+rawDoc(g.Doc), "go:embed")
					linked := s.file.Name.Name == "main" && n.Name == "version"
					if i >= len(v.Values) && !embedded && !linked {
						t.Errorf("%s: package variable %s has no value: state belongs in a value with an owner", s.fset.Position(n.Pos()), n.Name)
					}
				}
			}
		}
	}
	for _, s := range all {
		if s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			as, ok := n.(*ast.AssignStmt)
			if !ok || as.Tok == token.DEFINE {
				return true
			}
			for _, l := range as.Lhs {
				if ix, ok := l.(*ast.IndexExpr); ok {
					l = ix.X
				}
				if id, ok := l.(*ast.Ident); ok && id.Obj == nil && globals[s.dir][id.Name] {
					t.Errorf("%s: assigns to the package variable %s", s.fset.Position(as.Pos()), id.Name)
				}
			}
			return true
		})
	}
}

func rawDoc(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text)
	}
	return b.String()
}
