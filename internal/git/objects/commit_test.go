package objects

import (
	"strings"
	"testing"
)

func FuzzCommit(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add([]byte("tree " + id + "\nparent " + id + "\nparent " + id + "\nauthor x\n\ntext"))
	f.Add([]byte("tree " + id))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCommit(data)
		if err == nil && len(c.Parents)*40 > len(data) {
			t.Fatal("more parents than bytes")
		}
	})
}
