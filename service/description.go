package service

import (
	"fmt"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// Description is what service.yaml says. All its keys are optional:
//
//	port: 3306               # none for a worker that nothing connects to
//	mode: mariadb            # the kind of server; default: the name
//	role: na                 # master, slave, standalone or na; an exec check may report another
//	check: { tcp: 3306 }     # or { http: ":8080/status", expect: 200 }, { exec: check.sh }, { pid: /run/x.pid }, none
//	rise: 1                  # passes in a row until it is up
//	fall: 2                  # failures in a row until it is down
//	requires: [ cache ]      # services that its set-up needs
//	drain: 5m                # how long its users have, from the announcement that it goes
type Description struct {
	Name     string
	Port     int // 0 = nothing connects to it
	Mode     string
	Role     string
	Check    Check
	Rise     int
	Fall     int
	Requires []string
	Drain    time.Duration
}

// Check is how to find out whether a service works.
type Check struct {
	Kind   CheckKind
	Target string // host:port of TCP, the URL of HTTP, a script beside service.yaml, a file
	Expect int    // status of HTTP
}

// CheckKind is how a check is done.
type CheckKind int

// The kinds of checks.
const (
	NoCheck CheckKind = iota // it passes
	TCP                      // a connection is accepted
	HTTP                     // an answer has the status
	Exec                     // a script exits with 0
	PID                      // the process in a file runs
)

const (
	// DefaultDrain is how long users of a service have by default.
	DefaultDrain = 5 * time.Minute
	defaultFall  = 2
	mostInARow   = 100 // passes or failures: above an hour of beats it is a mistake
)

// label is the name of a service: a DNS label, for it becomes a part of names.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidName says whether a service can have this name.
func ValidName(name string) bool { return label.MatchString(name) }

var roles = []string{"master", "slave", "standalone", "na"}

// ValidRole says whether a service can have this role.
func ValidRole(role string) bool { return slices.Contains(roles, role) }

var keys = []string{"port", "mode", "role", "check", "rise", "fall", "requires", "drain"}

// Parse reads service.yaml of the service with this name, which stands beside these scripts. file is how it is called
// in the problems, each of which has line and column. With problems the description means nothing.
func Parse(file, name string, scripts []string, data []byte) (d Description, problems []string) {
	d = Description{Name: name, Mode: name, Role: "na", Rise: 1, Fall: defaultFall, Drain: DefaultDrain}
	checked := false
	problems = strictyaml.ReadFile(file, data, keys, func(y *strictyaml.File, f strictyaml.Field) {
		switch f.Key.Text {
		case "port":
			d.Port = y.Number(f, 1, math.MaxUint16)
		case "mode":
			d.Mode, _ = y.Text(f)
			word(y, f, d.Mode)
		case "role":
			d.Role = y.OneOf(f, roles)
		case "check":
			d.Check, checked = readCheck(y, f, scripts), true
		case "rise":
			d.Rise = y.Number(f, 1, mostInARow)
		case "fall":
			d.Fall = y.Number(f, 1, mostInARow)
		case "requires":
			d.Requires = y.Names(f)
			for _, other := range d.Requires {
				switch {
				case !ValidName(other):
					y.Wrong(f.Value, "requires: %s is not the name of a service: small letters, digits and -", human.Quote(other))
				case other == name:
					y.Wrong(f.Value, "requires: %s cannot require itself", name)
				}
			}
		case "drain":
			d.Drain = y.Duration(f)
		}
	})
	if !checked && d.Port != 0 {
		d.Check = Check{Kind: TCP, Target: local(d.Port)}
	}
	return d, problems
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// word complains about a text that is not one word.
func word(y *strictyaml.File, f strictyaml.Field, text string) {
	if !label.MatchString(text) {
		y.Wrong(f.Value, "%s: %s must be small letters, digits and -", f.Key.Text, human.Quote(text))
	}
}

// readCheck reads the value of check.
func readCheck(y *strictyaml.File, f strictyaml.Field, scripts []string) (c Check) {
	const example = `none, { tcp: 3306 }, { http: ":8080/status" }, { exec: check.sh } or { pid: /run/x.pid }`
	if f.Value.Is(strictyaml.Text) && f.Value.Text == "none" {
		return Check{}
	}
	if f.Value.Kind != strictyaml.Map {
		y.Wrong(f.Value, "check: must be %s, not %s", example, strictyaml.What(f.Value))
		return c
	}
	kinds, expects := 0, false
	for _, f := range y.Fields(f.Value, []string{"tcp", "http", "expect", "exec", "pid"}) {
		if f.Key.Text == "expect" {
			c.Expect, expects = y.Number(f, 100, 599), true
			continue
		}
		kinds++
		switch f.Key.Text {
		case "tcp":
			c.Kind, c.Target = TCP, local(y.Number(f, 1, math.MaxUint16))
		case "http":
			c.Kind, c.Target = HTTP, readURL(y, f)
		case "exec":
			c.Kind, c.Target = Exec, readScript(y, f, scripts)
		case "pid":
			c.Kind, c.Target = PID, readPath(y, f)
		}
	}
	switch {
	case kinds != 1:
		y.Wrong(f.Value, "check: must be one of %s", example)
	case expects && c.Kind != HTTP:
		y.Wrong(f.Value, "check: only an http check can expect a status")
	case c.Kind == HTTP && !expects:
		c.Expect = 200
	}
	return c
}

// readURL reads ":8080/status": what is left out is this machine.
func readURL(y *strictyaml.File, f strictyaml.Field) string {
	text, ok := y.Text(f)
	if !ok {
		return ""
	}
	whole := text
	if strings.HasPrefix(text, ":") {
		whole = "http://127.0.0.1" + text
	}
	u, err := url.Parse(whole)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || human.Printable(whole) != whole {
		const example = `":8080/status" or "https://127.0.0.1:8443/"`
		y.Wrong(f.Value, "http: %s is not an address, as in %s", human.Quote(text), example)
	}
	return whole
}

// readScript reads the name of a script beside service.yaml.
func readScript(y *strictyaml.File, f strictyaml.Field, scripts []string) string {
	text, ok := y.Text(f)
	near := strictyaml.Nearest(text, scripts)
	switch {
	case !ok || slices.Contains(scripts, text):
	case strings.Contains(text, "/") || human.Printable(text) != text:
		y.Wrong(f.Value, "exec: %s is not the name of a script beside service.yaml", human.Quote(text))
	case near != "":
		y.Wrong(f.Value, "exec: there is no script %s beside service.yaml, did you mean %s?", human.Quote(text), near)
	default:
		y.Wrong(f.Value, "exec: there is no script %s beside service.yaml", human.Quote(text))
	}
	return text
}

// readPath reads the absolute path of a file.
func readPath(y *strictyaml.File, f strictyaml.Field) string {
	text, ok := y.Text(f)
	if ok && (!path.IsAbs(text) || human.Printable(text) != text) {
		y.Wrong(f.Value, "%s: %s is not an absolute path", f.Key.Text, human.Quote(text))
	}
	return text
}

// String is the check in words: "tcp 127.0.0.1:3306".
func (c Check) String() string {
	switch c.Kind {
	case TCP:
		return "tcp " + c.Target
	case HTTP:
		return fmt.Sprintf("http %s, expecting %d", c.Target, c.Expect)
	case Exec:
		return "exec " + c.Target
	case PID:
		return "pid " + c.Target
	}
	return "none"
}
