package cli

// Flags are the flags that every command has.
type Flags struct {
	Config string
	Home   string
	JSON   bool
}

// Suffix are those that a command printed for people must repeat, so that it
// speaks of the same node.
func (g *Flags) Suffix() string {
	text := ""
	if g.Config != "" {
		text += " --config " + g.Config
	}
	if g.Home != "" {
		text += " --home " + g.Home
	}
	return text
}
