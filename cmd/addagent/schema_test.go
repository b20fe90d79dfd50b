package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cli/clitest"
	"github.com/addagent/addagent/internal/node"
)

// A described type is what the source says of it: its comment, its fields' comments
// by Go name, and, where it is a word, the words.
type described struct {
	doc    string
	fields map[string]string
	words  []word
}

type word struct{ text, doc string }

// source reads the comments of a package of ours, by the name of the type.
func source(t *testing.T, pkg string) map[string]described {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../..", strings.TrimPrefix(pkg, "github.com/addagent/addagent/"), "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no source of %s: %v", pkg, err)
	}
	all := map[string]described{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					one := all[s.Name.Name]
					one.doc, one.fields = sentence(g.Doc), map[string]string{}
					if st, ok := s.Type.(*ast.StructType); ok {
						for _, field := range st.Fields.List {
							for _, n := range field.Names {
								one.fields[n.Name] = sentence(field.Doc, field.Comment)
							}
						}
					}
					all[s.Name.Name] = one
				case *ast.ValueSpec:
					kind, ok := s.Type.(*ast.Ident)
					if !ok || g.Tok != token.CONST || len(s.Values) == 0 {
						continue
					}
					if lit, ok := s.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						text, _ := strconv.Unquote(lit.Value)
						one := all[kind.Name]
						one.words = append(one.words, word{text, sentence(s.Comment)})
						all[kind.Name] = one
					}
				}
			}
		}
	}
	return all
}

func sentence(comments ...*ast.CommentGroup) string {
	var text []string
	for _, c := range comments {
		if c != nil {
			text = append(text, strings.Fields(c.Text())...)
		}
	}
	return strings.Join(text, " ")
}

// everywhere is what a field means in whichever type it stands, where its own
// comment does not say more.
func everywhere() map[string]string {
	return map[string]string{
		"repo": "name of the repository: its folder below gitrepo/", "item": "name of the item in its repository, such as part.app1",
		"branch": "branch that is followed", "version": "full commit id", "verdict": "why it ran, or why not",
		"why": "the verdict in words, for people", "ms": "milliseconds", "run_id": "ADD_RUN_ID of the script", "attempt": "which try of this change it is, from 1",
		"started": "when it began, UTC", "at": "when, UTC", "since": "since when, UTC", "seconds": "how long it took", "exit": "exit status of the script; -1 = it did not exit by itself",
		"ok": "it succeeded", "last_line": "the last line of its output", "log": "path of its output", "adopted": "it was begun by an earlier agent",
		"moved": "the tree moved in this beat", "notices": "worth knowing, no trouble", "trouble": "why it could not be looked at or moved", "text": "in words, for people",
	}
}

// field is one line of what a schema says, for docs/records.md and the golden list.
type field struct{ owner, name, kind, doc string }

// schema makes the JSON Schema of a Go type from its tags and comments.
type schema struct {
	t       *testing.T
	sources map[string]map[string]described
	defs    object
	made    map[string]reflect.Type
	fields  []field
}

// object is a JSON object that keeps its order.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, v := range []any{m.key, m.value} {
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			if err := e.Encode(v); err != nil {
				return nil, err
			}
			if j == 0 {
				b.WriteByte(':')
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// document is the whole schema of a type.
func (s *schema) document(of reflect.Type, title string) string {
	return s.published(s.object(of), title)
}

// list is the schema of a list of a type.
func (s *schema) list(of reflect.Type, title string) string {
	s.define(of)
	return s.published(object{{"type", "array"}, {"items", object{{"$ref", "#/$defs/" + of.Name()}}}}, title)
}

func (s *schema) published(root object, title string) string {
	doc := append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", title},
		{"$comment", madeSchema},
	}, root...)
	slices.SortFunc(s.defs, func(a, b member) int { return strings.Compare(a.key, b.key) })
	doc = append(doc, member{"$defs", s.defs})
	data, err := json.Marshal(doc)
	if err != nil {
		s.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		s.t.Fatal(err)
	}
	return b.String() + "\n"
}

func (s *schema) about(of reflect.Type) described {
	pkg := of.PkgPath()
	if s.sources[pkg] == nil {
		s.sources[pkg] = source(s.t, pkg)
	}
	return s.sources[pkg][of.Name()]
}

