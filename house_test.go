// Package house holds the house rules as tests: who may import whom, one package comment each, nothing that hides state
// or ends the process from the inside, and no document that names a file that is not there.
package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

const module = "github.com/addagent/addagent"

// may is the import table: package -> what it may import of ours, and which heavy outsiders it alone may import.
// TestImportTableInDocs keeps ARCHITECTURE.md the same (UPDATE=1 writes it there).
var may = map[string]struct {
	ours  []string
	heavy []string
}{
	"internal/strictyaml":      {nil, []string{"github.com/goccy/go-yaml"}},
	"internal/human":           {nil, nil},
	"internal/files":           {nil, []string{"github.com/gofrs/flock", "github.com/google/renameio"}},
	"internal/cli":             {nil, []string{"github.com/spf13/cobra"}},
	"internal/testkit":         {nil, nil},
	"internal/cli/clitest":     {[]string{"internal/testkit"}, []string{"github.com/spf13/cobra"}},
	"internal/git/protocol":    {[]string{"internal/human", "internal/retry"}, nil},
	"internal/git/transport":   {[]string{"internal/git/protocol", "internal/git/address", "internal/human", "internal/files"}, nil},
	"internal/git/pack":        {nil, []string{"github.com/go-git"}},
	"internal/git/objects":     {[]string{"internal/git/pack"}, []string{"github.com/go-git"}},
	"internal/git/remote":      {[]string{"internal/git/protocol", "internal/git/transport", "internal/git/pack", "internal/git/objects", "internal/git/address", "internal/human"}, nil},
	"internal/git/worktree":    {[]string{"internal/git/pack", "internal/git/objects", "internal/human"}, []string{"github.com/go-git"}},
	"internal/git/clone":       {[]string{"internal/git/address", "internal/git/protocol", "internal/git/transport", "internal/git/pack", "internal/git/objects", "internal/git/remote", "internal/git/worktree", "internal/human", "internal/retry"}, []string{"github.com/go-git"}},
	"internal/git/gittest":     {[]string{"internal/testkit"}, nil},
	"internal/git/address":     {nil, nil},
	"internal/retry":           {nil, nil},
	"internal/trouble":         {[]string{"internal/human"}, nil},
	"internal/node":            {[]string{"internal/files", "internal/human"}, nil},
	"internal/config":          {[]string{"internal/files", "internal/git/address", "internal/human", "internal/strictyaml"}, nil},
	"internal/cloud":           {[]string{"internal/human"}, nil},
	"internal/chat":            {[]string{"internal/files", "internal/retry", "internal/human"}, []string{"github.com/nicholas-fedor/shoutrrr"}},
	"internal/chat/chattest":   {[]string{"internal/chat"}, nil},
	"internal/cloud/cloudtest": {nil, nil},
	"internal/cloud/ec2":       {[]string{"internal/cloud", "internal/retry", "internal/human"}, []string{"github.com/aws"}},
	"systemd":                  {nil, []string{"github.com/coreos/go-systemd"}},
	"internal/metrics":         {[]string{"internal/node", "internal/files"}, nil},
	"presence":                 {[]string{"internal/node"}, nil},
	"presence/gitstore":        {[]string{"presence", "internal/node", "internal/files", "internal/human", "internal/retry", "internal/git/objects", "internal/git/remote"}, nil},
	"presence/fold":            {[]string{"presence", "presence/gitstore", "internal/node", "internal/files", "internal/human", "internal/git/clone", "internal/git/objects", "internal/git/remote"}, nil},
	"internal/sink":            {[]string{"presence", "internal/node", "internal/files", "internal/human", "internal/retry"}, nil},
	"internal/sink/sinktest":   {[]string{"internal/sink", "presence", "internal/node"}, nil},
	"internal/kill":            {[]string{"internal/files", "internal/human"}, nil},
	"work":                     {[]string{"internal/files", "internal/strictyaml", "internal/retry", "internal/human", "internal/git/objects"}, nil},
	"work/run":                 {[]string{"work", "internal/files", "internal/retry", "internal/human"}, nil},
	"agent":                    {[]string{"internal/files", "internal/human", "internal/journal", "internal/node", "internal/sink", "internal/trouble", "presence", "work", "work/run"}, nil},
	"cmd/addagent":             {[]string{"*"}, []string{"github.com/spf13/cobra"}},
	"fleet/view":               {[]string{"presence", "presence/fold", "internal/node", "internal/human"}, nil},
	"fleet/fleettest":          {[]string{"presence", "presence/gitstore", "internal/node"}, nil},
	"fleet/control":            {[]string{"fleet/view", "internal/chat", "internal/chat/chatroom", "internal/cli", "internal/config", "internal/files", "internal/git/remote", "internal/git/transport", "internal/human", "internal/node", "internal/trouble", "presence", "presence/fold", "presence/gitstore", "systemd"}, nil},
	"cmd/addctl":               {[]string{"*"}, []string{"github.com/spf13/cobra"}},
	"demo":                     {nil, nil},
	"packaging":                {nil, nil},
	"packaging/sbom":           {nil, nil},
	"test/bench":               {[]string{"*"}, nil},
	"test/boot":                {nil, nil},
	"test/torture":             {nil, nil},
	"internal/journal":         {[]string{"internal/config", "internal/files", "internal/human", "internal/node", "work", "work/run"}, []string{"github.com/rs/zerolog", "gopkg.in/natefinch/lumberjack.v2"}},
	"internal/status":          {[]string{"internal/cli", "internal/config", "internal/files", "internal/human", "internal/journal", "internal/node", "internal/proc", "work", "work/run"}, nil},
	"internal/proc":            {nil, nil},
	"internal/daemon":          {[]string{"agent", "internal/chat", "internal/chat/chatroom", "internal/cli", "internal/cloud", "internal/cloud/ec2", "internal/config", "internal/config/diff", "internal/files", "internal/git/clone", "internal/git/objects", "internal/git/remote", "internal/git/transport", "internal/git/worktree", "internal/human", "internal/journal", "internal/kill", "internal/metrics", "internal/node", "internal/request", "internal/sink", "presence", "presence/gitstore", "presence/peers", "systemd", "work", "work/run"}, []string{"github.com/robfig/cron"}},
	"internal/memlimit":        {[]string{"internal/human"}, nil},
	"internal/request":         {[]string{"internal/cli", "internal/config", "internal/files", "internal/human", "internal/journal", "internal/proc", "work/run"}, nil},
	"internal/chat/chatroom":   {[]string{"internal/chat", "internal/config", "internal/files"}, nil},
	"presence/peers":           {[]string{"internal/config", "internal/files", "internal/git/remote", "presence", "presence/fold", "work"}, nil},
	"internal/check":           {[]string{"internal/chat", "internal/chat/chatroom", "internal/cli", "internal/cloud", "internal/cloud/ec2", "internal/config", "internal/daemon", "internal/git/remote", "internal/git/transport", "internal/human", "internal/journal", "internal/kill", "internal/metrics", "internal/node", "internal/proc", "internal/status", "presence", "presence/gitstore", "presence/peers", "work/run"}, nil},
	"internal/config/diff":     {[]string{"internal/config"}, nil},
}

