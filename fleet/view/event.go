package view

import (
	"cmp"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Event is one event in a stream.
func Event(e event.Event, colours bool) string {
	colour := AgeColour(presence.Age(e.State))
	if row, ok := node.Row(node.State(e.State)); ok {
		colour = row.Colour
	}
	text := e.Time + " " + e.Type + " " + human.Safe(e.Name)
	if e.Node != "" && e.Node != e.Name {
		text += " on " + human.Safe(e.Node)
	}
	return text + " " + cmp.Or(human.Safe(e.PreviousState), "-") + " → " + paint(human.Safe(e.State), colour, colours)
}
