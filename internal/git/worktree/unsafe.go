package worktree

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/git/objects"
)

// OwnFolder is the agent's own folder at the top of a work tree.
const OwnFolder = ".temp"

// maxName is the longest name of a file that Linux filesystems take, in bytes.
const maxName = 255

// checkFolder looks at the lines of one tree object before anything of it is written. git refuses the same names (and
// would refuse to send most of them), but a server is not always git.
func checkFolder(folder []byte, lines objects.Lines) error {
	var last, e objects.Line
	var files [][]byte // names that a later folder could repeat: each begins with the one before
	for {
		ok, err := lines.Next(&e)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", objects.QuotePath(folder), objects.ErrUnsafe, err)
		}
		if !ok {
			return nil
		}
		why := checkName(e.Name, len(folder) == 0)
		if why == "" && last.Name != nil && objects.CompareNames(&last, &e) >= 0 {
			if why = "is out of order"; bytes.Equal(last.Name, e.Name) {
				why = "is there twice"
			}
		}
		for len(files) > 0 && !bytes.HasPrefix(e.Name, files[len(files)-1]) {
			files = files[:len(files)-1]
		}
		if n := len(files); why == "" && e.Folder() && n > 0 && len(files[n-1]) == len(e.Name) {
			why = "is there twice"
		}
		if e.Mode != objects.ModeFolder {
			files = append(files, e.Name)
		}
		if why != "" {
			return fmt.Errorf("%s %s: %w", objects.QuotePath(append(bytes.Clone(folder), e.Name...)), why, objects.ErrUnsafe)
		}
		last = e
	}
}

// checkName says what is wrong with one name of a path, or nothing.
func checkName(name []byte, top bool) string {
	switch {
	case len(name) == 0:
		return "has an empty name"
	case len(name) > maxName:
		return "has a name of more than 255 bytes"
	case name[0] != '.' && name[0] != 'g' && name[0] != 'G' && bytes.IndexByte(name, '/') < 0 && bytes.IndexByte(name, '\\') < 0 && name[0] < utf8.RuneSelf:
		return "" // nearly all of them
	case string(name) == "." || string(name) == "..":
		return "is no name"
	case bytes.IndexByte(name, '/') >= 0:
		return "has a slash in a name"
	case top && string(name) == OwnFolder:
		return "belongs to the agent"
	}
	// On some filesystems a backslash separates names; git on Linux allows it and looks at the parts.
	for part := range strings.SplitSeq(string(name), `\`) {
		if dotGit(part) {
			return "is a spelling of .git"
		}
	}
	return ""
}

// dotGit reports whether some filesystem would take a name for ".git": by case, by trailing dots and spaces or a
// stream name (NTFS), by its short name (FAT), or by ignoring some code points (HFS+).
func dotGit(name string) bool {
	plain, _, _ := strings.Cut(strings.ToLower(name), ":")
	plain = strings.TrimRight(plain, ". ")
	if plain == ".git" || plain == "git~1" {
		return true
	}
	visible := strings.Map(func(r rune) rune {
		switch {
		case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, name)
	return strings.EqualFold(visible, ".git")
}
