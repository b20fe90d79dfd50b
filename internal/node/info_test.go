package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadInfo(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "nodepart.txt", "app1\n")
	put(t, dir, "stacktype.txt", "lad1") // as CloudFormation writes it
	put(t, dir, "deployment.txt", "\ufefffed1 \r\n")
	put(t, dir, "initgitrepo.txt", "\trepo2\n")
	put(t, dir, "instance-id.txt", "i-0abc\n")
	put(t, dir, "keyname.txt", "one\ntwo\n")
	put(t, dir, "empty.txt", "")
	put(t, dir, ".hidden.txt", "x")
	put(t, dir, "state.txt", "idle\n") // the agent's own
	put(t, dir, "presence.json", "{}")
	info, err := ReadInfo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Nodepart != "app1" || info.Stacktype != "lad1" || info.Deployment != "fed1" || info.InitGitRepo != "repo2" || info.InstanceID != "i-0abc" {
		t.Errorf("info %+v", info)
	}
	if len(info.Fields) != 7 || info.Fields["keyname"] != "one\ntwo" || info.Fields["deployment"] != "fed1" {
		t.Errorf("fields %q", info.Fields)
	}
}

func TestReadInfoOfNothing(t *testing.T) {
	info, err := ReadInfo(filepath.Join(t.TempDir(), "none"))
	if err != nil || info.Nodepart != "" || info.Fields == nil {
		t.Errorf("%+v, %v", info, err)
	}
	dir := t.TempDir()
	put(t, dir, "instance-id.txt", " \n") // touched, not chosen
	if info, err = ReadInfo(dir); err != nil || info.InstanceID != "" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestReadInfoNamesEveryProblem(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "nodepart.txt", "../app1")
	put(t, dir, "stacktype.txt", "\n")
	put(t, dir, "deployment.txt", "fed\x071")
	put(t, dir, "instance-id.txt", "-x")
	put(t, dir, "big.txt", strings.Repeat("x", valueLimit+1))
	put(t, dir, "good.txt", "value")
	if err := os.Mkdir(filepath.Join(dir, "initgitrepo.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := ReadInfo(dir)
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`DIR/deployment.txt: "fed\a1" is not the name of a folder: write one name on one line, without slashes and double dots`,
		"DIR/initgitrepo.txt: cannot be read: is a folder, not a file: make it a readable file, or remove it",
		`DIR/instance-id.txt: "-x" is not a valid id: use at most 63 letters, digits, dots, underscores and dashes, begin with a letter or digit, and avoid double dots and .lock or a dot at the end: write another id into it, or remove the file to have one chosen`,
		`DIR/nodepart.txt: "../app1" is not the name of a folder: write one name on one line, without slashes and double dots`,
		"DIR/stacktype.txt: is empty: write one name into it, or remove the file",
	}
	if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if got := strings.ReplaceAll(strings.Join(info.Ignored, "\n"), dir, "DIR"); got != "DIR/big.txt: larger than 64 KB: a file of nodeinfo contains one value: move it elsewhere" {
		t.Errorf("ignored: %s", got)
	}
	if info.Fields["good"] != "value" || info.Nodepart != "" || len(info.Fields) != 1 {
		t.Errorf("info %+v", info)
	}
}

func TestCheckPathValue(t *testing.T) {
	for _, good := range []string{"app1", "my part", "a.b", ".x", "fed1-eu", "größe", "app@1"} {
		if err := checkPathValue(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a..b", "/", "a/b", "a\nb", "a\x00", "a\u0085", "\xff", strings.Repeat("x", 256)} {
		if err := checkPathValue(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestValidID(t *testing.T) {
	for _, good := range []string{"i", "0", "i-0123456789abcdef0", "node_1.example.org", "a.lock.b", "A-", strings.Repeat("a", 63)} {
		if err := ValidID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "_a", "a b", "a/b", "a..b", "a.lock", "a.", "ä", "a\n", "a:b", strings.Repeat("a", 64)} {
		if err := ValidID(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzMadeValid(f *testing.F) {
	for _, name := range []string{"web1", "web_1.example.org.", "größe", "..", "a.lock", "", strings.Repeat("a.", 60), "-"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		id := madeValid(name)
		if err := ValidID(id); err != nil {
			t.Errorf("%q became %q: %v", name, id, err)
		}
		if id != madeValid(name) || ValidID(name) == nil && id != name {
			t.Errorf("%q became %q", name, id)
		}
		if err := ValidID(withSuffix(id, fingerprint(name+"x"))); err != nil {
			t.Errorf("%q with a suffix: %v", name, err)
		}
	})
}

func FuzzReadInfo(f *testing.F) {
	f.Add("app1\n")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		put(t, dir, "nodepart.txt", text)
		info, err := ReadInfo(dir)
		if err != nil {
			return
		}
		if v := info.Nodepart; v == "" || v == "." || strings.ContainsAny(v, "/\x00\n") || strings.Contains(v, "..") {
			t.Errorf("%q was read as %q", text, v)
		}
	})
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
