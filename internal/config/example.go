package config

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// Example returns a config file that sets nothing and shows every key of this version with its documentation and its
// default, or an example. Uncommented it works, but for the repository and files that it names.
func Example() []byte {
	var b bytes.Buffer
	b.WriteString(`# The configuration of addagent. Every key is optional. Commented lines show the default, or an example.
# An unknown key or a bad value is an error. This shows the values in force, and where they are set: addagent check
# Files in addagent.d/*.yaml beside this one are read after it, by name: they extend lists and replace single values.
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

// sectionDoc is the documentation of a section.
func sectionDoc(section string) string {
	return map[string]string{
		"beat":          "When a node looks, and for how long.",
		"repos[].auth":  "How this node authenticates. Each key is for https or for ssh; never write a secret here.",
		"network":       "How to reach servers.",
		"work":          "How to run scripts, and retry them.",
		"presence":      "Where this node shares its record with others, and reads theirs.",
		"presence.auth": "How this node authenticates there, as with repos.",
		"requests":      "Where others may ask this node to work again.",
		"requests.auth": "How this node authenticates there, as with repos.",
		"ec2":           "What to tell the cloud.",
		"wedged":        "What to do with a machine that stays wedged.",
		"metrics":       "Where to show metrics.",
		"log":           "What the agent logs.",
	}[section]
}

// KeyDoc is the documentation of a key.
type KeyDoc struct {
	Key     string // "beat.spread"; in the entry of a list "repos[].url"
	Kind    string // what values it takes: "a duration", "a path", "text or a list"
	Default string // as in the file; "" = none
	Doc     string // what it is for, in full sentences
	Example string // as in the file; the default where there is one
}

// Keys lists all keys of this version in the order of the documentation.
func Keys() []KeyDoc {
	var all []KeyDoc
	add := func(prefix string, l leaf) {
		standard := strings.TrimPrefix(l.show(), `""`)
		all = append(all, KeyDoc{Key: prefix + l.key, Kind: cmp.Or(l.is, string(l.kind())), Default: standard, Doc: l.doc, Example: cmp.Or(l.example, standard)})
	}
	for _, l := range now(Default(Options{Root: true}).leaves()) {
		add("", l)
		for _, e := range l.section.entry {
			add(l.key+"[].", e)
		}
	}
	return all
}
