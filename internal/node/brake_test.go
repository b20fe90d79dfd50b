package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBrakes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if b, err := ReadBrakes(dir, now); err != nil || b.Disabled != nil || b.Wedged != nil || b.Repos != nil {
		t.Fatalf("without brakes: %+v %v", b, err)
	}
	rest := Brake{Reason: "migration of <db>", By: "ann", Since: now, Until: now.Add(time.Hour)}
	for _, path := range []string{DisabledPath(dir, ""), DisabledPath(dir, "ops"), WedgedPath(dir)} {
		if err := rest.Put(path); err != nil {
			t.Fatal(err)
		}
	}
	b, err := ReadBrakes(dir, now)
	if err != nil || b.Disabled == nil || *b.Disabled != rest || b.Repos["ops"] != rest || b.Wedged == nil {
		t.Fatalf("said: %+v %v", b, err)
	}
	if got, want := b.Disabled.String(), "migration of <db> (ann), until 2026-03-01 13:00:00Z"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if b, err := ReadBrakes(dir, now.Add(time.Hour)); err != nil || b.Disabled != nil || b.Wedged != nil || len(b.Repos) != 0 {
		t.Errorf("all are over: %+v %v", b, err)
	}
	if was, err := Lift(DisabledPath(dir, "")); !was || err != nil {
		t.Errorf("lift: %v %v", was, err)
	}
	if was, err := Lift(DisabledPath(dir, "")); was || err != nil {
		t.Errorf("lift again: %v %v", was, err)
	}
	if b, _ := ReadBrakes(dir, now); b.Disabled != nil || len(b.Repos) != 1 {
		t.Errorf("one was lifted: %+v", b)
	}
}

func TestABrakeThatCannotBeReadHolds(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"node.json": "{\"rea", "repo.ops.json": "{}", "repo.x.json": "[]", ".node.json123": "", "notes": "x"} {
		if err := os.MkdirAll(filepath.Join(dir, "disabled"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "disabled", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := ReadBrakes(dir, time.Now())
	if err != nil || b.Disabled == nil || len(b.Repos) != 2 {
		t.Fatalf("%+v %v", b, err)
	}
	if !strings.Contains(b.Disabled.Reason, filepath.Join(dir, "disabled", "node.json")) {
		t.Errorf("the reason names no file: %s", b.Disabled.Reason)
	}
}
