package house

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Only internal/human words durations, times, counts, sizes, ids and lists. What looks like a copy of it is found by
// type, not by name: the method of a time.Time is Format whatever its variable is called.

// worded are the functions that may word a value themselves: "function: rule", how often, and why. A number only falls.
// No package is named, so that a function can move.
var worded = map[string]struct {
	times int
	why   string
}{
	"Stamp: time":            {1, "the statelog's form is a contract"},
	"newRunID: time":         {1, "ids of runs are names of files"},
	"newLog: time":           {1, "names of logs are a contract"},
	"begin: time":            {1, "the folder of displaced files has its time in its name"},
	"repairTemp: time":       {1, "what is put aside has its time in its name"},
	"openToday: time":        {1, "the history has a file a day"},
	"letter: time":           {1, "a mail's Date has its own form"},
	"matrixRoom: time":       {1, "part of the id of a transaction, which nobody reads"},
	"Over: duration":         {1, "always in seconds: but for the number the text stays the same, so it is said once"},
	"Over: unit":             {1, "as above"},
	"commit: id":             {1, "the version of the program shows twelve digits, as Go's own pseudo-versions do"},
	"recall: id":             {1, "a random name"},
	"withSuffix: id":         {1, "part of a node's id"},
	"logged: time":           {1, "the name of a file"},
	"Keep: id":               {1, "part of the name of a ref"},
	"matrixRoom: line":       {1, "HTML"},
	"plainName: line":        {1, "what a name in a commit may hold"},
	"cutReason: cut":         {1, "a record's limit is in bytes"},
	"Unpack: plural":         {1, "of a corrupt pack"},
	"run: plural":            {1, "of a corrupt pack"},
	"newIndexWriter: plural": {1, "of a defect of ours"},
	"finish: plural":         {1, "of a defect of ours"},
	"with: list":             {1, "a line of its own below the list"},
	"Words: list":            {1, "the last element of a list that is joined with semicolons"},
}

// notShipped are the packages that may word as they like: human itself, and what is in no binary that people install.
var notShipped = []string{"internal/human", "internal/testkit", "demo", "packaging", "packaging/sbom"}

// wordsRules name what to write instead.
var wordsRules = map[string]string{
	"time":     "human.Clock, Time, Date, When or Stamp",
	"duration": "human.Duration, Seconds, Coarse, Column or Minutes",
	"unit":     "human.Duration, Size or BinarySize, not a number and its unit",
	"plural":   "human.Count, which knows 1",
	"id":       "human.ID, not the first digits",
	"cut":      "human.Truncate, Prefix or Quote, not … at the end",
	"line":     "human.Line, Lines, Safe or Printable",
	"list":     "human.List or human.Some",
}

type wordsFinding struct {
	rule, where string
	pos         token.Pos
}

var (
	unitAfterNumber = regexp.MustCompile(`%[-+#0-9.]*[dfgv] ?(ns|us|ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?|[KMGkmg]i?B)\b`)
	nounAfterNumber = regexp.MustCompile(`(?:\b(process|attempt|number) )?%d (?:[a-z]+ )??([a-z]+s)\b`)
	endingOfPlural  = regexp.MustCompile(`%[svq](s|es|ies)\b|\(s\)`)
	rest            = regexp.MustCompile(`\band %d (more|others?)\b`)
)

// notCounted are the words behind a number that need no singular: limits far above one, and verbs.
var notCounted = []string{"bytes", "characters", "is", "was", "has"}

// findWords returns what words a value in one file.
func findWords(f *ast.File, info *types.Info) []wordsFinding {
	var found []wordsFinding
	for _, d := range f.Decls {
		where := "(declarations)"
		if fn, ok := d.(*ast.FuncDecl); ok {
			where = fn.Name.Name
		}
		add := func(n ast.Node, rule string) { found = append(found, wordsFinding{rule, where, n.Pos()}) }
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				callWords(n, info, add)
			case *ast.SliceExpr:
				if isString(info.TypeOf(n.X)) && (n.Low == nil || number(info, n.Low) == 0) && shortLength(info, n.High) {
					add(n, "id")
				}
			case *ast.BinaryExpr:
				if mark := constantText(info, n.Y); n.Op == token.ADD && (mark == "…" || mark == "...") {
					add(n, "cut")
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					text, _ := strconv.Unquote(n.Value)
					for _, rule := range textWords(text) {
						add(n, rule)
					}
				}
			}
			return true
		})
	}
	return found
}

