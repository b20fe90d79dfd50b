package transport

import (
	"os"
	"slices"
)

// stamps remembers how some files were (nil: not there), so that what was made of them is made anew when one changes.
type stamps []os.FileInfo

func stampsOf(paths []string) stamps {
	all := make(stamps, len(paths))
	for i, p := range paths {
		if info, err := os.Stat(p); err == nil {
			all[i] = info
		}
	}
	return all
}

func (s stamps) same(o stamps) bool {
	return slices.EqualFunc(s, o, func(a, b os.FileInfo) bool {
		return a == nil && b == nil || a != nil && b != nil && os.SameFile(a, b) &&
			a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
	})
}
