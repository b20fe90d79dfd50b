package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestModes keeps the table of docs/security.md: each file and folder that a node makes, with its mode. UPDATE=1 writes
// it. A real node runs init and work, with presence, a room and metrics; then a person brakes it in each way.
func TestModes(t *testing.T) {
	testkit.Long(t)
	dir, root := t.TempDir(), t.TempDir()
	gittest.New(t, filepath.Join(root, "ops.git")).Commit("main", gittest.File("nodework/common/work.sh", "echo worked\n"),
		gittest.File("nodework/part/app1/work.sh", "exit 1\n"), gittest.File("nodeinit/common/init.sh", "echo made\n"))
	gittest.New(t, filepath.Join(root, "presence.git"))
	s := gittest.Serve(t, root, withToken())
	room, _ := hipchat(t)
	for name, text := range map[string]string{"token": gitSecret, "room": "hipchat://" + roomSecret + "@" + room + "/room1?scheme=http"} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
	}
	config := filepath.Join(dir, "addagent.yaml")
	testkit.Must(t, os.WriteFile(config, []byte(strings.ReplaceAll(`home: DIR/home
run_dir: DIR/run_dir
state_dir: DIR/state_dir
beat: { schedule: "@every 1s", spread: 0s }
repos: [ { name: ops, url: `+s.URL+`/ops.git, auth: { token_file: DIR/token } } ]
presence: { url: `+s.URL+`/presence.git, auth: { token_file: DIR/token }, read: 1s }
chat: [ { url_file: DIR/room } ]
metrics: { textfile: DIR/home/metrics.prom }
`, "DIR", dir)), 0o600))
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "home"), 0o755))
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "home", "nodeinfo"), 0o755))
	for name, value := range map[string]string{"initgitrepo": "ops", "nodepart": "app1"} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, "home", "nodeinfo", name+".txt"), []byte(value+"\n"), 0o644))
	}
	before := modes(t, dir)

	self, err := os.Executable()
	testkit.Must(t, err)
	path := filepath.Join(t.TempDir(), "addagent")
	testkit.Must(t, os.Symlink(self, path)) // as testscript does: this binary is addagent when it is called so
	command := func(args ...string) *exec.Cmd {
		c := exec.Command("sh", append([]string{"-c", `umask 022; exec "$0" "$@" --config ` + config, path}, args...)...)
		c.Env = append(os.Environ(), "HOME="+dir)
		return c
	}
	agent := command("run")
	testkit.Must(t, agent.Start())
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	defer func() {
		_ = agent.Process.Signal(syscall.SIGTERM)
		<-ended
	}()
	for _, made := range []string{"home/log/work/ops_part.app1/failed.log", "home/nodeinfo/nodes.json", "home/nodeinfo/presence.json",
		"home/metrics.prom", "state_dir/fleet/refs.json", "state_dir/presence.json", "state_dir/chat/*/told.json", "state_dir/config/*.json"} {
		testkit.Eventually(t, made, func() bool { all, _ := filepath.Glob(filepath.Join(dir, made)); return len(all) > 0 })
	}
	for _, args := range [][]string{{"disable", "--reason", "test"}, {"disable", "--reason", "test", "ops"}, {"wedge", "test"}} {
		if out, err := command(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	testkit.Eventually(t, "the brake", func() bool {
		state, _ := os.ReadFile(filepath.Join(dir, "home/nodeinfo/state.txt"))
		return string(state) == "disabled\n"
	})
	made := modes(t, dir)
	var b strings.Builder
	b.WriteString("| path | mode |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if made[name] != before[name] {
			fmt.Fprintf(&b, "| `%s` | `%s` |\n", name, made[name])
		}
		if made[name][0] != 'L' && strings.Contains(made[name][4:10], "w") {
			t.Errorf("others can change %s: %s", name, made[name])
		}
	}
	testkit.Section(t, "../../docs/security.md", "modes", b.String())
}

// modes has the mode of each file and folder below dir. What differs from node to node in a name is a word.
func modes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	words := [][2]string{{`[0-9]{8}-[0-9]{6}[^/]*\.log`, "TIME.log"}, {`chat/[0-9a-f]+`, "chat/ID"}, {`config-[0-9a-f]+`, "config-ID"}}
	testkit.Must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return nil // it went meanwhile
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		name := strings.TrimPrefix(path, dir+"/")
		if strings.Contains(name, "/.git/") || strings.Contains(name, "/spool/") {
			return nil // these come and go
		}
		for _, w := range words {
			name = regexp.MustCompile(w[0]).ReplaceAllString(name, w[1])
		}
		mode := info.Mode().String()
		if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != os.Getuid() {
			mode += fmt.Sprintf(" of account %d", st.Uid)
		}
		all[name] = mode
		return nil
	}))
	return all
}
