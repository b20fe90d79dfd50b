package transport

import (
	"fmt"
	"os"
	"strings"

	"github.com/addagent/addagent/internal/files"
)

// secretIn reads a small file that holds one line, or the variable of the environment that stands in its place as
// env:NAME.
func secretIn(key, path string) (string, error) {
	name, inEnv := strings.CutPrefix(path, "env:")
	value := strings.TrimSpace(os.Getenv(name))
	if !inEnv {
		var err error
		if value, err = files.ReadText(path, smallFile); err != nil {
			return "", fmt.Errorf("auth %s: %w", key, err)
		}
	}
	if value == "" {
		return "", fmt.Errorf("auth %s: %s is empty", key, path)
	}
	if strings.ContainsAny(value, "\r\n") {
		return "", fmt.Errorf("auth %s: %s holds more than one line", key, path)
	}
	return value, nil
}

const smallFile = 1 << 20

// ReadSmall reads a file that should be small, a key or one of git's own.
func ReadSmall(path string) ([]byte, error) { return files.ReadSmall(path, smallFile) }
