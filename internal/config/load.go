package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// Load reads the config file at path, and then addagent.d/*.yaml beside it by name: lists are appended, maps merged,
// and single values replaced. The error is of type Problems and lists all that is wrong, by file and line. The Config
// is returned in any case, with the values that are good, so that people can be shown both.
func Load(path string, o Options) (*Config, error) {
	l := newLoader(path, o)
	l.c.stamp = Stamp(path) // before they are read, so as not to miss a change meanwhile
	return l.load(l.gather(path, o.Optional))
}

// place is a position in a file; line 0 is the file as a whole.
type place struct {
	file         string
	line, column int
}

// loader collects problems while it fills the config.
type loader struct {
	o        Options
	path     string
	file     string // being read
	order    []string
	kept     string // "" or " (kept DATE)", after the names of files that are read as they were then
	c        *Config
	problems Problems
	at       map[string]place // by key, where its value is; "KEY[1]" is the second of a list
	names    map[string]place // of repositories
}

func newLoader(path string, o Options) *loader {
	l := &loader{o: o, path: path, file: path, c: Default(o), at: map[string]place{}, names: map[string]place{}}
	l.c.path = path
	return l
}

// load fills the config from the text of all its files.
func (l *loader) load(all []source) (*Config, error) {
	for _, s := range all {
		l.file = inPlace(l.path, s.Name)
		l.document([]byte(s.Text))
	}
	l.file = l.path
	l.finish()
	l.c.sources = all
	l.c.broken = len(l.problems) > 0
	if l.c.broken {
		return l.c, l.inOrder()
	}
	return l.c, nil
}

func (l *loader) place(n strictyaml.Node) place { return place{l.file, n.Line, n.Column} }

func (l *loader) problem(at place, key, text string) Problem {
	if at.file == "" {
		at.file = l.file
	}
	return Problem{File: at.file + l.kept, Line: at.line, Column: at.column, Key: key, Text: text}
}

// say adds a problem; the zero place is the file as a whole.
func (l *loader) say(at place, key, text string) {
	l.problems = append(l.problems, l.problem(at, key, text))
}

func (l *loader) note(at place, key, text string) {
	l.c.Notes = append(l.c.Notes, l.problem(at, key, text))
}

// miss adds a problem with a file that the config names. In the last good config it is only a note, because an agent
// that worked yesterday must start.
func (l *loader) miss(at place, key, text string) {
	if l.kept != "" {
		l.note(at, key, text)
		return
	}
	l.say(at, key, text)
}

// absent is miss for a file that does not exist, but may come later.
func (l *loader) absent(at place, key, text string) {
	if l.o.Later && (strings.HasPrefix(key, "chat[") || strings.HasPrefix(key, "presence.")) {
		l.note(at, key, text)
		return
	}
	l.miss(at, key, text)
}

func (l *loader) document(data []byte) {
	body, mistakes := strictyaml.Parse(data)
	for _, m := range mistakes {
		l.say(place{l.file, m.Line, m.Column}, "", m.Text)
	}
	switch {
	case body != nil:
		l.section(*body, l.place(*body), l.c.leaves(), "", "")
	case len(mistakes) > 0:
		l.folders(data)
	}
}

// folderLine is the usual way to set a folder.
var folderLine = regexp.MustCompile(`(?m)^(home|run_dir|state_dir):[ \t]+(?:(/[^\s#]*)|"(/[^"]*)"|'(/[^']*)')[ \t]*(?:#.*)?\r?$`)

// folders finds the folders in a text that is not valid YAML: one of them has the last good config.
func (l *loader) folders(data []byte) {
	for _, m := range folderLine.FindAllSubmatch(data, -1) {
		if f, ok := find(l.c.leaves(), string(m[1])); ok {
			_ = f.apply(string(m[2]) + string(m[3]) + string(m[4])) // a problem with it shows once the rest is right
		}
	}
}

