package run

import (
	"bytes"
	"fmt"
	"slices"
)

// changedList is the file that ADD_CHANGED_FILE names: a path a line. A path with control characters, a double quote or
// a backslash in it is quoted as git does with core.quotePath=false: in double quotes, with \n, \t, \", \\ and the
// like, else \ooo in octal. All others stand as they are.
func changedList(paths []string) []byte {
	var b bytes.Buffer
	for _, p := range paths {
		b.WriteString(gitQuoted(p))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func gitQuoted(path string) string {
	special := func(c byte) bool { return c < ' ' || c == 0x7f || c == '"' || c == '\\' }
	if !slices.ContainsFunc([]byte(path), special) {
		return path
	}
	names := map[byte]byte{'\a': 'a', '\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}
	quoted := []byte{'"'}
	for _, c := range []byte(path) {
		switch {
		case !special(c):
			quoted = append(quoted, c)
		case names[c] != 0:
			quoted = append(quoted, '\\', names[c])
		default:
			quoted = fmt.Appendf(quoted, "\\%03o", c)
		}
	}
	return string(append(quoted, '"'))
}
