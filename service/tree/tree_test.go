package tree

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/objects"
)

// fakeTree is a tree of files by their paths.
type fakeTree map[string]string

func (f fakeTree) ID(path string) (string, error) { return path, nil }

func (f fakeTree) Read(path string, _ int64) ([]byte, error) { return []byte(f[path]), nil }

func (f fakeTree) List(dir string) (all []objects.Entry, err error) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		rest, below := strings.CutPrefix(name, dir+"/")
		first, _, folder := strings.Cut(rest, "/")
		if below && !slices.ContainsFunc(all, func(e objects.Entry) bool { return e.Name == first }) {
			all = append(all, objects.Entry{Name: first, ID: path.Join(dir, first), Dir: folder})
		}
	}
	return all, nil
}

// TestMistakes: all of them at once, in all repositories and for all nodes, each once and at its place.
func TestMistakes(t *testing.T) {
	ops := fakeTree{
		"nodeservice/db/service.yaml":                       "prot: 1\ncheck: { exec: chek.sh }\n",
		"nodeservice/db/check.sh":                           "",
		"nodeservice/db/work.sh":                            "",
		"nodeservice/cache/service.yaml":                    "",
		"nodeservice/Web/service.yaml":                      "",
		"nodeservice/empty/README":                          "",
		"nodeservice/README":                                "",
		"nodework/services.yaml":                            "[ db, cahe ]",
		"nodework/part/db1/services.yaml":                   "[ db, nothing ]",
		"nodework/stacktype/s/services.yaml":                "db: yes",
		"nodework/stacktype/s/part/p/services.yaml":         "[ cache, cache ]",
		"nodework/stacktype/s/part/p/elsewhere/README":      "",
		"nodework/part/db1/work.d/other/with/services.yaml": "[ ignored ]",
	}
	app := fakeTree{"it/nodeservice/cache/service.yaml": "role: boss\n", "bin/nodework/common/services.yaml": "[ cahe ]"}
	wrong, err := Mistakes([]Repo{{"ops", ops, "nodework"}, {"app", app, "bin/nodework"}, {"no", fakeTree{}, ""}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range wrong {
		got = append(got, p.Repo+" "+p.Text)
	}
	want := []string{
		"ops nodeservice/Web: the name of a service is made of at most 63 small letters, digits and -",
		`ops nodeservice/db/service.yaml:1:1: unknown key "prot", did you mean port?`,
		`ops nodeservice/db/service.yaml:2:16: exec: there is no script "chek.sh" beside service.yaml, did you mean check.sh?`,
		"ops nodeservice/db: delete.sh is missing: it undoes work.sh",
		"ops nodeservice/empty: has no service.yaml",
		"ops nodework/stacktype/s/services.yaml:1:1: must be a list, as in [ db, cache ], not keys and values",
		"ops nodework/stacktype/s/part/p/services.yaml:1:10: cache is there twice",
		`app it/nodeservice/cache/service.yaml:1:1: role: is "boss", must be master, slave, standalone or na`,
		"app it/nodeservice/cache of app: ignored: ops describes the service cache, too, and comes first",
		"ops nodework/services.yaml:1:7: no repository describes cahe in nodeservice/cahe/, did you mean cache?",
		"ops nodework/part/db1/services.yaml:1:7: no repository describes nothing in nodeservice/nothing/",
		"app bin/nodework/common/services.yaml:1:3: no repository describes cahe in nodeservice/cahe/, did you mean cache?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
