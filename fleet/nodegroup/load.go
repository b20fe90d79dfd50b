// Package nodegroup reads nodes.json, the one file that describes all nodes as groups, and makes the files of a group
// of it: its Chef role, its DNA file, the list of its services.
//
// It knows neither AWS nor presence. Begin with Load, and with groupKeys for what a group may have.
package nodegroup

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

const (
	baseName = "__base__"
	// fileMost bounds the file, in bytes: it is read at each Tab, too. Ten thousand groups have a third of it.
	fileMost = 16 << 20
)

// File is a file of groups that was read and checked.
type File struct {
	Path   string // as it was given
	Dir    string // what the paths in it are relative to
	Groups []Group
	Notes  config.Problems // what is allowed, and may be a slip

	sections []strictyaml.Field // __base__, the groups, and keys of people
}

// Group is a group with all that it inherits.
type Group struct {
	Name   string
	Fields []strictyaml.Field // those of __base__ first

	at strictyaml.Node // its name
}

// Find looks for the file of groups: in this folder, or the nearest one above.
func Find(dir string) (path string, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		var found []string
		for _, name := range []string{"nodes.json", "nodes.yaml"} {
			if _, err := os.Lstat(filepath.Join(at, name)); err == nil {
				found = append(found, filepath.Join(at, name))
			}
		}
		switch {
		case len(found) == 2:
			return "", fmt.Errorf("both nodes.json and nodes.yaml are in %s: remove one, or name one with --nodes FILE", at)
		case len(found) == 1:
			return found[0], nil
		case at == filepath.Dir(at):
			return "", fmt.Errorf("no nodes.json or nodes.yaml in %s or above: name the file with --nodes FILE", dir)
		}
	}
}

// Load reads a file of groups. The error is a config.Problems where the file can be read.
func Load(path string) (*File, error) {
	data, err := files.ReadSmall(path, fileMost)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", path, files.Cause(err))
	}
	f, problems := parse(path, data)
	if len(problems) > 0 {
		return nil, problems
	}
	return f, nil
}

// checker collects what is wrong.
type checker struct {
	file      string
	elsewhere []string // the keys below a key of a group
	problems  config.Problems
	seen      map[config.Problem]bool
}

// wrong notes a problem once: what __base__ says is found in each group again.
func (c *checker) wrong(n strictyaml.Node, at, format string, args ...any) {
	p := config.Problem{File: c.file, Line: n.Line, Column: n.Column, Key: human.Printable(at), Text: human.Printable(fmt.Sprintf(format, args...))}
	if !c.seen[p] {
		c.seen[p] = true
		c.problems = append(c.problems, p)
	}
}

