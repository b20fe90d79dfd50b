//go:build linux

package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsComeLater begins on a new machine whose config names a password for presence and an address of a room in
// files that are not there yet; they come later.
//
// INVARIANT (spec 7): who is told is no reason not to work: the agent starts, works, and says once what is missing;
// check calls it a mistake; when the secrets are there everybody hears how the node is.
func TestSecretsComeLater(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{})
	p := newPlaces(t, filepath.Join(g.dir, "store"))
	room, password := filepath.Join(g.dir, "room-url"), filepath.Join(g.dir, "presence-token")
	g.configure(p.presence(g, "") + fmt.Sprintf("chat: [ { url_file: %q, only: all } ]\n", room))
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	g.push("ops", script("nodework/work.sh", "true\n"))
	g.start()
	g.settle("ops", "root")
	for _, missing := range []string{room, password} {
		g.until("the trouble to be said", func() bool { return strings.Contains(g.log(), missing+": no such file or directory") })
		if code, _, errs := g.run("check"); code != 2 || !strings.Contains(errs, missing+" does not exist: create it, or correct the path") {
			t.Errorf("check ends with %d and prints\n%s", code, errs)
		}
	}
	g.stop()
	write(t, password, presenceToken+"\n")
	write(t, room, fmt.Sprintf("hipchat://%s@%s/ops?scheme=http\n", roomToken, p.roomWay.addr))
	g.start()
	p.hear(g, "idle", "presence", "chat")
	g.stop()
	g.sound("ops")
	p.noSecrets(g)
}
