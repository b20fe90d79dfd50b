package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/addagent/addagent/internal/files"
)

// sizeLimit is far above any config: 2,000 repositories take 110 KB.
const sizeLimit = 256 << 10

// Load reads the config file at path. The error is of type Problems and holds all that is wrong, sorted by line. The
// Config is returned in any case, with the values that are good, so that a person can be shown both.
func Load(path string, o Options) (*Config, error) {
	l := &loader{file: path, c: Default(o), at: map[string]*token.Position{}}
	data, err := files.ReadSmall(path, sizeLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.Optional:
	case errors.Is(err, fs.ErrNotExist):
		l.say(nil, "", "no such file: write one, or name another with --config")
	case err != nil:
		l.say(nil, "", "cannot be read: "+cause(err))
	default:
		l.document(data)
	}
	if more, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "addagent.d", "*.yaml")); len(more) > 0 {
		l.problems = append(l.problems, Problem{File: more[0], Text: "addagent.d is not in this version: move its keys into " + path})
	}
	l.finish(o)
	if len(l.problems) > 0 {
		return l.c, l.problems.sorted()
	}
	return l.c, nil
}

// cause drops the path from a file error; the problem names it already.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// loader collects problems while it fills the config.
type loader struct {
	file     string
	c        *Config
	problems Problems
	at       map[string]*token.Position // by key, where its value stands in the file
}

// say adds a problem; at nil is the file as a whole.
func (l *loader) say(at *token.Position, key, text string) {
	p := Problem{File: l.file, Key: key, Text: text}
	if at != nil {
		p.Line, p.Column = at.Line, at.Column
	}
	l.problems = append(l.problems, p)
}

func (l *loader) document(data []byte) {
	body, problems := parse(l.file, data)
	l.problems = append(l.problems, problems...)
	if body == nil {
		return
	}
	l.section(body, body.GetToken().Position, keys{
		leaves: l.c.leaves(),
		lists:  map[string]func(*token.Position, ast.Node){"repos": l.repos, "work.env": l.env},
		later:  laterKeys(),
	}, "", "")
}

// keys are all that may stand in a map and in the maps below it, by dotted name.
type keys struct {
	leaves []leaf
	lists  map[string]func(at *token.Position, n ast.Node)
	later  []string
}

func (k keys) names() []string {
	return append(append(known(k.leaves), slices.Sorted(maps.Keys(k.lists))...), k.later...)
}

