package pack

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestDamage damages a pack and its index in each way that a disk, a copy or a person can.
func TestDamage(t *testing.T) {
	r := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	r.Commit("main", gittest.File("a", "a"), gittest.File("b", "b"))
	r.Git("repack", "-q", "-ad")
	find := func(end string) string {
		found, err := filepath.Glob(filepath.Join(r.Dir, "objects/pack/*"+end))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		testkit.Must(t, os.Chmod(found[0], 0o644))
		return found[0]
	}
	check := func(what string, whole, wrong bool) {
		t.Helper()
		if damage := Damage(r.Dir, whole, func() {}); (damage != "") != wrong {
			t.Errorf("%s, whole %v: %q", what, whole, damage)
		}
	}
	check("nothing", false, false)
	check("nothing", true, false)
	for end, kinds := range map[string]map[string]func([]byte) []byte{
		".idx": {
			"cut by a byte":       func(b []byte) []byte { return b[:len(b)-1] },
			"cut":                 func(b []byte) []byte { return b[:100] },
			"ten megabytes":       func(b []byte) []byte { return append(b, make([]byte, 10<<20)...) },
			"empty":               func([]byte) []byte { return nil },
			"something else":      func([]byte) []byte { return make([]byte, 5000) },
			"one bit, when whole": func(b []byte) []byte { b[1100] ^= 1; return b },
		},
		".pack": {
			"cut by a byte":       func(b []byte) []byte { return b[:len(b)-1] },
			"one bit, when whole": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		},
	} {
		path := find(end)
		good, err := os.ReadFile(path)
		testkit.Must(t, err)
		for what, spoil := range kinds {
			testkit.Must(t, os.WriteFile(path, spoil(append([]byte{}, good...)), 0o644))
			check(end+" "+what, false, what != "one bit, when whole")
			check(end+" "+what, true, true)
		}
		testkit.Must(t, os.WriteFile(path, good, 0o644))
	}
	index := find(".idx")
	testkit.Must(t, os.Remove(index))
	testkit.Must(t, os.Mkdir(index, 0o755))
	check("a folder", false, true)
}
