package transport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("ADD_SECRET_GIT", " hunter2 \n")
	t.Setenv("ADD_SECRET_TWO", "hunter2\nhunter3")
	for _, c := range []struct{ path, want, wrong string }{
		{file("good", "hunter2\n"), "hunter2", ""},
		{"env:ADD_SECRET_GIT", "hunter2", ""},
		{file("notepad", "\ufeffhunter2\r\n"), "hunter2", ""},
		{file("utf-16", "\xff\xfeh\x00u\x00n\x00t\x00e\x00r\x002\x00"), "", "UTF-8"},
		{file("mark alone", "\ufeff\r\n"), "", "is empty"},
		{file("empty", "\n"), "", "is empty"},
		{"env:ADD_SECRET_NONE", "", "env:ADD_SECRET_NONE is empty"},
		{file("two", "hunter2\nhunter3\n"), "", "more than one line"},
		{"env:ADD_SECRET_TWO", "", "more than one line"},
		{dir, "", "is a folder"},
	} {
		got, err := secretIn("token_file", c.path)
		if got != c.want || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %q %v, want %q %q", c.path, got, err, c.want, c.wrong)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: the error holds the secret: %v", c.path, err)
		}
	}
}

func TestComplaintsOfAHelperShowNoSecret(t *testing.T) {
	for said, want := range map[string]string{
		"no network\n":                             "no network",
		"oops password=hunter2\nbye":               "oops password=*** bye",
		"Authorization: Bearer hunter2":            "Authorization: ***",
		`{"token": "hunter2", "a": 1}`:             `{"token": ***`,
		"+ echo hunter2\nvault: sealed\n":          "vault: sealed",
		"API_KEY=hunter2 refused, SECRET: hunter2": "API_KEY=***",
	} {
		if got := untold(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