// heavy are the outsiders that only the packages naming them may import.
func heavyOnes() []string {
	var all []string
	for _, m := range may {
		all = append(all, m.heavy...)
	}
	return all
}

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

func TestImportTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.dir == "." || s.test() {
			continue
		}
		seen[s.dir] = true
		allowed, known := may[s.dir]
		if !known {
			t.Errorf("package %s is not in the import table of house_test.go: add it with what it may import", s.dir)
			continue
		}
		for _, imp := range s.file.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if rest, ours := strings.CutPrefix(p, module+"/"); ours {
				if rest == "internal/testkit" && s.product() {
					t.Errorf("%s/%s imports %s, which is for tests", s.dir, s.name, rest)
				}
				if !slices.Contains(allowed.ours, "*") && !slices.Contains(allowed.ours, rest) {
					t.Errorf("%s/%s imports %s, which the import table does not allow", s.dir, s.name, rest)
				}
				continue
			}
			for _, h := range heavyOnes() {
				if (p == h || strings.HasPrefix(p, h+"/")) && !slices.Contains(allowed.heavy, h) {
					t.Errorf("%s/%s imports %s, which is not its business", s.dir, s.name, p)
				}
			}
		}
	}
	for p := range may {
		if !seen[p] {
			t.Errorf("the import table has %s, which is no package any more", p)
		}
	}
}

func importTable() string {
	var b strings.Builder
	b.WriteString("| package | may import of ours | heavy outsiders it may import |\n|---|---|---|\n")
	var names []string
	for p := range may {
		names = append(names, p)
	}
	sort.Strings(names)
	or := func(l []string) string {
		switch {
		case len(l) == 0:
			return "-"
		case l[0] == "*":
			return "everything"
		}
		return strings.Join(l, ", ")
	}
	for _, p := range names {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p, or(may[p].ours), or(may[p].heavy))
	}
	return b.String()
}

func TestImportTableInDocs(t *testing.T) {
	testkit.Section(t, "ARCHITECTURE.md", "import table", importTable())
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
// nobody changes: errors, embedded files, and tables (map, slice, struct and
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
						t.Errorf("%s: package variable %s has no value: state belongs into a value that somebody owns", s.fset.Position(n.Pos()), n.Name)
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
