package journal

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/testkit"
)

// TestALogNeedsNoReader: a pipe that is not read holds up nothing, its lines stay whole in the file, and a reader that
// comes back reads on.
func TestALogNeedsNoReader(t *testing.T) {
	r, w, err := os.Pipe()
	testkit.Must(t, err)
	defer w.Close()
	path := filepath.Join(t.TempDir(), "addagent.log")
	v := NewHumanLog(LogOptions{Path: path, Screen: Unblocked(w)})
	defer v.Close()
	v.Configure(config.Log{Level: "info", File: true, MaxSizeMB: 20, Keep: 1})
	const lines = 200
	for range lines {
		v.Say(News{At: time.Now(), Text: "long " + strings.Repeat("x", 9000)})
	}
	log, err := os.ReadFile(path)
	testkit.Must(t, err)
	if n := strings.Count(string(log), "long "); n != lines {
		t.Errorf("the file has %d lines, want %d", n, lines)
	}
	read := make(chan string)
	go func() {
		in := bufio.NewScanner(r)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			if strings.HasSuffix(in.Text(), "again") {
				read <- in.Text()
				return
			}
		}
		read <- ""
	}()
	for {
		v.Say(News{At: time.Now(), Text: "again"})
		select {
		case text := <-read:
			if text == "" {
				t.Error("nothing more arrives")
			}
			return
		default:
		}
	}
}
