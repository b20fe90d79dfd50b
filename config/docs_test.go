package config

import (
	"bytes"
	"os"
	"testing"
)

// TestDocsHaveTheExample keeps docs/addagent.yaml, which people read and copy, the same as the example in the code.
// UPDATE=1 writes it there.
func TestDocsHaveTheExample(t *testing.T) {
	const path = "../docs/addagent.yaml"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, Example(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, Example()) {
		t.Errorf("%s is old: UPDATE=1 go test -run TestDocsHaveTheExample ./config", path)
	}
}
