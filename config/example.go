package config

import (
	"bytes"
	"fmt"
	"strings"
)

// Example returns a config file that sets nothing and shows every key of this version with its default, or an example
// where it has none, and what it is for. Uncommented it is a working example, but for what it names: a repository, files.
func Example() []byte {
	var b bytes.Buffer
	b.WriteString(`# The configuration of addagent. Every key is optional; what is commented out here shows the default, or an example.
# An unknown key or a bad value is an error. See what is in force, and from where, with: addagent check
# Files in addagent.d/*.yaml beside this one are read after it, by name: lists are appended, single values replace.
`)
	section := ""
	for _, k := range Keys() {
		path, first := strings.CutPrefix(k.Key, "repos[].")
		indent, dash := "", ""
		if first {
			indent = "    "
		}
		if k.Key == "repos[].name" { // begins the entry of the list
			indent, dash = "  ", "- "
		}
		if !first || k.Key == "repos" {
			if !strings.Contains(path, ".") {
				b.WriteByte('\n')
			}
		}
		parent, name := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			parent, name = path[:i], path[i+1:]
			if full := strings.TrimSuffix(k.Key, "."+name); full != section {
				section = full
				if !first {
					b.WriteByte('\n')
				}
				writeDoc(&b, indent, sectionDoc(full))
				fmt.Fprintf(&b, "%s#%s:\n", indent, parent)
			}
			indent += "  "
		}
		writeDoc(&b, indent, k.Doc)
		value := " " + k.Example
		if k.Key == "repos" {
			value = ""
		}
		fmt.Fprintf(&b, "%s#%s%s:%s\n", indent, dash, name, value)
	}
	return b.Bytes()
}

// writeDoc writes a comment, in lines that fit a terminal.
func writeDoc(b *bytes.Buffer, indent, doc string) {
	const width = 110
	line := ""
	for word := range strings.FieldsSeq(doc) {
		if line != "" && len(indent)+len(line)+len(word) > width {
			fmt.Fprintf(b, "%s#%s\n", indent, line)
			line = ""
		}
		line += " " + word
	}
	if line != "" {
		fmt.Fprintf(b, "%s#%s\n", indent, line)
	}
}

// sectionDoc is what is to be said of all keys of a section.
func sectionDoc(section string) string {
	return map[string]string{
		"beat":         "When a node looks, and for how long.",
		"repos[].auth": "How the servers know this node. Each key is for https or for ssh; a secret never stands here itself.",
		"network":      "How servers are reached.",
		"work":         "How scripts are run, and tried again.",
		"log":          "What the agent writes for people.",
	}[section]
}
