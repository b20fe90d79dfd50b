package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// Service is a service of one deployment, as its nodes offer it and as others use it.
type Service struct {
	Service    string              `json:"service"`
	Deployment string              `json:"deployment"`
	Available  int                 `json:"available"` // endpoints
	Endpoints  []presence.Endpoint `json:"endpoints"`
	Users      []User              `json:"users"`
}

// User is an item that watches a service.
type User struct {
	Node   string `json:"node"`
	Item   string `json:"item"`
	Behind bool   `json:"behind"` // its last success was with other endpoints than there are now
}

// Services lists the services that nodes offer or use, trouble first: those without an available endpoint, those
// that lack one, those whose users are behind.
func Services(f presence.Fleet, now time.Time) []Service {
	ends := presence.EndpointsOf(nil, f, now)
	known := map[[2]string]*Service{}
	of := func(name, deployment string) *Service {
		key := [2]string{name, deployment}
		if known[key] == nil {
			known[key] = &Service{Service: name, Deployment: deployment, Endpoints: []presence.Endpoint{}, Users: []User{}}
		}
		return known[key]
	}
	for name, list := range ends {
		for _, e := range list {
			s := of(name, e.Deployment)
			if s.Endpoints = append(s.Endpoints, e); e.Available() {
				s.Available++
			}
		}
	}
	for _, n := range f.Nodes {
		if age := n.Age(now); age == presence.Gone || age == presence.Missing {
			continue
		}
		for _, u := range n.Uses {
			user := User{Node: n.InstanceID, Item: u.Item, Behind: ends.Behind(u, n.Deployment)}
			if u.Deployment != presence.AllDeployments {
				s := of(u.Service, cmp.Or(u.Deployment, n.Deployment))
				s.Users = append(s.Users, user)
				continue
			}
			for key, s := range known {
				if key[0] == u.Service {
					s.Users = append(s.Users, user)
				}
			}
		}
	}
	all := []Service{}
	for _, s := range known {
		slices.SortFunc(s.Users, func(a, b User) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Item, b.Item)) })
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Deployment, b.Deployment))
	})
	return all
}

// behind are the items that have not worked with the present endpoints.
func (s Service) behind() (list []string) {
	for _, u := range s.Users {
		if u.Behind {
			list = append(list, u.Node+" "+u.Item)
		}
	}
	return list
}

func (s Service) rank() int {
	switch {
	case s.Available == 0:
		return 0
	case s.Available < len(s.Endpoints):
		return 1
	case len(s.behind()) > 0:
		return 2
	}
	return 3
}

// ServicesTable is a line a service.
func ServicesTable(all []Service) Table {
	t := Table{Head: []string{"SERVICE", "DEPLOYMENT", "AVAILABLE", "USERS", "NOT AVAILABLE", "BEHIND"}, shrink: []shrink{{5, 12}, {4, 12}}}
	for _, s := range all {
		var away []string
		for _, e := range s.Endpoints {
			if !e.Available() {
				away = append(away, e.Node+" "+strings.TrimSpace(e.Code))
			}
		}
		colour := [...]string{"red", "yellow", "yellow", "green"}[s.rank()]
		t.Rows = append(t.Rows, []Cell{{Text: s.Service}, {Text: cmp.Or(human.Safe(s.Deployment), "-")},
			{fmt.Sprintf("%d of %d", s.Available, len(s.Endpoints)), colour}, {Text: fmt.Sprint(len(s.Users))},
			{Text: cmp.Or(human.Some(away, 3), "-")}, {Text: cmp.Or(human.Safe(human.Some(s.behind(), 3)), "-")}})
	}
	return t
}
