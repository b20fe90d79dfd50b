package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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

// refuseEmpty refuses flags and arguments that are empty, as an unset variable of a script is: the command would act on
// another node, or on all of them.
func refuseEmpty(c *cobra.Command, args []string) (err error) {
	if c.DisableFlagParsing {
		return nil // the completion of a word that is not begun yet
	}
	empty := func(s string) bool { return strings.TrimSpace(s) == "" }
	c.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if len(values) == 0 || slices.ContainsFunc(values, empty) {
			err = Misuse(fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name))
		}
	})
	if err == nil && slices.ContainsFunc(args, empty) {
		err = Misuse(fmt.Errorf("an argument is empty: the usage is %s", c.UseLine()))
	}
	return err
}

// flagError words a value that a flag does not take; the library would show Go's own words.
func flagError(_ *cobra.Command, err error) error {
	wants := map[string]string{"bool": "true or false", "int": "a whole number", "duration": "a duration such as 90s or 1h30m"}
	if bad := (*pflag.InvalidValueError)(nil); errors.As(err, &bad) && wants[bad.GetFlag().Value.Type()] != "" {
		err = fmt.Errorf("--%s %s: give it %s", bad.GetFlag().Name, bad.GetValue(), wants[bad.GetFlag().Value.Type()])
	}
	return Misuse(err)
}

// ownWords names the usage of a command that does not take its arguments; an error of the command itself stays.
func ownWords(takes cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if takes == nil || takes(c, args) == nil {
			return nil
		}
		if own := (*Exit)(nil); errors.As(takes(c, args), &own) {
			return own
		}
		return Misuse(fmt.Errorf("wrong arguments: the usage is %s", c.UseLine()))
	}
}
