package event

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/presence"
)

// Action is something to be done once the fleet is in a state. An event field that is empty or na matches all.
type Action struct {
	ID         string `json:"id"`
	EventType  string `json:"event_type,omitempty"`
	EventName  string `json:"event_name,omitempty"`
	EventIP    string `json:"event_ip,omitempty"`
	EventState string `json:"event_state,omitempty"`
	DoLevel    string `json:"do_level"`
	DoGroup    string `json:"do_group"`
	DoAction   string `json:"do_action"`
	DoType     string `json:"do_type,omitempty"`
	After      string `json:"after,omitempty"`    // the id of an action that must succeed first
	Deadline   string `json:"deadline,omitempty"` // how long it may wait; "" = an hour
	Attempts   int    `json:"attempts,omitempty"` // how often it may fail; 0 = five times
}

// The levels of actions beside Services and Instances, whose names they share.
const (
	All   = "all"   // a group or a type: every one
	Local = "local" // a group: the nodes of this machine
)

// ActionsOf lists what can be done at a level.
func ActionsOf(level string) []string {
	return map[string][]string{
		Nodes:     {"work"},
		Services:  {"install", "start", "stop", "restart", "drain", "undrain"},
		Instances: {"start", "stop", "launch", "terminate"},
	}[level]
}

const (
	defaultDeadline = time.Hour
	mostDeadline    = 7 * 24 * time.Hour // of a request, too
	defaultAttempts = 5
	mostAttempts    = 100
)

func (a Action) deadline() time.Duration {
	d, err := time.ParseDuration(a.Deadline)
	if err != nil {
		return defaultDeadline // none, or it was written by hand
	}
	return min(d, mostDeadline)
}

// target is what an action is about: of the actions on one target one runs at a time.
func (a Action) target() string { return a.DoLevel + " " + a.DoGroup }

// same says whether two actions do the same for the same reason.
func (a Action) same(b Action) bool {
	a.ID, a.Deadline, a.Attempts = b.ID, b.Deadline, b.Attempts
	return a == b
}

// anything is an event field that matches all.
func anything(field string) bool { return field == "" || field == notKnown }

// wants says whether a field of an action accepts a value.
func wants(field, value string) bool { return anything(field) || field == value }

// Matches says whether an event is what an action waits for.
func (a Action) Matches(e Event) bool {
	return wants(a.EventType, e.Type) && wants(a.EventName, e.Name) && wants(a.EventIP, e.IP) &&
		(wants(a.EventState, e.State) || a.EventState == "initdone" && slices.Contains([]string{"idle", "working"}, e.State))
}

// Holds says whether the fleet is as an action waits for it, whatever happened before: so nothing is missed. An action
// without any condition holds at once.
func (a Action) Holds(s Status) bool {
	if anything(a.EventType) && anything(a.EventName) && anything(a.EventIP) && anything(a.EventState) {
		return true
	}
	address := map[string]string{}
	for _, i := range s.Instances {
		address[i.ID] = i.IP
		if a.Matches(Event{Type: Instances, Name: i.ID, IP: i.IP, State: i.State}) {
			return true
		}
	}
	for _, n := range s.Nodes {
		states := []string{string(n.State)}
		if age := n.Age(s.At); age != presence.Present {
			states = []string{string(age)}
		} else if presence.Initialised(n) {
			states = append(states, "initdone")
		}
		for _, state := range states {
			if a.Matches(Event{Type: Nodes, Name: n.InstanceID, IP: address[n.InstanceID], State: state}) {
				return true
			}
		}
	}
	for _, o := range s.Services {
		if a.Matches(Event{Type: Services, Name: o.Name, IP: o.IP, State: o.State}) || a.Matches(Event{Type: Roles, Name: o.Name, IP: o.IP, State: o.Role}) {
			return true
		}
	}
	return slices.ContainsFunc(s.Sets, func(one Set) bool {
		return a.Matches(Event{Type: Sets, Name: one.Service, State: one.State})
	})
}

// actionID becomes the id of a request and the token of a launch.
var actionID = regexp.MustCompile(`^[0-9a-z][0-9a-z-]{0,39}$`)

var actionKeys = []string{"id", "event_type", "event_name", "event_ip", "event_state", "do_level", "do_group", "do_action", "do_type", "after", "deadline", "attempts"}

// ParseActions reads a file of actions: a list of maps, in YAML or JSON. file is how it is called in the problems, each
// of which has line and column. With problems the actions mean nothing.
func ParseActions(file string, data []byte) (list []Action, problems []string) {
	problems = strictyaml.ReadList(file, data, "{ do_level: nodes, do_action: work, do_group: all }", func(y *strictyaml.File, n strictyaml.Node) {
		a := Action{DoGroup: All}
		at := map[string]strictyaml.Node{}
		for _, f := range y.Fields(n, actionKeys) {
			a.set(y, f)
			at[f.Key.Text] = f.Key
		}
		if !n.Is(strictyaml.Map) {
			return
		}
		for _, m := range a.mistakes() {
			place, given := at[m.key]
			if !given {
				place = n
			}
			y.Wrong(place, "%s", m.text)
		}
		if a.ID != "" && slices.ContainsFunc(list, func(b Action) bool { return b.ID == a.ID }) {
			y.Wrong(n, "the id %s is there twice", a.ID)
		}
		list = append(list, a)
	})
	return list, problems
}

