package transport

import (
	"os"
	"slices"
	"time"
)

// stamp tells whether a file is still the one it was. Of a file that is not there it is zero.
type stamp struct {
	size int64
	mode os.FileMode
	time time.Time
	info os.FileInfo // knows the inode
}

// stamps remembers how some files were, so that what was made of them is made anew when one changes.
type stamps []stamp

func stampsOf(paths []string) stamps {
	all := make(stamps, len(paths))
	for i, p := range paths {
		if info, err := os.Stat(p); err == nil {
			all[i] = stamp{info.Size(), info.Mode(), info.ModTime(), info}
		}
	}
	return all
}

func (s stamps) same(o stamps) bool {
	return slices.EqualFunc(s, o, func(a, b stamp) bool {
		return a.size == b.size && a.mode == b.mode && a.time.Equal(b.time) &&
			(a.info == nil || b.info == nil || os.SameFile(a.info, b.info))
	})
}
