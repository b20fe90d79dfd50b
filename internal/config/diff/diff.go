// Package diff words what is new in a config, for the log: which keys have another value, and never which secret.
package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/config"
)

// Words names what differs, for people: keys by their value, repositories and rooms that came or went by their URL.
func Words(before, after *config.Config) string {
	old := map[string]config.Resolved{}
	for _, l := range before.Lines() {
		old[l.Key] = l
	}
	var words []string
	for _, l := range after.Lines() {
		was, known := old[l.Key]
		delete(old, l.Key)
		switch entry, key, inList := strings.Cut(l.Key, "]."); {
		case !known && inList && isURL(key, l.Value):
			words = append(words, fmt.Sprintf("%s] added: %s", entry, l.Value))
		case strings.HasPrefix(l.Key, "work.env."): // its value is private
			if !known || !l.Same(was) {
				words = append(words, l.Key+" changed")
			}
		case known && was.Value == l.Value && !l.Same(was):
			words = append(words, l.Key+" changed")
		case !known && !inList:
			words = append(words, fmt.Sprintf("%s is %s", l.Key, l.Value))
		case known && was.Value != l.Value:
			words = append(words, fmt.Sprintf("%s is %s, was %s", l.Key, l.Value, was.Value))
		}
	}
	for gone, was := range old {
		switch entry, key, inList := strings.Cut(gone, "]."); {
		case inList && isURL(key, was.Value):
			words = append(words, fmt.Sprintf("%s] removed: %s", entry, was.Value))
		case !inList:
			words = append(words, gone+" removed")
		}
	}
	slices.Sort(words)
	const most = 8
	if len(words) > most {
		words = append(words[:most], fmt.Sprintf("and %d more", len(words)-most))
	}
	return strings.Join(words, "; ")
}

// isURL says whether that is how people know an entry of a list: of a room, the one of two keys that is set.
func isURL(key, value string) bool {
	return (key == "url" || key == "url_file") && value != `""`
}
