package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// The words of the groups that are services.
const (
	hasEndpoint = "has an endpoint"
	noEndpoint  = "no endpoint"
)

// servicesMost bounds the services that rooms hear of: said.json has a line for each, and any node can make some up.
const servicesMost = 2000

// addServices adds a group for each service that has an endpoint, and for each one that has lost its last.
func addServices(groups map[group]*members, before []announced, services []presence.ServiceStatus, now time.Time) {
	of := func(s presence.ServiceStatus, word string) group {
		return group{Deployment: s.Deployment, Service: s.Service, Word: word}
	}
	known := map[group]announced{}
	for _, a := range before {
		if a.Service != "" && a.N > 0 {
			known[a.group] = a
		}
	}
	count := 0
	add := func(s presence.ServiceStatus, lost bool) {
		if count++; count > servicesMost {
			return
		}
		word := hasEndpoint
		if lost {
			word = noEndpoint
		}
		groups[of(s, word)] = &members{ids: []string{s.Service}, since: now, service: s}
	}
	seen := map[[2]string]bool{}
	for _, s := range services {
		seen[[2]string{s.Service, s.Deployment}] = true
		_, had := known[of(s, hasEndpoint)]
		_, lost := known[of(s, noEndpoint)]
		switch {
		case s.Available > 0, s.Lost(had || lost):
			add(s, s.Available == 0)
		}
		if lost && s.Available > 0 {
			groups[of(s, noEndpoint)] = &members{service: s}
		}
	}
	for g, a := range known {
		// No node offers or uses it: after an hour that is how it is.
		if !seen[[2]string{g.Service, g.Deployment}] && (g.Word == hasEndpoint || now.Sub(a.Said) < lineRepeat) {
			add(presence.ServiceStatus{Service: g.Service, Deployment: g.Deployment}, true)
		}
	}
}

// aboutService is a message about one service.
type aboutService struct {
	group
	kind    string // of kindOf
	message chat.Message
}

// kindOf is what a message says of a service.
func kindOf(s announced, is presence.ServiceStatus, n int) string {
	switch {
	case n == 0 && is.Available > 0:
		return "endpoints again for"
	case n == 0:
		return "not offered any more:"
	case n == s.N:
		return "still no endpoint of"
	}
	return "no endpoint of"
}

// joined are the messages of services, where more than a few of one deployment say the same as one: a room that takes
// one message every few seconds must hear of the next trouble, too.
func joined(all []aboutService) (messages []chat.Message) {
	type key struct{ deployment, kind string }
	by := map[key][]aboutService{}
	for _, a := range all {
		k := key{a.Deployment, a.kind}
		by[k] = append(by[k], a)
	}
	for k, list := range by {
		if len(list) <= lineIDs {
			for _, a := range list {
				messages = append(messages, a.message)
			}
			continue
		}
		var names []string
		for _, a := range list {
			names = append(names, a.Service)
		}
		slices.Sort(names)
		m := list[0].message
		m.Text = human.Safe(fmt.Sprintf("%s %s of %s: %s", k.kind, human.Count(len(list), "service"), cmp.Or(k.deployment, "no deployment"), human.Some(names, 2*lineIDs)))
		messages = append(messages, m)
	}
	return messages
}

// serviceSentence is the message: "no endpoint of db in fed1: i-1 ER0003, i-2 silent; used by 3 items".
func serviceSentence(s announced, is presence.ServiceStatus, n int, now time.Time) string {
	name := view.Part(s.Deployment, s.Service)
	was := fmt.Sprintf("(had none for %s)", human.Seconds(now.Sub(s.Since)))
	switch {
	case n == 0 && is.Available > 0:
		return fmt.Sprintf("service %s has %s again %s", name, human.Count(is.Available, "endpoint"), was)
	case n == 0:
		return fmt.Sprintf("service %s is not offered any more %s", name, was)
	}
	text := "no endpoint of service " + name
	if n == s.N {
		text = "still " + text
	}
	if away := is.Away(); len(away) > 0 {
		text += ": " + human.Some(away, lineIDs)
	} else {
		text += ": no node offers it"
	}
	if len(is.Users) > 0 {
		text += "; used by " + human.Count(len(is.Users), "item")
	}
	return text
}