func (s *schema) object(of reflect.Type) object {
	about := s.about(of)
	if about.doc == "" {
		s.t.Errorf("%s has no comment", of)
	}
	var properties object
	required := []string{}
	var nested []reflect.Type
	for _, f := range reflect.VisibleFields(of) {
		if f.Anonymous && f.Tag == "" {
			continue // its fields stand here
		}
		about := about
		if len(f.Index) > 1 {
			about = s.about(of.Field(f.Index[0]).Type)
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" || f.Anonymous {
			s.t.Errorf("%s.%s has no name of its own in JSON", of, f.Name)
			continue
		}
		doc := about.fields[f.Name]
		if doc == "" {
			doc = everywhere()[name]
		}
		if doc == "" {
			s.t.Errorf("%s.%s: write a comment that says what it is: it is published", of, f.Name)
		}
		optional := strings.Contains(options, "omit")
		value, kind, inner := s.value(f.Type, optional)
		properties = append(properties, member{name, append(object{{"description", doc}}, value...)})
		s.fields = append(s.fields, field{of.Name(), name, kind, doc})
		if inner != nil {
			nested = append(nested, inner)
		}
		if !optional {
			required = append(required, name)
		}
	}
	for _, n := range nested {
		s.define(n)
	}
	// More properties are fine: a later version may have them, and readers ignore what they do not know.
	return object{{"description", about.doc}, {"type", "object"}, {"properties", properties}, {"required", required}}
}

// define makes a type a definition, once.
func (s *schema) define(of reflect.Type) {
	if was, ok := s.made[of.Name()]; ok {
		if was != of {
			s.t.Errorf("two types are called %s: %s and %s", of.Name(), was.PkgPath(), of.PkgPath())
		}
		return
	}
	s.made[of.Name()] = of
	if of.Kind() == reflect.Struct {
		s.defs = append(s.defs, member{of.Name(), s.object(of)})
		return
	}
	about := s.about(of)
	var words []object
	for _, w := range about.words {
		if row, ok := node.Row(node.State(w.text)); ok && of == reflect.TypeFor[node.State]() {
			w.doc = row.Meaning
		}
		if w.doc == "" {
			s.t.Errorf("%s: %q has no comment", of, w.text)
		}
		words = append(words, object{{"const", w.text}, {"description", w.doc}})
	}
	s.defs = append(s.defs, member{of.Name(), object{{"description", about.doc}, {"type", "string"}, {"oneOf", words}}})
}

// value is the schema of a field's value, what a person calls it, and the type of
// ours in it. What is neither optional nor there is null.
func (s *schema) value(of reflect.Type, optional bool) (value object, kind string, inner reflect.Type) {
	typed := func(name string) object {
		if optional || name != "array" && name != "object" {
			return object{{"type", name}}
		}
		return object{{"type", []string{name, "null"}}}
	}
	switch {
	case of == reflect.TypeFor[time.Time]():
		return object{{"type", "string"}, {"format", "date-time"}}, "time", nil
	case of.Kind() == reflect.Pointer:
		if !optional {
			s.t.Errorf("%s: a pointer in a record is omitted when it is nil", of)
		}
		return s.value(of.Elem(), true)
	case of.Kind() == reflect.Struct, of.Kind() == reflect.String && strings.HasPrefix(of.PkgPath(), "github.com/addagent/"):
		return object{{"$ref", "#/$defs/" + of.Name()}}, of.Name(), of
	}
	switch of.Kind() {
	case reflect.Slice:
		items, kind, inner := s.value(of.Elem(), true)
		return append(typed("array"), member{"items", items}), kind + "[]", inner
	case reflect.Map:
		values, kind, inner := s.value(of.Elem(), true)
		return append(typed("object"), member{"additionalProperties", values}), "map of " + kind, inner
	case reflect.String:
		return typed("string"), "text", nil
	case reflect.Bool:
		return typed("boolean"), "true or false", nil
	case reflect.Float64:
		return typed("number"), "number", nil
	case reflect.Int, reflect.Int64:
		return typed("integer"), "whole number", nil
	case reflect.Uint64:
		return append(typed("integer"), member{"minimum", 0}), "whole number", nil
	}
	s.t.Errorf("no schema for %s", of)
	return nil, "", nil
}

func newSchema(t *testing.T) *schema {
	return &schema{t: t, sources: map[string]map[string]described{}, made: map[string]reflect.Type{}}
}

const madeSchema = "made from the Go types by: UPDATE=1 go test -run TestSchemas ./cmd/addagent"

// tables are the fields as docs/records.md lists them, a table a type.
func (s *schema) tables() string {
	var b strings.Builder
	owner := ""
	for _, f := range s.fields {
		if f.owner != owner {
			owner = f.owner
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| field | is | what |\n|---|---|---|\n", owner, clitest.Markdown(s.about(s.made[owner]).doc))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, f.kind, clitest.Markdown(f.doc))
	}
	for _, d := range s.defs {
		words := s.about(s.made[d.key]).words
		if len(words) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| word | when |\n|---|---|\n", d.key, clitest.Markdown(s.about(s.made[d.key]).doc))
		for _, w := range d.value.(object)[2].value.([]object) {
			fmt.Fprintf(&b, "| `%s` | %s |\n", w[0].value, clitest.Markdown(w[1].value.(string)))
		}
	}
	return b.String()
}
