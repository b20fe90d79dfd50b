package transport

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
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

// ReadSmall reads a file that should be small, a key or one of git's own; one that is not is an error and not a full
// memory.
func ReadSmall(path string) ([]byte, error) {
	// Do not block on a pipe in its place, which has no end to read to.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st syscall.Stat_t // and not f.Stat, which costs two allocations in every look
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	const limit = 1 << 20
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s is larger than a megabyte", path)
	}
	return b, err
}
