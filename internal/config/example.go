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
	all := Keys()
	open := "" // the section of the key before
	for i, k := range all {
		parts := strings.Split(k.Key, ".")
		parents, name := parts[:len(parts)-1], parts[len(parts)-1]
		indent, dash := "", ""
		if len(parents) == 0 {
			b.WriteByte('\n')
		}
		for i, p := range parents {
			if strings.HasSuffix(p, "[]") { // of an entry of the list
				indent += "    "
				continue
			}
			section := strings.Join(parents[:i+1], ".")
			if section != open && !strings.HasPrefix(open, section+".") {
				if i == 0 {
					b.WriteByte('\n')
				}
				writeDoc(&b, indent, sectionDoc(section))
				fmt.Fprintf(&b, "%s#%s:\n", indent, p)
			}
			indent += "  "
		}
		open = strings.Join(parents, ".")
		if i > 0 && open == all[i-1].Key+"[]" { // begins the entry
			indent, dash = strings.TrimSuffix(indent, "  "), "- "
		}
		writeDoc(&b, indent, k.Doc)
		value := " " + k.Example
		if i+1 < len(all) && strings.HasPrefix(all[i+1].Key, k.Key+"[].") {
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
		"beat":          "When a node looks, and for how long.",
		"repos[].auth":  "How the servers know this node. Each key is for https or for ssh; a secret never stands here itself.",
		"network":       "How servers are reached.",
		"work":          "How scripts are run, and tried again.",
		"presence":      "Where this node tells its record to others, and reads theirs.",
		"presence.auth": "How its server knows this node, as with repos.",
		"ec2":           "What is told to the cloud.",
		"wedged":        "What becomes of a machine that stays wedged.",
		"metrics":       "Numbers for those who collect them.",
		"log":           "What the agent writes for people.",
	}[section]
}
