package presence

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/service"
)

// ServiceStatus is a service of one deployment, as its nodes offer it and as others use it.
type ServiceStatus struct {
	Service    string        `json:"service"`
	Deployment string        `json:"deployment"`
	Available  int           `json:"available"` // endpoints
	Endpoints  []Endpoint    `json:"endpoints"`
	Users      []ServiceUser `json:"users"`
}

// ServiceUser is an item that watches a service.
type ServiceUser struct {
	Node   string `json:"node"`
	Item   string `json:"item"`
	Behind bool   `json:"behind"` // its last success was with other endpoints than there are now
}

// ServicesOf lists the services that nodes offer or use, trouble first: those without an available endpoint, those
// that lack one, those whose users are behind. Ends are the endpoints of all services.
func ServicesOf(ends Endpoints, f Fleet, now time.Time) []ServiceStatus {
	known := map[[2]string]*ServiceStatus{}
	of := func(name, deployment string) *ServiceStatus {
		key := [2]string{name, deployment}
		if known[key] == nil {
			known[key] = &ServiceStatus{Service: name, Deployment: deployment, Endpoints: []Endpoint{}, Users: []ServiceUser{}}
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
	sets := map[ServiceFilter]string{} // a thousand users of a thousand endpoints need each id once
	current := func(u Use, own string) string {
		filter := ServiceFilter{Service: u.Service, Role: u.Role, Deployment: cmp.Or(u.Deployment, own)}
		if _, there := sets[filter]; !there {
			sets[filter] = SetID(ends.Set(filter, own))
		}
		return sets[filter]
	}
	everywhere := map[string][]ServiceUser{} // users of a service in all deployments, those too that only a use names
	for _, n := range f.Nodes {
		if age := n.Age(now); age == Gone || age == Missing {
			continue
		}
		for _, u := range n.Uses {
			user := ServiceUser{Node: n.InstanceID, Item: u.Item, Behind: u.Set != current(u, n.Deployment)}
			if u.Deployment == AllDeployments {
				everywhere[u.Service] = append(everywhere[u.Service], user)
				continue
			}
			s := of(u.Service, cmp.Or(u.Deployment, n.Deployment))
			s.Users = append(s.Users, user)
		}
	}
	for key, s := range known {
		s.Users = append(s.Users, everywhere[key[0]]...)
	}
	all := []ServiceStatus{}
	for _, s := range known {
		slices.SortFunc(s.Users, func(a, b ServiceUser) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Item, b.Item)) })
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b ServiceStatus) int {
		return cmp.Or(cmp.Compare(a.Rank(), b.Rank()), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Deployment, b.Deployment))
	})
	return all
}

// Behind are the items that have not worked with the present endpoints.
func (s ServiceStatus) Behind() (list []string) {
	for _, u := range s.Users {
		if u.Behind {
			list = append(list, u.Node+" "+u.Item)
		}
	}
	return list
}

// Away are the endpoints that are not available, with their codes.
func (s ServiceStatus) Away() (list []string) {
	for _, e := range s.Endpoints {
		switch {
		case e.Left:
			list = append(list, e.Node+" silent")
		case !e.Available():
			list = append(list, e.Node+" "+strings.TrimSpace(e.Code))
		}
	}
	return list
}

// Lost says whether the service has no endpoint, but had one. Known tells that it had one when it was last looked at;
// otherwise the codes tell. A service that is taken away and that no item uses is not lost.
func (s ServiceStatus) Lost(known bool) bool {
	failed, goes := false, len(s.Endpoints) > 0 && len(s.Users) == 0
	for _, e := range s.Endpoints {
		switch code := service.Code(e.Code); {
		case code == service.Draining, code == service.Removing, code == service.Uninstalled:
		case code == service.Waiting, code == service.Installing, code == service.Starting:
			goes = false
		default:
			failed, goes = true, false
		}
	}
	return s.Available == 0 && (failed || known && !goes)
}

// Rank is how urgent a service is: 0 = it has no available endpoint, 1 = it lacks some, 2 = users are behind, 3 = well.
func (s ServiceStatus) Rank() int {
	switch {
	case s.Available == 0:
		return 0
	case s.Available < len(s.Endpoints):
		return 1
	case len(s.Behind()) > 0:
		return 2
	}
	return 3
}