// textWords are the rules that a text breaks by itself.
func textWords(text string) []string {
	var rules []string
	if unitAfterNumber.MatchString(text) {
		rules = append(rules, "unit")
	}
	for _, m := range nounAfterNumber.FindAllStringSubmatch(text, -1) {
		if m[1] == "" && !slices.Contains(notCounted, m[2]) && !unitAfterNumber.MatchString(m[0]) {
			rules = append(rules, "plural")
		}
	}
	if slices.Contains([]string{"s", "es", "ies"}, text) || endingOfPlural.MatchString(text) {
		rules = append(rules, "plural")
	}
	if text == " and " || text == " or " || rest.MatchString(text) {
		rules = append(rules, "list")
	}
	return rules
}

func callWords(c *ast.CallExpr, info *types.Info, add func(ast.Node, string)) {
	if method, of := methodOf(c, info); of == "time.Time" && (method == "Format" || method == "AppendFormat" || method == "String") {
		add(c, "time")
	} else if of == "time.Duration" && slices.Contains([]string{"String", "Hours", "Minutes"}, method) {
		add(c, "duration")
	}
	sig, ok := info.TypeOf(c.Fun).(*types.Signature)
	if ok && sig.Variadic() && types.Identical(sig.Params().At(sig.Params().Len()-1).Type(), types.NewSlice(types.NewInterfaceType(nil, nil))) {
		for _, arg := range c.Args[min(len(c.Args), sig.Params().Len()-1):] {
			switch typeName(info.TypeOf(arg)) {
			case "time.Time":
				add(arg, "time")
			case "time.Duration":
				add(arg, "duration")
			}
			ast.Inspect(arg, func(n ast.Node) bool {
				inner, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if method, of := methodOf(inner, info); of == "time.Duration" && slices.Contains([]string{"Seconds", "Milliseconds", "Microseconds"}, method) {
					add(inner, "duration")
				}
				return isConversion(inner, info) // what another function does with it is its own business
			})
		}
	}
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	if id, ok := sel.X.(*ast.Ident); !ok || id.Name != "strings" {
		return
	}
	switch sel.Sel.Name {
	case "Map":
		if seesCharacters(c.Args[0]) {
			add(c, "line")
		}
	case "ReplaceAll":
		if constantText(info, c.Args[1]) == "\n" && !strings.Contains(constantText(info, c.Args[2]), "\n") {
			add(c, "line")
		}
	}
}

// seesCharacters tells whether a function asks what kind of character it has.
func seesCharacters(f ast.Expr) bool {
	sees := false
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			sees = sees || slices.Contains([]string{"IsPrint", "IsControl", "IsSpace", "IsGraphic"}, n.Sel.Name)
		case *ast.BinaryExpr:
			lit, ok := n.Y.(*ast.BasicLit)
			sees = sees || ok && n.Op == token.LSS && lit.Value == "' '"
		}
		return true
	})
	return sees
}

// methodOf returns the name of a method that is called, and the type that has it.
func methodOf(c *ast.CallExpr, info *types.Info) (method, of string) {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || info.Selections[sel] == nil {
		return "", ""
	}
	return sel.Sel.Name, typeName(info.Selections[sel].Recv())
}

func isConversion(c *ast.CallExpr, info *types.Info) bool {
	tv, ok := info.Types[c.Fun]
	return ok && tv.IsType()
}

func typeName(t types.Type) string {
	if t == nil {
		return ""
	}
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	return types.TypeString(t, nil)
}

