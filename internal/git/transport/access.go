package transport

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/addagent/addagent/internal/files"
)

// secret reads a small file that holds one line, or the variable of the environment that stands in its place as
// env:NAME.
func secret(key, path string) (string, error) {
	var b []byte
	if name, ok := strings.CutPrefix(path, "env:"); ok {
		b = []byte(os.Getenv(name))
	} else {
		var err error
		if b, err = ReadSmall(path); err != nil {
			return "", fmt.Errorf("auth %s: %w", key, err)
		}
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return "", fmt.Errorf("auth %s: %s is empty", key, path)
	}
	if bytes.ContainsAny(b, "\r\n\x00") {
		return "", fmt.Errorf("auth %s: %s holds more than one line", key, path)
	}
	return string(b), nil
}

// ReadSmall reads a file that should be small, a key or one of git's own.
func ReadSmall(path string) ([]byte, error) { return files.ReadSmall(path, 1<<20) }
