package chatroom

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRoomCheck understands an address, from wherever it comes, and says nothing in the room.
func TestRoomCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "room")
	if err := os.WriteFile(file, []byte("hipchat://hush@127.0.0.1:1/room\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		room Room
		says string // "" = it is understood
	}{
		"url":         {Room{URL: "hipchat://hush@127.0.0.1:1/room"}, ""},
		"file":        {Room{URLFile: file}, ""},
		"no file":     {Room{URLFile: file + "x"}, "no such file"},
		"no variable": {Room{URLFile: "env:ADD_SECRET_ROOM", Env: func(string) string { return "" }}, "ADD_SECRET_ROOM is not set"},
		"no address":  {Room{URL: "hipchat://hush"}, "cannot be parsed"},
	} {
		err := c.room.Check()
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