func isString(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// shortLength tells a length between 7 and 12, also when it is min(7, ...): of shorter ones no id is made.
func shortLength(info *types.Info, high ast.Expr) bool {
	if c, ok := high.(*ast.CallExpr); ok {
		if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "min" {
			return slices.ContainsFunc(c.Args, func(a ast.Expr) bool { return shortLength(info, a) })
		}
	}
	n := number(info, high)
	return 7 <= n && n <= 12
}

func number(info *types.Info, e ast.Expr) int64 {
	if e == nil || info.Types[e].Value == nil {
		return -1
	}
	n, ok := constant.Int64Val(constant.ToInt(info.Types[e].Value))
	if !ok {
		return -1
	}
	return n
}

func constantText(info *types.Info, e ast.Expr) string {
	if v := info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v)
	}
	return ""
}

func TestOnlyHumanWordsValues(t *testing.T) {
	ours, exports := compiled(t)
	counts := map[string]int{}
	places := map[string][]string{}
	for _, p := range ours {
		dir := strings.TrimPrefix(p.ImportPath, module+"/")
		if slices.Contains(notShipped, dir) || !(source{dir: dir}).product() {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info, err := typed(fset, p.ImportPath, files, exports)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, w := range findWords(f, info) {
				key := w.where + ": " + w.rule
				counts[key]++
				places[key] = append(places[key], fset.Position(w.pos).String())
			}
		}
	}
	for key, n := range counts {
		if allowed := worded[key].times; n > allowed {
			_, rule, _ := strings.Cut(key, ": ")
			t.Errorf("%s, %d times and not %d: use %s\n\t%s", key, n, allowed, wordsRules[rule], strings.Join(places[key], "\n\t"))
		}
	}
	for key, w := range worded {
		if counts[key] < w.times {
			t.Errorf("worded[%q] allows %d and there are %d: lower it", key, w.times, counts[key])
		}
	}
}

// TestWordsAreFound keeps the rules above from being blind: each line of a program breaks the rule that it names.
func TestWordsAreFound(t *testing.T) {
	const program = `package p
import ("fmt"; "strings"; "time"; "unicode")
type name string
func say(format string, args ...any) {}
func f(at time.Time, d time.Duration, n int, id string, of name, ids []string) {
	layout := "15:04"
	_ = at.UTC().Format(layout) // time
	_ = at.AppendFormat(nil, time.RFC3339) // time
	_ = at.String() // time
	say("at %s", at) // time
	_ = d.String() // duration
	_ = int(d.Hours()) / 24 // duration
	_ = fmt.Sprint(d.Round(time.Second)) // duration
	say("after %d", int(d.Seconds())) // duration
	say("after %.1f s", float64(n)) // unit
	say("%dm", n) // unit
	say("%d MB are free", n >> 20) // unit
	say("%d files", n) // plural
	say("%d other nodes", n) // plural
	say("%d %ss", n, id) // plural
	say("%d file(s)", n) // plural
	id += "s" // plural
	_ = id[:7] // id
	_ = of[0:min(len(of), 8)] // id
	_ = id[:n] + "…" // cut
	_ = string([]rune(id)[:n]) + "..." // cut
	_ = strings.Map(func(r rune) rune { if unicode.IsControl(r) { return ' ' }; return r }, id) // line
	_ = strings.Map(func(r rune) rune { if r < ' ' { return '?' }; return r }, id) // line
	_ = strings.ReplaceAll(id, "\n", "; ") // line
	_ = strings.Join(ids, " and ") // list
	say("%s and %d more", id, n) // list

	say("process %d is stopped after %d bytes", n, n) //
	_, _ = d.Seconds(), id[:3] //
	_ = strings.Map(func(r rune) rune { if r == '/' { return '-' }; return r }, id) //
	say("%s %q: %d of %d", id, id, n, n) //
}`
	_, exports := compiled(t)
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", program, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := typed(fset, "p", []*ast.File{f}, exports)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, w := range findWords(f, info) {
		found[fset.Position(w.pos).Line] += w.rule
	}
	for i, text := range strings.Split(program, "\n") {
		if _, rule, ok := strings.Cut(text, " //"); ok && found[i+1] != strings.TrimSpace(rule) {
			t.Errorf("%s: found %q", strings.TrimSpace(text), found[i+1])
		}
	}
	for rule := range wordsRules {
		if !strings.Contains(fmt.Sprint(found), rule) {
			t.Errorf("no line breaks the rule %s", rule)
		}
	}
}
