package run

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

const (
	sha1 = "1111111111111111111111111111111111111111"
	sha2 = "2222222222222222222222222222222222222222"
	sha3 = "3333333333333333333333333333333333333333"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func write(t testing.TB, path, content string) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	testkit.Must(t, os.WriteFile(path, []byte(content), 0o644))
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	testkit.Must(t, err)
	return string(data)
}

// listing is every file of a folder with its content.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name()] = read(t, filepath.Join(dir, e.Name()))
	}
	return all
}

// waited waits for the end of a run, no longer than ctx.
func waited(ctx context.Context, run *Shim) error {
	ended := make(chan struct{})
	go func() {
		run.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
