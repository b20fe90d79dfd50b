package config

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
	for _, l := range now(Default(Options{Root: true}).leaves()) {
		all = append(all, l.describe(""))
		var entry []leaf
		switch l.key {
		case "repos":
			entry = now(newRepo().leaves())
		case "chat":
			entry = newRoom().leaves()
		}
		for _, e := range entry {
			all = append(all, e.describe(l.key+"[]."))
		}
	}
	return all
}

func (l leaf) describe(prefix string) KeyDoc {
	d := KeyDoc{Key: prefix + l.key, Kind: l.is, Default: l.show(), Doc: l.doc, Example: l.example}
	if d.Kind == "" {
		d.Kind = string(l.kind)
	}
	if d.Default == `""` {
		d.Default = ""
	}
	if d.Example == "" {
		d.Example = d.Default
	}
	return d
}