func (c *checker) sorted() config.Problems {
	slices.SortStableFunc(c.problems, func(a, b config.Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return c.problems
}

func parse(path string, data []byte) (*File, config.Problems) {
	c := &checker{file: path, seen: map[config.Problem]bool{}}
	ofGroup := knownKeys("a map", groupKeys()...)
	for _, k := range ofGroup.keys {
		for _, inner := range k.kind.inner() {
			c.elsewhere = append(c.elsewhere, k.name+"."+inner.name)
		}
	}
	read := strictyaml.Parse
	if ext := filepath.Ext(path); ext != ".yaml" && ext != ".yml" {
		read = parseJSON
	}
	body, mistakes := read(data)
	for _, m := range mistakes {
		if strings.HasSuffix(m.Text, "',' or ']' must be specified") {
			m.Text += "; an item with brackets of its own, as recipe[x], stands in quotes here"
		}
		c.wrong(strictyaml.Node{Line: m.Line, Column: m.Column}, "", "%s", m.Text)
	}
	f := &File{Path: path, Dir: filepath.Dir(path)}
	switch {
	case len(mistakes) > 0:
		return f, c.sorted()
	case body == nil:
		c.wrong(strictyaml.Node{Line: 1, Column: 1}, "", "is empty: write a key for each group")
		return f, c.sorted()
	case body.Kind != strictyaml.Map:
		c.wrong(*body, "", "must be an object with a key for each group, not %s", strictyaml.What(*body))
		return f, c.sorted()
	}
	c.plain("", body)
	f.read(c, *body, ofGroup)
	return f, c.sorted()
}

// plain finds what no value may have, and makes the same of both forms of a text.
func (c *checker) plain(at string, n *strictyaml.Node) {
	switch n.Kind {
	case strictyaml.Block:
		n.Kind = strictyaml.Text
	case strictyaml.Text:
		if n.Plain && numberForm.MatchString(n.Text) { // 1e5, which the library takes for text
			n.Kind = strictyaml.Fraction
		}
	case strictyaml.Reference:
		c.wrong(*n, at, "is an anchor, an alias or a tag: write the value itself")
	case strictyaml.Other:
		c.wrong(*n, at, "is not a value of JSON")
	case strictyaml.Infinite, strictyaml.Integer, strictyaml.Fraction:
		if !numberForm.MatchString(n.Text) {
			c.wrong(*n, at, "%s is not a number of JSON: put it in quotes if it is meant as text", human.Truncate(n.Text, 40))
		}
	case strictyaml.Bool:
		n.Text = strings.ToLower(n.Text)
	case strictyaml.List:
		for i := range n.List {
			c.plain(at, &n.List[i])
		}
	case strictyaml.Map:
		first := map[string]strictyaml.Node{}
		for i := range n.Fields {
			k := &n.Fields[i].Key
			where := strings.TrimPrefix(at+"."+k.Text, ".")
			if before, twice := first[k.Text]; twice {
				c.wrong(*k, where, "is set twice, first at %d:%d: keep one", before.Line, before.Column)
			} else {
				first[k.Text] = *k
			}
			if !k.Is(strictyaml.Text) {
				c.wrong(*k, where, "a key must be text: put it in quotes")
			}
			c.plain(where, &n.Fields[i].Value)
		}
	}
}

// read takes the object apart: __base__, groups, and what people keep for themselves.
func (f *File) read(c *checker, body strictyaml.Node, ofGroup shape) {
	var base []strictyaml.Field
	twice := map[string]bool{}
	for _, s := range body.Fields {
		f.sections = append(f.sections, s)
		name := s.Key.Text
		switch {
		case name == "$schema":
			if s.Value.Kind != strictyaml.Text {
				c.wrong(s.Value, name, "must be the address of a schema, not %s", strictyaml.What(s.Value))
			}
		case extension(name):
		case name != baseName && !groupForm.MatchString(name):
			c.wrong(s.Key, name, "%s", badName(name))
		case s.Value.Kind == strictyaml.Reference: // it was reported
		case s.Value.Kind != strictyaml.Map:
			c.wrong(s.Value, name, "must be an object with the keys of a group, not %s", strictyaml.What(s.Value))
		default:
			c.value(name, s.Value, ofGroup)
			c.agentKeys(name+".node.config", Group{Fields: s.Value.Fields}.Value("node", "config"))
			if name == baseName {
				base = s.Value.Fields
			} else if !twice[name] {
				f.Groups = append(f.Groups, Group{Name: name, at: s.Key})
			}
			twice[name] = true
		}
	}
	own := make(map[string][]strictyaml.Field, len(body.Fields))
	for _, s := range body.Fields {
		own[s.Key.Text] = s.Value.Fields
	}
	for i := range f.Groups {
		g := &f.Groups[i]
		g.Fields = merge(base, own[g.Name])
		c.group(f, *g, ofGroup.keys)
	}
	c.names(f)
	n := &checker{file: c.file, seen: map[config.Problem]bool{}}
	n.notes(f)
	f.Notes = n.sorted()
}

// badName says what is wrong with the name of a group.
func badName(name string) string {
	for _, known := range []string{baseName, "$schema"} {
		if strictyaml.Nearest(name, []string{known}) != "" {
			return "did you mean " + known + "? It is not the name of a group"
		}
	}
	return human.Quote(name) + " is not the name of a group: use at most 63 letters, digits, - and _, and begin with a letter or digit"
}

// Group finds a group by its name.
func (f *File) Group(name string) (Group, error) {
	names := make([]string, len(f.Groups))
	for i, g := range f.Groups {
		if names[i] = g.Name; g.Name == name {
			return g, nil
		}
	}
	err := fmt.Errorf("%s has no group %s: addctl group:list lists them", f.Path, human.Quote(name))
	if near := strictyaml.Nearest(name, names); near != "" {
		err = fmt.Errorf("%s has no group %s, did you mean %s?", f.Path, human.Quote(name), near)
	}
	if name == baseName {
		err = errors.New(baseName + " is what all groups inherit, not a group")
	}
	return Group{}, err
}

// Owner is the group, or __base__, in which a value is written.
func (f *File) Owner(n strictyaml.Node) string {
	i, exact := slices.BinarySearchFunc(f.sections, n, func(s strictyaml.Field, n strictyaml.Node) int {
		return cmp.Or(s.Key.Line-n.Line, s.Key.Column-n.Column)
	})
	if !exact {
		i--
	}
	return f.sections[max(i, 0)].Key.Text
}