func (a *Action) set(y *strictyaml.File, f strictyaml.Field) {
	switch key := f.Key.Text; key {
	case "attempts":
		a.Attempts = y.Number(f, 1, mostAttempts)
	case "deadline":
		if d := y.Duration(f); d > 0 {
			a.Deadline = human.Setting(d)
		}
	case "event_type":
		if a.EventType = y.OneOf(f, append(Types(), "cloud", notKnown)); a.EventType == "cloud" { // its old name
			a.EventType = Instances
		}
	default:
		text, _ := y.Text(f)
		*map[string]*string{"id": &a.ID, "event_name": &a.EventName, "event_ip": &a.EventIP, "event_state": &a.EventState, "do_level": &a.DoLevel,
			"do_group": &a.DoGroup, "do_action": &a.DoAction, "do_type": &a.DoType, "after": &a.After}[key] = text
	}
}

// mistake is what is wrong with a field of an action.
type mistake struct{ key, text string }

// Wrong says why an action can never be done; "" = it can.
func (a Action) Wrong() string {
	if all := a.mistakes(); len(all) > 0 {
		return all[0].text
	}
	return ""
}

// mistakes are all reasons why an action can never be done.
func (a Action) mistakes() (all []mistake) {
	wrong := func(is bool, key, text string) {
		if is {
			all = append(all, mistake{key, text})
		}
	}
	for _, id := range [][2]string{{"id", a.ID}, {"after", a.After}} {
		wrong(id[1] != "" && !actionID.MatchString(id[1]), id[0], id[0]+": an id has small letters, digits and dashes, at most 40")
	}
	levels, known := []string{Nodes, Services, Instances}, ActionsOf(a.DoLevel)
	wrong(known == nil, "do_level", "do_level "+human.Quote(a.DoLevel)+" is unknown"+instead(a.DoLevel, levels, "use "+human.List(levels, "or")))
	wrong(known != nil && !slices.Contains(known, a.DoAction), "do_action", "do_action "+human.Quote(a.DoAction)+" is unknown"+
		instead(a.DoAction, known, "at the level "+a.DoLevel+" there is "+human.List(known, "and")))
	states := []string{Settled, Changing}
	wrong(a.EventType == Sets && !anything(a.EventState) && !slices.Contains(states, a.EventState), "event_state",
		"event_state "+human.Quote(a.EventState)+" is unknown"+instead(a.EventState, states, "a set is "+human.List(states, "or")))
	_, notIP := netip.ParseAddr(a.EventIP)
	wrong(a.EventType == Sets && !anything(a.EventIP), "event_ip", "event_ip: a set has no address")
	wrong(a.EventType != Sets && !anything(a.EventIP) && notIP != nil, "event_ip", "event_ip "+human.Quote(a.EventIP)+" is not an address")
	wrong(a.DoGroup == "", "do_group", "do_group is missing")
	texts := 0
	for _, f := range [][2]string{{"event_name", a.EventName}, {"event_ip", a.EventIP}, {"event_state", a.EventState}, {"do_group", a.DoGroup}, {"do_type", a.DoType}} {
		texts += len(f[1])
		wrong(human.Safe(f[1]) != f[1], f[0], f[0]+" holds control characters")
	}
	wrong(texts > 500, "do_group", "the texts are too long: 500 bytes at most in all")
	wrong(a.DoLevel == Instances && a.DoGroup == All && (a.DoAction == "stop" || a.DoAction == "terminate"), "do_group",
		"all is refused for "+a.DoAction+": name an instance")
	wrong(a.DoLevel == Services && a.DoGroup == All && (anything(a.DoType) || a.DoType == All) && (a.DoAction == "stop" || a.DoAction == "drain"), "do_group",
		"all is refused for "+a.DoAction+": name a service, a node, a deployment or a type")
	d, _ := time.ParseDuration(cmp.Or(a.Deadline, "1h"))
	wrong(d < time.Second || d > mostDeadline, "deadline", "deadline must be between a second and a week")
	return all
}

// instead is what to write in place of a word: the one that is nearest, or else what there is.
func instead(word string, known []string, hint string) string {
	if near := strictyaml.Nearest(word, known); near != "" && word != "" {
		return ", did you mean " + near + "?"
	}
	return ": " + hint
}

// String words an action for people.
func (a Action) String() string {
	text := strings.Join([]string{a.DoLevel, a.DoAction, a.DoGroup}, " ")
	if !anything(a.DoType) && a.DoType != All {
		text += " " + a.DoType
	}
	var when []string
	for _, f := range []string{a.EventType, a.EventName, a.EventIP, a.EventState} {
		if !anything(f) {
			when = append(when, f)
		}
	}
	if len(when) > 0 {
		text += " once " + strings.Join(when, " ")
	}
	if a.After != "" {
		text += " after " + a.After
	}
	return text
}
