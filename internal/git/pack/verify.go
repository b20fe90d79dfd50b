package pack

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/files"
)

// Damage says which pack of a git directory is not what was written: cut, replaced, or with a bit that flipped on the
// disk; "" = nothing that could be seen. What is wrong with an object shows when it is read; what nothing reads shows
// here. The sizes of the indexes and whose they are take three short reads a pack; whole reads all bytes, and calls
// step meanwhile.
func Damage(gitDir string, whole bool, step func()) string {
	dir := filepath.Join(gitDir, "objects", "pack")
	if info, err := os.Stat(filepath.Join(gitDir, "objects/info/alternates")); err == nil && !info.Mode().IsRegular() {
		return "its alternates is not a file" // a pipe would be waited for
	}
	entries, _ := os.ReadDir(dir) // the caller knows when there is none
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".idx")
		if !ok {
			continue
		}
		p, err := openPack(filepath.Join(dir, name))
		if errors.As(err, new(*fs.PathError)) && !errors.Is(err, files.ErrIrregular) {
			continue // one that cannot be opened says nothing about what is in it
		}
		if err != nil || !p.indexed() {
			return "its " + e.Name() + " is not the index of its pack"
		}
		_ = p.close() // only read from
		for _, end := range []string{".idx", ".pack"} {
			if whole && !summed(filepath.Join(dir, name+end), step) {
				return "its " + name + end + " is not what was written"
			}
		}
	}
	return ""
}

// indexed says whether an index has the size that it says and names its pack.
func (p *Pack) indexed() bool {
	info, err := p.index.(*os.File).Stat()
	if err != nil {
		return true
	}
	count := int64(p.fanout[255])
	far := info.Size() - (8 + 4*256) - 28*count - 2*sha1.Size
	if far < 0 || far%8 != 0 || far > 8*count {
		return false
	}
	var named, sum [sha1.Size]byte
	_, lost := p.index.ReadAt(named[:], info.Size()-2*sha1.Size)
	_, cut := p.data.ReadAt(sum[:], p.end)
	return lost == nil && cut == nil && named == sum
}

// summed says whether a file ends in the checksum of what is before. A file that cannot be read counts as sound.
func summed(path string, step func()) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return true
	}
	hash, sum := sha1.New(), make([]byte, sha1.Size)
	for left := info.Size() - sha1.Size; left > 0; step() {
		n, err := io.CopyN(hash, f, min(left, 4<<20))
		if left -= n; err != nil {
			return true
		}
	}
	_, err = io.ReadFull(f, sum)
	return err == nil && bytes.Equal(sum, hash.Sum(nil))
}