// below lists the names directly below a dotted name, "" being the whole.
func below(leaves []leaf, section string) []string {
	var names []string
	for _, name := range known(leaves) {
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

// section reads a map with the dotted name name among leaves; prefix precedes it in messages.
func (l *loader) section(n strictyaml.Node, at place, leaves []leaf, prefix, name string) {
	if n.Kind == strictyaml.Null {
		return // a section whose keys are all commented out
	}
	if n.Kind != strictyaml.Map {
		l.say(at, strings.TrimSuffix(prefix+name, "."), mustBe("a map of keys", n))
		return
	}
	for _, f := range n.Fields {
		at, full := l.place(f.Key), f.Key.Text
		if name != "" {
			full = name + "." + full
		}
		leaf, ok := find(leaves, full)
		switch twice := f.Twice(); {
		case twice != "":
			l.say(at, prefix+full, twice)
		case f.Key.Kind == strictyaml.Reference:
			l.say(at, prefix+full, noAnchors)
		case ok && leaf.later:
			l.say(at, prefix+full, "is not in this version: remove it")
		case ok && leaf.section.read != nil:
			leaf.section.read(l, at, f.Value)
		case ok:
			l.leaf(leaf, prefix, at, f.Value)
		case len(below(leaves, full)) > 0:
			l.section(f.Value, at, leaves, prefix, full)
		default:
			l.say(at, prefix+full, unknownKey(f.Key.Text, below(leaves, name), below(now(leaves), name), known(leaves)))
		}
	}
}

func (l *loader) leaf(f leaf, prefix string, at place, n strictyaml.Node) {
	if n.Kind == strictyaml.List && f.list != single {
		if into, ok := f.into.(*[]string); ok && l.c.from[prefix+f.key] == "" {
			*into = nil // the first list replaces the default, later ones extend it
		}
		for i, entry := range n.List {
			l.value(f, prefix, l.place(entry), entry, i)
		}
		return
	}
	if f.list == listOnly && n.Kind != strictyaml.Null {
		l.say(at, prefix+f.key, mustBe("a list, such as "+f.example, n))
		return
	}
	l.value(f, prefix, at, n, 0)
}

// value reads the value of a key, or one of its list.
func (l *loader) value(f leaf, prefix string, at place, n strictyaml.Node, index int) {
	value, problem := scalar(f.kind(), n)
	if !n.Is(strictyaml.Null, strictyaml.List, strictyaml.Map, strictyaml.Other) {
		at = l.place(n)
	}
	if problem == "" {
		problem = f.apply(value)
	}
	if problem != "" {
		l.say(at, prefix+f.key, problem)
		return
	}
	l.set(prefix+f.key, at, f.list != single, index)
}

// set records where a key, or an entry of its list, has its value from.
func (l *loader) set(key string, at place, list bool, index int) {
	from := fmt.Sprintf("%s:%d%s", at.file, at.line, l.kept)
	switch before := l.c.from[key]; {
	case index > 0 && before != "":
		from = before // a list is where its first entry is
	case list && before != "":
		from = before + ", " + from
	}
	l.c.from[key] = from
	if index == 0 {
		l.at[key] = at
	}
	l.at[fmt.Sprintf("%s[%d]", key, index)] = at
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (l *loader) env(at place, n strictyaml.Node) {
	if n.Kind == strictyaml.Null {
		return
	}
	if n.Kind != strictyaml.Map {
		l.say(at, "work.env", mustBe("a map of names and values", n))
		return
	}
	if l.c.Work.Env == nil {
		l.c.Work.Env = map[string]string{}
	}
	for _, f := range n.Fields {
		name, at := f.Key.Text, l.place(f.Key)
		key := "work.env." + name
		value, problem := scalar(textual, f.Value)
		switch {
		case f.Twice() != "":
			problem = f.Twice()
		case !envName.MatchString(name):
			problem = "is not the name of a variable: use letters, digits and _"
		case strings.HasPrefix(name, "ADD_"):
			problem = "names that begin with ADD_ are set by the agent: choose another"
		case problem == "" && strings.Contains(value, "\x00"):
			problem = "contains a NUL character: remove it"
		}
		if problem != "" {
			l.say(at, key, problem)
			continue
		}
		l.c.Work.Env[name] = value
		l.set(key, at, false, 0)
		if masked(name, value) != value {
			l.noteReadable(key, "contains a secret")
		}
	}
}

func (w *Work) envLines(add func(string, leaf)) {
	for _, name := range slices.Sorted(maps.Keys(w.Env)) {
		value := w.Env[name]
		add("work.env.", leaf{key: name, into: &value}.hides(func(s string) string { return masked(name, s) }))
	}
}

// repo checks a repository, once all its keys are read.
func (l *loader) repo(r *Repo, prefix string, start place) {
	if len(r.URLs) == 0 && !l.complains(prefix+"url") {
		l.say(start, prefix+"url", "is missing: a repository needs one")
	}
	at := l.at[prefix+"name"]
	if r.Name == "" && len(r.URLs) > 0 && !l.complains(prefix+"name") {
		at = l.at[prefix+"url"]
		if name := RepoName(r.URLs[0]); checkRepoName(name) == "" {
			r.Name = name
			l.c.from[prefix+"name"] = l.c.from[prefix+"url"]
		} else {
			l.say(at, prefix+"name", "is missing, and the URL gives none: write the name of a folder")
		}
	}
	if first, twice := l.names[r.Name]; twice && r.Name != "" {
		where := fmt.Sprintf("in line %d", first.line)
		if first.file != at.file {
			where = fmt.Sprintf("at %s:%d%s", first.file, first.line, l.kept)
		}
		l.say(at, prefix+"name", fmt.Sprintf("%s is also the name of the repository %s: each needs its own folder", r.Name, where))
	} else if r.Name != "" {
		l.names[r.Name] = at
	}
	for i, url := range r.URLs {
		if slices.Contains(r.URLs[:i], url) {
			l.say(l.at[fmt.Sprintf("%surl[%d]", prefix, i)], prefix+"url", "is in the list twice: keep one")
		}
	}
	l.auth(r.Auth, r.URLs, prefix)
}

// complains tells whether there is already a problem with a key.
func (l *loader) complains(key string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Key == key })
}

// finish checks what concerns several keys, or needs the options.
func (l *loader) finish() {
	c := l.c
	if at, ok := l.at["beat.schedule"]; ok && l.o.Schedule != nil {
		if err := l.o.Schedule(c.Beat.Schedule); err != nil {
			l.say(at, "beat.schedule", err.Error())
		}
	}
	if c.Work.RetryMax < c.Work.RetryFirst {
		key := "work.retry_max"
		if _, ok := l.at[key]; !ok {
			key = "work.retry_first"
		}
		l.say(l.at[key], key, fmt.Sprintf("retry_max (%s) must not be shorter than retry_first (%s)",
			human.Setting(c.Work.RetryMax), human.Setting(c.Work.RetryFirst)))
	}
	if c.Home == "" && !l.complains("home") {
		l.say(place{}, "home", "HOME is not set: set it, or home in this file")
	}
	l.network()
	l.presence()
	l.rooms()
	l.cloud()
	l.kill()
	c.settleRunDir()
}
