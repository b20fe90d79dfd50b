package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

func TestJoin(t *testing.T) {
	for name, one := range map[string]struct {
		modules map[string]string
		want    string // or the error's words
		fails   bool
	}{
		"used before": {map[string]string{
			"main.mjs": "// Why.\nimport { a } from './a.mjs';\n\na(1);\n",
			"a.mjs":    "export function a(x) {\n  return x; // why\n}\n",
		}, "// a.mjs\nfunction a(x) {\n  return x;\n}\n// main.mjs\na(1);\n", false},
		"same name": {map[string]string{
			"main.mjs": "import { a } from './a.mjs';\nconst b = a;\n",
			"a.mjs":    "export const a = 1;\nconst b = 2;\n",
		}, "both define b", true},
		"circle": {map[string]string{
			"main.mjs": "import { a } from './a.mjs';\n",
			"a.mjs":    "import { m } from './main.mjs';\n",
		}, "circle", true},
		"not used":  {map[string]string{"main.mjs": "", "b.mjs": ""}, "nothing imports it", true},
		"not there": {map[string]string{"main.mjs": "import { a } from './a.mjs';\n"}, "a.mjs", true},
		"renamed":   {map[string]string{"main.mjs": "import { a as b } from './a.mjs';\n", "a.mjs": "export const a = 1;\n"}, "renames", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range one.modules {
				testkit.Must(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
			}
			got, err := join(dir)
			switch {
			case one.fails && (err == nil || !strings.Contains(err.Error(), one.want)):
				t.Errorf("error %v, want %q", err, one.want)
			case !one.fails && (err != nil || !strings.Contains(got, one.want)):
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
