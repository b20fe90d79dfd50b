package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errUnsafe says that a tree holds a path that must never be written. The path is named in the error.
var errUnsafe = errors.New("unsafe path")

// tempTop is the agent's own folder at the top of a work tree.
const tempTop = ".temp"

// maxName is the longest name of a file that Linux filesystems take, in bytes.
const maxName = 255

// checkFolder looks at the lines of one tree object before anything of it is written. git refuses the same names (and
// would refuse to send most of them), but a server is not always git.
func checkFolder(folder []byte, lines treeLines) error {
	var last, e treeEntry
	var files [][]byte // names that a later folder could repeat: each begins with the one before
	for {
		ok, err := lines.next(&e)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", showPath(folder), errUnsafe, err)
		}
		if !ok {
			return nil
		}
		why := checkName(e.name, len(folder) == 0)
		if why == "" && last.name != nil && compareNames(&last, &e) >= 0 {
			if why = "is out of order"; bytes.Equal(last.name, e.name) {
				why = "is there twice"
			}
		}
		for len(files) > 0 && !bytes.HasPrefix(e.name, files[len(files)-1]) {
			files = files[:len(files)-1]
		}
		if n := len(files); why == "" && e.folder() && n > 0 && len(files[n-1]) == len(e.name) {
			why = "is there twice"
		}
		if e.mode != modeFolder {
			files = append(files, e.name)
		}
		if why != "" {
			return fmt.Errorf("%s %s: %w", showPath(append(bytes.Clone(folder), e.name...)), why, errUnsafe)
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
	case top && string(name) == tempTop:
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

// showPath is a path for people: as it is when it prints, else quoted.
func showPath(path []byte) string {
	s := string(path)
	if s == "" {
		return "the root folder"
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