// below lists what may stand directly in the map of that dotted name, "" being the whole.
func (k keys) below(section string) []string {
	var names []string
	for _, name := range k.names() {
		if section != "" {
			rest, ok := strings.CutPrefix(name, section+".")
			if !ok {
				continue
			}
			name = rest
		}
		name, _, _ = strings.Cut(name, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// section reads one map: prefix is what stands before its names in messages, name its dotted name within k.
func (l *loader) section(n ast.Node, at *token.Position, k keys, prefix, name string) {
	if _, ok := n.(*ast.NullNode); ok {
		return // a section whose keys are all commented out
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		l.say(at, strings.TrimSuffix(prefix+name, "."), mustBe("a map of keys", n))
		return
	}
	first := map[string]int{}
	for i := m.MapRange(); i.Next(); {
		key, at := i.Key().GetToken().Value, i.Key().GetToken().Position
		full := key
		if name != "" {
			full = name + "." + key
		}
		if line, twice := first[key]; twice {
			l.say(at, prefix+full, fmt.Sprintf("is set twice, first in line %d: keep one", line))
			continue
		}
		first[key] = at.Line
		l.key(i, at, k, prefix, full, k.below(name))
	}
}

func (l *loader) key(i *ast.MapNodeIter, at *token.Position, k keys, prefix, full string, siblings []string) {
	if i.Key().IsMergeKey() {
		l.say(at, prefix+full, noAnchors)
		return
	}
	if slices.Contains(k.later, full) {
		l.say(at, prefix+full, "not in this version")
		return
	}
	if list, ok := k.lists[full]; ok {
		list(at, i.Value())
		return
	}
	if n := slices.IndexFunc(k.leaves, func(f leaf) bool { return f.key == full }); n >= 0 {
		l.leaf(k.leaves[n], prefix, at, i.Value())
		return
	}
	if len(k.below(full)) > 0 {
		l.section(i.Value(), at, k, prefix, full)
		return
	}
	dot := strings.LastIndexByte(full, '.')
	now := keys{leaves: k.leaves, lists: k.lists}.below(full[:max(0, dot)])
	l.say(at, prefix+full, unknownKey(full[dot+1:], siblings, now, k.names()))
}

func (l *loader) leaf(f leaf, prefix string, at *token.Position, n ast.Node) {
	value, problem := scalar(f.kind, n)
	if _, list := n.(*ast.SequenceNode); list && f.many {
		problem = "a list is not in this version: give one value"
	}
	if _, ok := n.(ast.ScalarNode); ok && n.Type() != ast.NullType {
		at = n.GetToken().Position
	}
	if problem == "" {
		problem = f.apply(value)
	}
	if problem != "" {
		l.say(at, prefix+f.key, problem)
		return
	}
	l.set(prefix+f.key, at)
}

// set notes where a key has its value from.
func (l *loader) set(key string, at *token.Position) {
	l.at[key] = at
	l.c.from[key] = fmt.Sprintf("%s:%d", l.file, at.Line)
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (l *loader) env(at *token.Position, n ast.Node) {
	if _, ok := n.(*ast.NullNode); ok {
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		l.say(at, "work.env", mustBe("a map of names and values", n))
		return
	}
	env := map[string]string{}
	for i := m.MapRange(); i.Next(); {
		name, at := i.Key().GetToken().Value, i.Key().GetToken().Position
		key := "work.env." + name
		value, problem := scalar(textual, i.Value())
		switch _, twice := env[name]; {
		case twice:
			problem = "is set twice: keep one"
		case !envName.MatchString(name):
			problem = "is no name of a variable: use letters, digits and _"
		case strings.HasPrefix(name, "ADD_"):
			problem = "names that begin with ADD_ are set by the agent"
		case problem == "" && strings.Contains(value, "\x00"):
			problem = "holds a NUL character"
		}
		if problem != "" {
			l.say(at, key, problem)
			continue
		}
		env[name] = value
		l.set(key, at)
	}
	l.c.Work.Env = env
	l.c.envKeys = slices.Sorted(maps.Keys(env))
}

func (l *loader) repos(at *token.Position, n ast.Node) {
	if _, ok := n.(*ast.NullNode); ok {
		return
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		l.say(at, "repos", mustBe("a list of repositories, each beginning with a dash", n))
		return
	}
	lines := map[string]int{}
	for i, entry := range list.Values {
		r := newRepo()
		prefix, start := repoKey(i), position(entry)
		l.section(entry, start, keys{leaves: r.leaves(), later: laterRepoKeys()}, prefix, "")
		if _, ok := entry.(ast.MapNode); ok || entry.Type() == ast.NullType {
			l.repo(r, prefix, start, lines)
		}
		l.c.Repos = append(l.c.Repos, *r)
	}
}

// repo checks what only shows when all keys of a repository are read.
func (l *loader) repo(r *Repo, prefix string, start *token.Position, lines map[string]int) {
	if r.URL == "" && !l.complains(prefix+"url") {
		l.say(start, prefix+"url", "is missing: a repository needs one")
	}
	at := l.at[prefix+"name"]
	if r.Name == "" && r.URL != "" && !l.complains(prefix+"name") {
		at = l.at[prefix+"url"]
		if name := RepoName(r.URL); checkRepoName(name) == "" {
			r.Name = name
			l.c.from[prefix+"name"] = l.c.from[prefix+"url"]
		} else {
			l.say(at, prefix+"name", "is missing, and the URL gives none: write the name of its folder")
		}
	}
	if line, twice := lines[r.Name]; twice && r.Name != "" {
		l.say(at, prefix+"name", fmt.Sprintf("%s is the name of the repository in line %d too: each needs a folder of its own", r.Name, line))
	} else if r.Name != "" {
		lines[r.Name] = at.Line
	}
	l.auth(r, prefix)
}

// complains says whether there is a problem with that key already.
func (l *loader) complains(key string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Key == key })
}

// finish checks what concerns more than one key, or needs help from outside.
func (l *loader) finish(o Options) {
	c := l.c
	if at := l.at["beat.schedule"]; at != nil && o.Schedule != nil {
		if err := o.Schedule(c.Beat.Schedule); err != nil {
			l.say(at, "beat.schedule", err.Error())
		}
	}
	if c.Work.RetryMax < c.Work.RetryFirst {
		key := "work.retry_max"
		if l.at[key] == nil {
			key = "work.retry_first"
		}
		l.say(l.at[key], key, fmt.Sprintf("retry_max (%s) must not be shorter than retry_first (%s)",
			showDuration(c.Work.RetryMax), showDuration(c.Work.RetryFirst)))
	}
	if c.Home == "" && !l.complains("home") {
		l.say(nil, "home", "HOME is not set: set it, or home in this file")
	}
	c.settleRunDir()
}
