package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// load loads what must be good.
func load(t testing.TB, path string) *Config {
	t.Helper()
	c, err := Load(path, asRoot())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keep(t testing.TB, c *Config, dir string) {
	t.Helper()
	if _, err := c.Keep(dir); err != nil {
		t.Fatal(err)
	}
}

func only(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%q, %v", all, err)
	}
	return all[0]
}

// What was kept is the config again, whatever lies in place of its files now, and says where it is from.
func TestKeep(t *testing.T) {
	path := tree(t, map[string]string{
		"addagent.yaml":     "home: /srv/add # größe, \"<&>\"\nbeat: {spread: 5s}\n",
		"addagent.d/1.yaml": "repos: [{url: /srv/ops}]\nwork: {env: {A: b}}\n",
	})
	dir := filepath.Join(t.TempDir(), "new")
	good := load(t, path)
	keep(t, good, dir)

	for name, text := range map[string]string{"addagent.yaml": "hoem: bad\n", "addagent.d/1.yaml": ""} {
		file := filepath.Join(filepath.Dir(path), name)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, when, err := LoadKept(dir, path, asRoot())
	if err != nil {
		t.Fatal(err)
	}
	if since := time.Since(when); since < -time.Minute || since > time.Hour || when.Location() != time.UTC {
		t.Errorf("kept %v", when)
	}
	if c.Home != "/srv/add" || c.Beat.Spread != 5*time.Second || !reflect.DeepEqual(c.Repos, good.Repos) || !reflect.DeepEqual(c.Work.Env, good.Work.Env) {
		t.Errorf("%+v", c)
	}
	from := map[string]string{}
	for _, l := range c.Lines() {
		from[l.Key] = near(path, l.From)
	}
	mark := " (kept " + when.Format(time.RFC3339) + ")"
	for key, want := range map[string]string{"home": "addagent.yaml:1" + mark, "repos[0].url": "addagent.d/1.yaml:1" + mark, "log.keep": "default"} {
		if from[key] != want {
			t.Errorf("%s is from %s", key, from[key])
		}
	}

	// Only the owner may read the file and enter its folder. Kept again, the same config is not written.
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	before, err := os.Stat(only(t, dir))
	if err != nil || before.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", before.Mode(), err)
	}
	keep(t, c, dir)
	after, err := os.Stat(only(t, dir))
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the same was written again: %v", err)
	}
}

