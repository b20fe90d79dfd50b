package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	dep := &debug.Module{Path: "example.org/a", Version: "v1.2.3", Sum: "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
	old := &debug.Module{Path: "example.org/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/c", Version: "v2.0.0"}}
	two := []*debug.BuildInfo{{GoVersion: "go1.26.8", Deps: []*debug.Module{dep, old}}, {GoVersion: "go1.26.8", Deps: []*debug.Module{dep}}}
	d := describe("1.0", time.Unix(0, 0).UTC(), two)
	packages := d["packages"].([]object)
	var names []string
	for _, p := range packages {
		names = append(names, fmt.Sprintf("%s@%s", p["name"], p["versionInfo"]))
	}
	if got := strings.Join(names, " "); got != "addagent@1.0 stdlib@1.26.8 example.org/a@v1.2.3 example.org/c@v2.0.0" {
		t.Errorf("packages: %s", got)
	}
	if c := packages[2]["checksums"].([]object); len(c) != 1 || c[0]["checksumValue"] != strings.Repeat("00", 32) {
		t.Errorf("checksum of a module: %v", c)
	}
	if got := len(d["relationships"].([]object)); got != len(packages) {
		t.Errorf("%d relationships for %d packages", got, len(packages))
	}
}

// TestOfThisProgram describes the test binary itself, twice.
func TestOfThisProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{"-version", "1.0", self}, "1700000000", b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two runs differ")
	}
	var d struct{ CreationInfo struct{ Created string } }
	if err := json.Unmarshal(first.Bytes(), &d); err != nil || d.CreationInfo.Created != "2023-11-14T22:13:20Z" {
		t.Errorf("%v, created %s", err, d.CreationInfo.Created)
	}
	for _, wrong := range [][]string{{}, {"/dev/null"}} {
		if err := run(wrong, "1700000000", &first); err == nil {
			t.Errorf("run %q: no error", wrong)
		}
	}
	if err := run([]string{self}, "", &first); err == nil {
		t.Error("no SOURCE_DATE_EPOCH: no error")
	}
}
