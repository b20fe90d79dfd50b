// Package verify finds packs that are not what was written: cut, replaced, or with a bit that flipped on the disk.
//
// What is wrong with an object shows when it is read; what nothing reads shows here. It knows no remote: what becomes
// of a damaged clone is the caller's.
package verify

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	indexHead = 8 + 256*4 // magic, version, and how many objects begin with each byte
	indexLine = 20 + 4 + 4
	indexTail = 2 * sha1.Size // of the pack, of the index
)

// Packs says what is wrong with the packs of a git directory; "" = nothing that could be seen. The sizes of the indexes
// and whose they are take three short reads a pack; whole reads all bytes, and calls step meanwhile.
func Packs(gitDir string, whole bool, step func()) (damage string) {
	dir := filepath.Join(gitDir, "objects", "pack")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "" // the caller knows
	}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".idx")
		if !ok {
			continue
		}
		if !e.Type().IsRegular() {
			return "its " + e.Name() + " is not a file"
		}
		index, pack := filepath.Join(dir, e.Name()), filepath.Join(dir, stem+".pack")
		if !sound(index, pack) {
			return "its " + e.Name() + " is not the index of its pack"
		}
		for _, path := range []string{index, pack} {
			if whole && !summed(path, step) {
				return "its " + filepath.Base(path) + " is not what was written"
			}
		}
	}
	return ""
}

// sound says whether an index has the size that it says and names its pack. A file that cannot be opened counts as
// sound: that says nothing about what is in it.
// Format: gitformat-pack(5), version 2, which git has written since 2008.
func sound(index, pack string) bool {
	f, err := os.Open(index)
	if err != nil {
		return true
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return true
	}
	head := make([]byte, indexHead)
	if _, err := f.ReadAt(head, 0); err != nil {
		return false
	}
	if string(head[:8]) != "\xfftOc\x00\x00\x00\x02" {
		return false
	}
	count := int64(binary.BigEndian.Uint32(head[indexHead-4:]))
	far := info.Size() - indexHead - count*indexLine - indexTail
	if far < 0 || far%8 != 0 || far > 8*count {
		return false
	}
	named, sum := make([]byte, sha1.Size), make([]byte, sha1.Size)
	if _, err := f.ReadAt(named, info.Size()-indexTail); err != nil {
		return false
	}
	p, err := os.Open(pack)
	if err != nil {
		return true
	}
	defer p.Close()
	if info, err = p.Stat(); err != nil {
		return true
	}
	_, err = p.ReadAt(sum, info.Size()-sha1.Size)
	return err == nil && bytes.Equal(named, sum)
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
