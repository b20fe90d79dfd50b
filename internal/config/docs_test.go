package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestDocs keeps what people read and copy the same as the table of keys. UPDATE=1 writes it there.
func TestDocs(t *testing.T) {
	testkit.Golden(t, "../../docs/addagent.yaml", Example())
	testkit.Section(t, "../../docs/config.md", "keys", table())
}

// table is the reference of all keys, a table for each section.
func table() string {
	var b strings.Builder
	title := ""
	for _, k := range Keys() {
		if t := titleOf(k.Key); t != title {
			title = t
			fmt.Fprintf(&b, "\n### %s\n\n", title)
			section, _, _ := strings.Cut(k.Key, ".")
			if doc := sectionDoc(section); doc != "" {
				b.WriteString(doc + "\n\n")
			}
			b.WriteString("| key | takes | default | what for |\n|---|---|---|---|\n")
		}
		standard, doc := "-", k.Doc
		if k.Default != "" {
			standard = "`" + k.Default + "`"
		}
		if k.Example != k.Default {
			doc += " Example: `" + k.Example + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Key, k.Kind, standard, doc)
	}
	var later []string
	for prefix, leaves := range map[string][]leaf{"": Default(asRoot()).leaves(), "repos[].": new(newRepo()).leaves()} {
		for _, l := range leaves {
			if l.later {
				later = append(later, prefix+l.key)
			}
		}
	}
	slices.Sort(later)
	slices.Reverse(later)
	fmt.Fprintf(&b, "\n### Later\n\nKeys of features that are not in this version are errors that say so: `%s`.\n\n", strings.Join(later, "`, `"))
	return b.String()
}

func titleOf(key string) string {
	section, _, nested := strings.Cut(key, ".")
	switch {
	case strings.HasPrefix(key, "repos") || key == "discover":
		return "Repositories"
	case strings.HasPrefix(key, "chat"):
		return "`chat`"
	case !nested:
		return "Folders"
	}
	return "`" + section + "`"
}

// Every key says what it is for in sentences, and its example is one.
func TestKeys(t *testing.T) {
	for _, k := range Keys() {
		if !strings.HasSuffix(k.Doc, ".") || k.Kind == "" || k.Example == "" && k.Key != "repos" {
			t.Errorf("%+v", k)
		}
	}
	text := fmt.Sprint(Keys())
	for _, l := range append(Default(asRoot()).Lines(), (&Config{Repos: []Repo{newRepo()}, Chat: []Room{newRoom()}}).Lines()...) {
		if key := strings.Replace(l.Key, "[0]", "[]", 1); !strings.Contains(text, "{"+key+" ") {
			t.Errorf("%s is not documented", key)
		}
	}
}

// The example of the page is a config: its files are those that begin with their name.
func TestPageExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, block := range strings.Split(string(page), "```yaml\n# ")[1:] {
		name, text, _ := strings.Cut(block, "\n")
		text, _, _ = strings.Cut(text, "```")
		all[strings.TrimPrefix(name, "/etc/addagent/")] = text
	}
	if len(all) < 2 {
		t.Fatalf("examples %q", all)
	}
	path := tree(t, all)
	_, err = Load(path, asRoot())
	for _, p := range problemsIn(err) {
		if !strings.Contains(p.Text, "does not exist") {
			t.Errorf("%v", p)
		}
	}
	if c, _ := Load(path, asRoot()); len(c.Files()) != len(all) || filepath.Base(c.Files()[0]) != "addagent.yaml" {
		t.Errorf("files %q", c.Files())
	}
}

func problemsIn(err error) Problems {
	p, _ := err.(Problems)
	return p
}

// The example shows every key there is, sets nothing as it stands, and is right when its comments are taken away.
func TestExample(t *testing.T) {
	path, _ := put(t, string(Example()))
	c, err := Load(path, asRoot())
	if err != nil || !same(c, Default(Options{Root: true})) {
		t.Errorf("as it stands: %+v, %v", c, err)
	}

	var b bytes.Buffer
	for line := range strings.Lines(string(Example())) {
		rest := strings.TrimLeft(line, " ")
		if strings.HasPrefix(rest, "#") && !strings.HasPrefix(rest, "# ") {
			line = strings.Replace(line, "#", "", 1)
		}
		b.WriteString(line)
	}
	path, _ = put(t, b.String())
	c, err = Load(path, asRoot())
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("uncommented: %v", err)
	}
	// Repositories show all kinds of credentials at once, the room both ways to its URL, wedged a command that nothing
	// starts; and the files that are named are not there.
	alternatives := regexp.MustCompile(`^(repos\[0\]|presence|requests)\.auth|^chat\[0\]\.url$|^wedged\.command$`)
	for _, p := range problems {
		if !alternatives.MatchString(p.Key) && !strings.Contains(p.Text, "does not exist") {
			t.Errorf("uncommented: %v", p)
		}
	}
	shown := map[string]Resolved{}
	for _, r := range c.Lines() {
		shown[r.Key] = r
	}
	r := newRepo()
	for _, l := range now(r.leaves()) {
		key := entryKey("repos", 0) + l.key
		if shown[key].From == "default" || shown[key].From == "" {
			t.Errorf("%s is not in the example", key)
		}
	}
	room := newRoom()
	for _, l := range now(room.leaves()) {
		if key := entryKey("chat", 0) + l.key; shown[key].From == "default" || shown[key].From == "" {
			t.Errorf("%s is not in the example", key)
		}
	}
	defaults := Default(Options{Root: true})
	for _, l := range now(defaults.leaves()) {
		if l.into == nil {
			continue
		}
		if shown[l.key].From == "default" || shown[l.key].From == "" {
			t.Errorf("%s is not in the example", l.key)
		}
		if want := cmp.Or(l.example, l.show()); shown[l.key].Value != want {
			t.Errorf("%s: the example says %s, not %s", l.key, shown[l.key].Value, want)
		}
	}
	if _, ok := shown["work.env.LC_ALL"]; !ok {
		t.Error("work.env is not in the example")
	}
}
