package gitstore

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// TestBranchOfFiles: of two writers that read the same, one is refused, and what each file holds is what the last push
// said.
func TestBranchOfFiles(t *testing.T) {
	_, server := gittest.Remote(t, gittest.ServerOptions{})
	store, err := remote.New(remote.Source{URL: server.URL + "/r.git"})
	testkit.Must(t, err)
	defer store.Close()
	const ref = "refs/heads/doctor"
	read := func() Branch {
		t.Helper()
		b, err := ReadBranch(t.Context(), store, ref, Branch{})
		testkit.Must(t, err)
		return b
	}
	empty := read()
	if _, err := empty.File("x"); !errors.Is(err, fs.ErrNotExist) || empty.Tip != "" {
		t.Errorf("%q, %v", empty.Tip, err)
	}
	one, err := empty.Push(t.Context(), store, map[string][]byte{"queue.json": []byte("1"), "log/2026/03/01.jsonl": []byte("a")}, "d1", "first", noon)
	testkit.Must(t, err)
	if _, err := empty.Push(t.Context(), store, map[string][]byte{"queue.json": []byte("2")}, "d2", "second", noon); err == nil {
		t.Error("a writer that read nothing moved the branch")
	}
	two, err := one.Push(t.Context(), store, map[string][]byte{"queue.json": []byte("3"), "log/2026/03/02.jsonl": []byte("b"), "log/2026/03/01.jsonl": nil}, "d1", "third", noon)
	testkit.Must(t, err)
	got := read()
	data, err := got.File("queue.json")
	if got.Tip != two.Tip || string(data) != "3" || err != nil || fmt.Sprint(got.Names("log")) != "[log/2026/03/02.jsonl]" {
		t.Errorf("%q %v, %v", data, got.Names("log"), err)
	}
	if same, err := ReadBranch(t.Context(), store, ref, got); err != nil || same.Tip != got.Tip {
		t.Errorf("%v", err)
	}
}