// The form of the file is a contract: a later version must read what an earlier one kept.
func TestKeptForm(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": "home: /srv/<add>\n", "addagent.d/1.yaml": "# größe\n"})
	dir := t.TempDir()
	keep(t, load(t, path), dir)
	data, err := os.ReadFile(only(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`"kept": "[0-9TZ:-]+"`).ReplaceAllString(near(path, string(data)), `"kept": "TIME"`)
	testkit.Golden(t, "testdata/kept.json", got)
}

// A change is kept: another text, a drop-in that goes, a file that could be read by others.
func TestKeepChanges(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": "log: {keep: 3}\n", "addagent.d/1.yaml": "log: {keep: 4}\n"})
	dir := t.TempDir()
	keep(t, load(t, path), dir)
	if err := os.Chmod(only(t, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(path), "addagent.d/1.yaml")); err != nil {
		t.Fatal(err)
	}
	keep(t, load(t, path), dir)
	c, _, err := LoadKept(dir, path, asRoot())
	if err != nil || c.Log.Keep != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	if info, err := os.Stat(only(t, dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// Another config file has another one.
	other := tree(t, map[string]string{"addagent.yaml": "log: {keep: 9}\n"})
	if _, _, err := LoadKept(dir, other, asRoot()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another path: %v", err)
	}
	keep(t, load(t, other), dir)
	if c, _, err := LoadKept(dir, path, asRoot()); err != nil || c.Log.Keep != 3 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestNothingToKeep(t *testing.T) {
	dir := t.TempDir()
	path := tree(t, map[string]string{"addagent.yaml": "log: {keep: 3}\n"})
	keep(t, load(t, path), dir)

	if _, err := Default(asRoot()).Keep(dir); err != nil {
		t.Errorf("what was not loaded: %v", err)
	}
	if err := os.WriteFile(path, []byte("log: {keep: 0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad, _ := Load(path, asRoot())
	if _, err := bad.Keep(dir); err == nil {
		t.Error("a bad config was kept")
	}
	if c, _, err := LoadKept(dir, path, asRoot()); err != nil || c.Log.Keep != 3 {
		t.Errorf("%+v, %v", c, err)
	}

	// Who took the config away meant it: the old one must not come back.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	o := asRoot()
	o.Optional = true
	none, err := Load(path, o)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, none, dir)
	keep(t, none, dir)
	if _, _, err := LoadKept(dir, path, asRoot()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, _, err := LoadKept(filepath.Join(dir, "none"), path, asRoot()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// The agent must come up: what a kept config names may be gone. What this version does not understand is a problem.
func TestKeptJudgedAgain(t *testing.T) {
	path, keys := put(t, "repos:\n  - url: https://h/ops\n    auth: {username: bot, password_file: KEYS/password}\n"+
		"  - url: https://h/app\n    auth: {command: [KEYS/helper, x]}\n  - url: https://h/env\n    auth: {token_file: \"env:ADD_SECRET_GIT\"}\n"+
		"presence: {url: \"https://h/p\", auth: {token_file: KEYS/presence}}\nchat: [{url_file: KEYS/chat}, {url: \"slack://t0ken\"}]\n"+
		"wedged: {kill: command, command: [KEYS/killer]}\n"+
		"network: {ca_file: KEYS/ca, client_cert_file: KEYS/cert, client_key_file: KEYS/clientkey}\n")
	certificates(t, keys)
	for _, name := range []string{"helper", "killer", "presence", "chat"} {
		program(t, filepath.Join(keys, name))
	}
	dir := t.TempDir()
	o := asRoot()
	o.Env = func(string) string { return "set" }
	c, err := Load(path, o)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c, dir)
	if err := os.RemoveAll(keys); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, asRoot()); err == nil {
		t.Fatal("nothing is missing")
	}
	c, _, err = LoadKept(dir, path, asRoot())
	if err != nil || len(c.Repos) != 3 || c.Repos[0].Auth.PasswordFile == "" || c.Network.CAFile == "" ||
		c.Presence.Auth.TokenFile == "" || len(c.Chat) != 2 || c.Chat[1].URL != "slack://t0ken" || len(c.Wedged.Command) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	notes := c.Notes.Error()
	for _, name := range []string{"/password does not exist", "/helper does not exist", "ADD_SECRET_GIT is not set", "/ca does not exist", "/cert does not exist", "/clientkey does not exist",
		"/presence does not exist", "/chat does not exist", "/killer does not exist"} {
		if !strings.Contains(notes, name) || !strings.Contains(notes, " (kept ") {
			t.Errorf("no note of %q:\n%s", name, notes)
		}
	}

	file := only(t, dir)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte("network:"), []byte("wireless:"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = LoadKept(dir, path, asRoot())
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != 11 || !strings.Contains(problems[0].File, "addagent.yaml (kept ") {
		t.Errorf("a key of another version: %v", err)
	}
	only(t, dir) // and not set aside
}

// A file that Keep did not write is set aside, once, and no config.
func TestKeptCorrupt(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": "log: {keep: 3}\n"})
	good := t.TempDir()
	keep(t, load(t, path), good)
	name := filepath.Base(only(t, good))
	data, err := os.ReadFile(filepath.Join(good, name))
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*kept)) []byte {
		var k kept
		if err := json.Unmarshal(data, &k); err != nil {
			t.Fatal(err)
		}
		f(&k)
		changed, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	cases := map[string][]byte{
		"empty": {}, "zeros": make([]byte, len(data)), "another shape": []byte(`["x"]`), "null": []byte("null"), "huge": bytes.Repeat([]byte(" "), keptLimit+1),
		"of another path": change(func(k *kept) { k.Config = "/x" }), "without a time": change(func(k *kept) { k.Kept = time.Time{} }),
		"without files": change(func(k *kept) { k.Sources = nil }),
	}
	for n := 1; n < len(data)-1; n += 7 { // but for the newline at the end
		cases["cut"+string(data[:n])] = data[:n]
	}
	for what, bad := range cases {
		dir := t.TempDir()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := LoadKept(dir, path, asRoot())
		if c != nil || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "set aside as "+file+".corrupt") {
			t.Errorf("%s: %v, %v", what, c, err)
		}
		if kept := only(t, dir); kept != file+".corrupt" {
			t.Errorf("%s: %s", what, kept)
		}
		if _, _, err := LoadKept(dir, path, asRoot()); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "corrupt") {
			t.Errorf("%s again: %v", what, err)
		}
		keep(t, load(t, path), dir)
		if c, _, err := LoadKept(dir, path, asRoot()); err != nil || c.Log.Keep != 3 {
			t.Errorf("%s, then kept: %v", what, err)
		}
	}

	// Keep writes over what is corrupt.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	keep(t, load(t, path), dir)
	if _, _, err := LoadKept(dir, path, asRoot()); err != nil {
		t.Error(err)
	}
}

func TestKeepFails(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": ""})
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, path).Keep(dir); err == nil || !strings.HasPrefix(err.Error(), "keep the config: ") {
		t.Errorf("%v", err)
	}
	if _, _, err := LoadKept(dir, path, asRoot()); err == nil || !strings.HasPrefix(err.Error(), "last good config: ") {
		t.Errorf("%v", err)
	}
}

// TestKeptNotes: a note is news once, also for a process that lives for one beat, and again when it has gone and come.
func TestKeptNotes(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": "", "token": "Tok3nTok3n\n"})
	token := filepath.Join(filepath.Dir(path), "token")
	text := "repos: [{url: http://git.example.org/ops.git, auth: {token_file: " + token + "}}]\n"
	testkit.Must(t, os.WriteFile(path, []byte(text), 0o600))
	dir := t.TempDir()
	news := func(mode os.FileMode) string {
		t.Helper()
		testkit.Must(t, os.Chmod(token, mode))
		notes, err := load(t, path).Keep(dir)
		testkit.Must(t, err)
		return notes.Error()
	}
	const plain, readable = "sends the credentials to git.example.org without encryption", "can be read by others"
	if got := news(0o644); !strings.Contains(got, plain) || !strings.Contains(got, readable) {
		t.Errorf("at first %q", got)
	}
	_, kept, err := LoadKept(dir, path, asRoot())
	if got := news(0o644); got != "" || err != nil {
		t.Errorf("once more %q, %v", got, err)
	}
	if got := news(0o600); got != "" {
		t.Errorf("gone %q", got)
	}
	if got := news(0o640); !strings.Contains(got, readable) || strings.Contains(got, plain) {
		t.Errorf("back %q", got)
	}
	if _, since, err := LoadKept(dir, path, asRoot()); err != nil || !since.Equal(kept) {
		t.Errorf("the notes changed, and the config is of %v, not %v: %v", since, kept, err)
	}
}
