package event

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// Message is what the ancestor's programs sent: a level, an action, and what it is about.
type Message struct{ Level, Action, Group, Type string }

// ParseMessage reads {"level","command":{"action","group","type"}}. What else the ancestor put beside these is ignored.
// file is how it is called in the problems, each of which has line and column.
func ParseMessage(file string, data []byte) (m Message, problems []string) {
	m.Group, m.Type = All, All
	problems = strictyaml.ReadFile(file, data, []string{"level", "command", "host", "version"}, func(y *strictyaml.File, f strictyaml.Field) {
		switch f.Key.Text {
		case "level":
			m.Level, _ = y.Text(f)
		case "command":
			for _, f := range y.Fields(f.Value, []string{"action", "group", "type"}) {
				*map[string]*string{"action": &m.Action, "group": &m.Group, "type": &m.Type}[f.Key.Text], _ = y.Text(f)
			}
		}
	})
	return m, problems
}

// today is what does the work of the ancestor's actions that are gone, by level and action.
func today() map[string]string {
	const push, script = "push a services.yaml to the repository: the nodes of that level offer what it lists", "write a work script (docs/work.md)"
	return map[string]string{
		"services remove": push, "services sync": script, "services join": script, "services switch": script,
		"services rolling_restart": script, "services bootstrap_binaries": script, "services bootstrap_config": script, "services bootstrap_ncc": script,
		"services switch_vip": script, "services check_vip": script, "services sql": script, "services ping": "nodes announce their services in presence: addctl nodes",
		"instances actions_init": "addctl action:cancel", "instances world": "addagent beat --again, or an action of the level nodes",
		"config display": "the repository is the configuration: git show", "config rules": "the repository is the configuration: git show", "config file": "the repository is the configuration: git show",
	}
}

// Refusal says why a message is not done, and what does its work today; "" = it is.
func (m Message) Refusal() string {
	reads := map[string][]string{Instances: {"heartbeat", "status", "actions"}, Services: {"status"}}[m.Level]
	switch gone := today()[m.Level+" "+m.Action]; {
	case gone != "":
		return m.Level + " " + m.Action + " is not done here: " + gone
	case m.Level != Instances && m.Level != Services:
		return "level " + human.Quote(m.Level) + " is unknown: use instances or services"
	case slices.Contains(reads, m.Action):
		return ""
	case !slices.Contains(ActionsOf(m.Level), m.Action):
		return "action " + human.Quote(m.Action) + " is unknown at the level " + m.Level + ": there is " + human.List(append(reads, ActionsOf(m.Level)...), "and")
	}
	return m.ToDo().Wrong()
}

// Reads says that a message only asks.
func (m Message) Reads() bool {
	return slices.Contains([]string{"heartbeat", "status", "actions"}, m.Action)
}

// ToDo is the action that a message wants.
func (m Message) ToDo() Action {
	a := Action{DoLevel: m.Level, DoAction: m.Action, DoGroup: m.Group}
	if m.Level == Services && m.Type != All {
		a.DoType = m.Type
	}
	return a
}

// oldAction is an action with the keys that it had.
type oldAction struct {
	EventIP    string `json:"event_ip"`
	EventType  string `json:"event_type"`
	EventState string `json:"event_state"`
	DoLevel    string `json:"do_level"`
	DoAction   string `json:"do_action"`
	DoGroup    string `json:"do_group"`
}

// Console is a line of the console in an answer.
type Console struct {
	Time    string `json:"time"`
	IP      string `json:"ip"`
	Command string `json:"command"`
	Return  string `json:"return"`
	Result  string `json:"result"`
}

// ConsoleOf is the line of an action, and the code of the answer.
func (e Entry) ConsoleOf(now time.Time) Console {
	code := map[Phase]string{Succeeded: OK, Waits: AwaitsStart, Runs: AwaitsStart, Asked: AwaitsStart}[e.Phase]
	switch {
	case code == AwaitsStart && e.DoLevel == Services:
		code = cmp.Or(e.delayed(), "ER0019")
	case code == AwaitsStart && e.DoAction == "launch":
		code = AwaitsMake
	}
	return Console{human.CTime(now), notKnown, e.ID + " " + e.Action.String(), cmp.Or(code, "ER0018"), cmp.Or(e.Result, string(e.Phase))}
}

// envelope is an answer of the ancestor: the level has the list.
func envelope(level string, list any, console []Console, code, text string) ([]byte, error) {
	answer := map[string]any{"console": append([]Console{}, console...), "return": map[string]string{"code": code}}
	if text != "" {
		answer["return"] = map[string]string{"code": code, "result": text}
	}
	answer[cmp.Or(level, "level")] = list
	return indented(answer)
}

// Read is the answer to a message that only asks.
func (m Message) Read(s Status, q Queue, h Host, c Cloud) ([]byte, error) {
	switch {
	case m.Action == "heartbeat":
		return Heartbeat(s, h, c)
	case m.Action == "actions":
		list := []oldAction{}
		for _, e := range q.unfinished() {
			list = append(list, oldAction{cmp.Or(e.EventIP, notKnown), cmp.Or(e.EventType, notKnown), cmp.Or(e.EventState, notKnown), e.DoLevel, e.DoAction, e.DoGroup})
		}
		return indented(map[string]any{"actions": list})
	case m.Level == Services:
		var local []string
		for _, i := range h.Interfaces {
			local = append(local, i.IP)
		}
		return envelope(Services, OldServices(s.ServicesOf(m.Group, m.Type, local)), nil, OK, "")
	}
	meant := s.InstancesOf(m.Group)
	instances := slices.DeleteFunc(slices.Clone(s.Instances), func(i Instance) bool { return !slices.Contains(meant, i.ID) })
	return envelope(Instances, OldInstances(instances), nil, OK, "")
}

// sections are the modes of the services that a section of the ancestor's configuration held.
func sections() map[string][]string {
	return map[string][]string{
		"db": {"mysql", "mariadb", "galera", "spider", "cluster", "leveldb", "postgresql", "postgres"}, "nosql": {"memcache", "memcached", "memcachedb", "cassandra", "hbase", "tarantool", "redis"},
		"proxy": {"mysql-proxy"}, "lb": {"keepalived", "haproxy"}, "bench": {"dbt2", "sysbench"}, "monitor": {"monitor"}, "http": {"apache", "nginx", "http"},
	}
}

// Done is the answer to a message after its action, or while that goes on.
func (m Message) Done(e Entry, now time.Time) ([]byte, error) {
	line := e.ConsoleOf(now)
	return envelope(m.Level, []any{}, []Console{line}, line.Return, "")
}

// Refuse is the answer to a message that is not done.
func (m Message) Refuse(why string) ([]byte, error) {
	return envelope(m.Level, []any{}, nil, Refused, fmt.Sprintf("%s: %s", OldText(Refused), why))
}
