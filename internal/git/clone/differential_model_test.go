package clone

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// Names that have gone wrong in one tool or another; several sort between a file and a folder of one name.
var differentialNames = []string{"a", "a.c", "a-b", "a0", "ab", "b", "dir", "dir.d", "x", "sp ace", "tab\there", "new\nline", `quo"te`, "'single'",
	`back\slash`, "-dash", "--", "caf\xe9", "café", "日本語", "\U0001f600", "*", "?", "[x]", "$HOME", "#", "~", ".hidden", ".gitignore",
	"git", ".gitkeep", "CON", "trailing.", "trailing ", strings.Repeat("long", 50), "\x01\x7f"}

func (d *duel) path() string {
	if d.settled {
		return []string{"", "a/", "a/b/", "a-b/", "a.d/x/"}[d.r.IntN(5)] + "f" + differentialNames[d.r.IntN(len(differentialNames))]
	}
	depth := 1 + d.r.IntN(4)
	if d.r.IntN(20) == 0 {
		depth = 15
	}
	var parts []string
	for range depth {
		parts = append(parts, differentialNames[d.r.IntN(len(differentialNames))])
	}
	return strings.Join(parts, "/")
}

func (d *duel) some(files map[string]planned) string {
	if len(files) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(files))[d.r.IntN(len(files))]
}

func (d *duel) change(files map[string]planned) {
	old := d.some(files)
	switch k := d.r.IntN(16); {
	case d.settled && (k == 7 || k == 10 || k == 11):
		set(files, d.path(), d.anything())
	case k < 5 || old == "":
		set(files, d.path(), d.anything())
	case k < 7:
		delete(files, old)
	case k == 7: // a whole folder
		folder, _, _ := strings.Cut(old, "/")
		remove(files, folder)
	case k == 8: // rename
		f := files[old]
		delete(files, old)
		set(files, d.path(), f)
	case k == 9:
		f := files[old]
		if f.mode = "100755"; files[old].mode == "100755" {
			f.mode = "100644"
		}
		if files[old].mode != "120000" {
			files[old] = f
		}
	case k == 10: // file to folder
		f := files[old]
		delete(files, old)
		set(files, old+"/"+differentialNames[d.r.IntN(8)], f)
	case k == 11: // folder to file
		if i := strings.LastIndexByte(old, '/'); i > 0 {
			set(files, old[:i], d.anything())
		}
	case k == 12: // link to file, file to link
		files[old] = d.anything()
	default: // an edit
		f := files[old]
		if f.mode == "120000" {
			f.text = "x" + f.text[1:]
		} else {
			cut := d.r.IntN(len(f.text) + 1)
			f.text = f.text[:cut] + d.text(20) + f.text[cut:]
		}
		files[old] = f
	}
}

// set puts a file into the model, with git's rule that a name is one thing only.
func set(files map[string]planned, path string, f planned) {
	remove(files, path)
	for i := range path {
		if path[i] == '/' {
			delete(files, path[:i])
		}
	}
	files[path] = f
}

func remove(files map[string]planned, path string) {
	delete(files, path)
	maps.DeleteFunc(files, func(name string, _ planned) bool { return strings.HasPrefix(name, path+"/") })
}

func (d *duel) anything() planned {
	switch k := d.r.IntN(24); {
	case k < 3:
		return planned{[]string{"a", "dir/b", "../outside", "/etc/passwd", "nowhere", strings.Repeat("l/", 100)}[d.r.IntN(6)], "120000"}
	case k < 6:
		return planned{"#!/bin/sh\n" + d.text(40), "100755"}
	case k == 6:
		return planned{"", "100644"}
	case k == 7 && d.r.IntN(3) == 0: // too big to be held: streamed
		return planned{strings.Repeat(d.text(1000), 1200), "100644"}
	case k == 8:
		b := make([]byte, d.r.IntN(5000))
		for i := range b {
			b[i] = byte(d.r.Uint32())
		}
		return planned{string(b), "100644"}
	case k == 9:
		return planned{"*.o\n*\n!*/\n", "100644"}
	}
	return planned{d.text(400), "100644"}
}

func (d *duel) text(n int) string {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%x\n", d.r.Uint32())
	}
	return b.String()
}

// meddle does one thing to our clone that a person might do, and reports whether it was an edit of a tracked file.
func (d *duel) meddle() bool {
	files := d.now().files
	name := d.some(files)
	if name == "" || d.r.IntN(3) == 0 {
		d.leave(d.path())
		return false
	}
	path := filepath.Join(d.dir, name)
	info, err := os.Lstat(path)
	if err != nil || info.IsDir() {
		return false // edited away by an earlier one
	}
	folder, rest, deep := strings.Cut(name, "/")
	deep = deep && (!d.settled || d.r.IntN(8) == 0)
	switch k := d.r.IntN(10); {
	case k < 3 && info.Mode().IsRegular():
		d.tell("  edit %q", name)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		testkit.Must(d.t, err)
		_, err = f.WriteString("edited")
		testkit.Must(d.t, err)
		testkit.Must(d.t, f.Close())
	case k == 3:
		d.tell("  delete %q", name)
		testkit.Must(d.t, os.Remove(path))
	case k == 4 && info.Mode().IsRegular():
		d.tell("  chmod %q", name)
		testkit.Must(d.t, os.Chmod(path, info.Mode().Perm()^0o111))
	case k == 5:
		d.tell("  link in place of %q", name)
		testkit.Must(d.t, os.Remove(path))
		testkit.Must(d.t, os.Symlink("person", path))
	case k == 6 && info.Mode().IsRegular():
		d.tell("  touch %q", name)
		testkit.Must(d.t, os.Chtimes(path, time.Unix(1_500_000_000, 0), time.Unix(1_500_000_000, 0)))
		return false
	case k == 7 && deep && rest != "":
		if !d.clearFolder(folder) {
			return false
		}
		d.tell("  link in place of folder %q", folder)
		to := d.t.TempDir()
		testkit.Must(d.t, os.Symlink(to, filepath.Join(d.dir, folder)))
		d.mine[to] = folder
	case k == 8 && deep:
		if !d.clearFolder(folder) {
			return false
		}
		d.leave(folder)
	case k == 9:
		d.tell("  folder in place of %q", name)
		testkit.Must(d.t, os.Remove(path))
		d.leave(name + "/inside")
	default:
		return false
	}
	return true
}

// clearFolder deletes a folder with all that is tracked in it, unless a person's file is there.
func (d *duel) clearFolder(folder string) bool {
	for _, s := range d.sentinels() {
		if strings.HasPrefix(s, folder+"/") || s == folder {
			return false
		}
	}
	d.tell("  delete folder %q", folder)
	testkit.Must(d.t, os.RemoveAll(filepath.Join(d.dir, folder)))
	return true
}

// leave makes a file of a person's own, if nothing is there and no link is on the way.
func (d *duel) leave(name string) {
	path := filepath.Join(d.dir, name)
	for at := filepath.Dir(path); len(at) > len(d.dir); at = filepath.Dir(at) {
		if info, err := os.Lstat(at); err == nil && !info.IsDir() {
			return
		}
	}
	if _, err := os.Lstat(path); err == nil || len(path) > 3000 {
		return
	}
	testkit.Must(d.t, os.MkdirAll(filepath.Dir(path), 0o755))
	d.serial++
	text := fmt.Sprintf("made by a person, %d\n", d.serial)
	d.tell("  person's file %q", name)
	testkit.Must(d.t, os.WriteFile(path, []byte(text), 0o644))
	d.mine[text] = name
}
