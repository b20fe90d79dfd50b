// Join makes one classic script of small modules: go run ./join SRC OUT.
//
// It follows the imports from main.mjs, puts each module before those that use it, and takes the words import and
// export away. So a name stands for one thing in all modules, and no module is loaded from a file:// address, which
// browsers refuse.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: join SRC OUT")
		os.Exit(2)
	}
	text, err := join(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "join:", err)
		os.Exit(1)
	}
}

var (
	importLine = regexp.MustCompile(`(?m)^import (\{[^}]*\}) from '\./([a-z]+\.mjs)';\n`)
	comment    = regexp.MustCompile(`(?m)^\s*//.*\n`)
	exported   = regexp.MustCompile(`(?m)^export `)
	blanks     = regexp.MustCompile(`\n{2,}`)
	trailing   = regexp.MustCompile(`(?m);\s+// .*$`)
	defined    = regexp.MustCompile(`(?m)^(?:export )?(?:async )?(?:function|class|const|let) ([A-Za-z_$]+)`)
)

// join returns the script. The error names the modules that define the same name, or use each other in a circle.
func join(src string) (string, error) {
	j := joiner{src: src, names: map[string]string{}}
	if err := j.add("main.mjs"); err != nil {
		return "", err
	}
	all, err := os.ReadDir(src)
	if err != nil {
		return "", fmt.Errorf("modules: %w", err)
	}
	for _, f := range all {
		if !slices.Contains(j.done, f.Name()) {
			return "", fmt.Errorf("%s: nothing imports it", f.Name())
		}
	}
	return "// Made of src by go generate. Do not edit.\n(() => {\n'use strict';\n" + j.text.String() + "})();\n", nil
}

type joiner struct {
	src        string
	open, done []string
	names      map[string]string // of the module that defines it
	text       strings.Builder
}

func (j *joiner) add(name string) error {
	if slices.Contains(j.done, name) {
		return nil
	}
	if slices.Contains(j.open, name) {
		return fmt.Errorf("a circle of imports: %s and %s", strings.Join(j.open, ", "), name)
	}
	j.open = append(j.open, name)
	data, err := os.ReadFile(filepath.Join(j.src, name))
	if err != nil {
		return err
	}
	text := string(data)
	for _, m := range importLine.FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], " as ") {
			return fmt.Errorf("%s renames what it imports: %s", name, m[1])
		}
		if err := j.add(m[2]); err != nil {
			return err
		}
	}
	for _, m := range defined.FindAllStringSubmatch(text, -1) {
		if other := j.names[m[1]]; other != "" {
			return fmt.Errorf("%s and %s both define %s", other, name, m[1])
		}
		j.names[m[1]] = name
	}
	text = importLine.ReplaceAllString(text, "")
	text = comment.ReplaceAllString(text, "")
	text = trailing.ReplaceAllString(text, ";")
	text = exported.ReplaceAllString(text, "")
	text = blanks.ReplaceAllString(text, "\n")
	j.text.WriteString("// " + name + "\n" + strings.TrimLeft(text, "\n"))
	j.open = j.open[:len(j.open)-1]
	j.done = append(j.done, name)
	return nil
}
