package event

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// The codes of the ancestor that no service of a node has.
const (
	OK          = "000000"
	Refused     = "ER0004" // a command failed, or is not known any more
	NoStatus    = "ER0014" // nothing is known of the fleet
	NoActions   = "ER0015" // there is no queue
	AwaitsStart = "ER0016" // the action waits until the instance has started
	AwaitsMake  = "ER0017" // the action waits until the instance has been launched
	Unknown     = "-1"
)

// OldText is what the ancestor calls a code.
// Source: the list of codes of ScrambleDB's cluster manager.
func OldText(code string) string {
	return cmp.Or(map[string]string{
		OK: "running", "ER0001": "SQL command failure", "ER0002": "manager unreachable", "ER0003": "database communication failure",
		Refused: "manager command failure", "ER0005": "memcache failure", "ER0006": "write-config failure",
		NoStatus: "no stored status", NoActions: "no stored actions", AwaitsStart: "delayed until instance start",
		AwaitsMake: "delayed until instance creation", "ER0018": "remote command failed", "ER0019": "starting", "ER0020": "stopping",
		"ER0021": "installing", "ER0022": "removing", "ER0023": "stopped", "ER0024": "uninstalled",
	}[code], "unknown")
}

// Host is the machine that makes a heartbeat.
type Host struct {
	RAM        uint64 // in KiB
	Interfaces []Interface
}

// Interface is one of a host's, under its name.
type Interface struct {
	Name, IP string
	Up       bool
}

// Cloud is what is known of the cloud that the instances are in; "" = not known.
type Cloud struct {
	Driver string // EC2, or LOCAL without a provider
	Region string
}

// single is an object with one key: lists of the ancestor hold such objects.
type single[T any] map[string]T

type oldInstance struct {
	ID    string  `json:"id"`
	IP    *string `json:"ip"`
	State string  `json:"state"`
}

type oldService struct {
	Code   string `json:"code"`
	IP     string `json:"ip"`
	Mode   string `json:"mode"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Status string `json:"status"` // the role, and not how it is
	Time   string `json:"time"`
}

type oldCommand struct {
	Action string `json:"action"`
	Group  string `json:"group"`
	Type   string `json:"type"`
}

type heartbeat struct {
	Command oldCommand `json:"command"`
	Host    struct {
		Interfaces []single[map[string]string] `json:"interfaces"`
		RAM        string                      `json:"ram"`
	} `json:"host"`
	Instances struct {
		Instances []single[oldInstance] `json:"instances"`
		Return    map[string]string     `json:"return"`
	} `json:"instances_status"`
	Level    string `json:"level"`
	Services struct {
		Services []single[oldService] `json:"services"`
	} `json:"services_status"`
}

// notKnown stands for a value that is not known, or that is a secret.
const notKnown = "na"

// Heartbeat is the status in the form of the ancestor's heartbeat, with four spaces of indent. All values are strings;
// only the address of an instance may be null. A service stands there once for each node that offers it.
func Heartbeat(s Status, h Host, c Cloud) ([]byte, error) {
	b := heartbeat{Command: oldCommand{"ping", "all", "all"}, Level: "services"}
	b.Host.RAM, b.Host.Interfaces = strconv.FormatUint(h.RAM, 10), []single[map[string]string]{}
	for _, i := range h.Interfaces {
		state := "DOWN"
		if i.Up {
			state = "UP"
		}
		b.Host.Interfaces = append(b.Host.Interfaces, single[map[string]string]{i.Name: {"IP": cmp.Or(i.IP, notKnown), "STATE": state}})
	}
	b.Instances.Return, b.Instances.Instances = c.block(), OldInstances(s.Instances)
	b.Services.Services = OldServices(s.Services)
	return indented(b)
}

// OldInstances is a list of instances in the form of the ancestor.
func OldInstances(all []Instance) []single[oldInstance] {
	list := []single[oldInstance]{}
	for _, i := range all {
		one := oldInstance{ID: i.ID, State: i.State}
		if i.IP != "" {
			one.IP = &i.IP
		}
		list = append(list, single[oldInstance]{i.ID: one})
	}
	return list
}

// OldServices is a list of services in the form of the ancestor.
func OldServices(all []Service) []single[oldService] {
	list := []single[oldService]{}
	for _, o := range all {
		list = append(list, single[oldService]{o.Name: {Code: o.Code, IP: cmp.Or(o.IP, notKnown), Mode: cmp.Or(o.Mode, notKnown), Name: o.Name,
			State: OldText(o.Code), Status: cmp.Or(o.Role, notKnown), Time: ctime(o.Time)}})
	}
	return list
}

// block has every key of the ancestor's cloud block, which it echoed as a whole, its password too.
func (c Cloud) block() map[string]string {
	b := map[string]string{}
	for _, key := range []string{"elastic_ip", "elastic_ip_id", "ex_vdc", "host", "instance_type", "interface_vip_id", "key", "password", "public_key",
		"security_groups", "subnet", "template", "user", "version", "vpc", "zone"} {
		b[key] = notKnown
	}
	b["code"], b["driver"], b["region"], b["status"] = OK, cmp.Or(c.Driver, "LOCAL"), cmp.Or(c.Region, notKnown), "master"
	return b
}

// ctime is a time as C's ctime words it, in UTC.
func ctime(t time.Time) string {
	if t.IsZero() {
		return notKnown
	}
	return human.CTime(t)
}

func indented(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	err := e.Encode(value)
	return b.Bytes(), err
}
