package view

import (
	"cmp"
	"fmt"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// ServicesTable is a line a service.
func ServicesTable(all []presence.ServiceStatus) Table {
	t := Table{Head: []string{"SERVICE", "DEPLOYMENT", "AVAILABLE", "USERS", "NOT AVAILABLE", "BEHIND"}, shrink: []shrink{{5, 12}, {4, 12}}}
	for _, s := range all {
		colour := [...]string{"red", "yellow", "yellow", "green"}[s.Rank()]
		t.Rows = append(t.Rows, []Cell{{Text: s.Service}, {Text: cmp.Or(human.Safe(s.Deployment), "-")},
			{fmt.Sprintf("%d of %d", s.Available, len(s.Endpoints)), colour}, {Text: fmt.Sprint(len(s.Users))},
			{Text: cmp.Or(human.Some(s.Away(), 3), "-")}, {Text: cmp.Or(human.Safe(human.Some(s.Behind(), 3)), "-")}})
	}
	return t
}
