package human

import (
	"fmt"
	"strings"
)

// Count is a number of things: 0 files, 1 file, 2 files.
func Count(n int, thing string) string {
	if n != 1 {
		thing = plural(thing)
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// plural knows the regular nouns.
func plural(noun string) string {
	if stem, ok := strings.CutSuffix(noun, "y"); ok && !strings.ContainsAny(stem[max(0, len(stem)-1):], "aeiou") {
		return stem + "ies"
	}
	for _, end := range []string{"s", "x", "ch", "sh"} {
		if strings.HasSuffix(noun, end) {
			return noun + "es"
		}
	}
	return noun + "s"
}

// Size is a number of bytes that were sent or received: 512 bytes, 41 KB, 12 MB.
func Size(n int64) string {
	switch {
	case n < 10_000:
		return Count(int(n), "byte")
	case n < 10_000_000:
		return fmt.Sprintf("%d KB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// BinarySize is a number of bytes of what is measured in powers of two: memory, a disk, a limit.
func BinarySize(n int64) string {
	switch {
	case n < 1<<20:
		return fmt.Sprintf("%d KB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d GB", n>>30)
}

// ID is a commit id as git abbreviates it, in seven digits; "nothing" for none.
func ID(id string) string {
	if id == "" {
		return "nothing"
	}
	return id[:min(7, len(id))]
}
