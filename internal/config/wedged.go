package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
)

// cloud checks the keys of ec2: without root the node tells the cloud nothing.
func (l *loader) cloud() {
	const tags, hook = "ec2.tags", "ec2.lifecycle_hook"
	c := &l.c.EC2
	at, set := l.at[tags]
	switch {
	case l.o.Root:
	case c.Tags == "on":
		l.say(at, tags, `on needs root, and the agent does not run as root: write "off", or remove the key`)
	case c.Tags == "auto":
		c.Tags = "off"
		if set {
			l.note(at, tags, `auto means "off" without root`)
		}
	}
	if c.LifecycleHook != "" && c.Tags == "off" {
		text := `needs ec2.tags: "off" tells EC2 nothing`
		if !l.o.Root {
			text = "needs root, and the agent does not run as root: remove the key"
		}
		l.say(l.at[hook], hook, text)
	}
}

// kill checks that this node can end itself in the configured way.
func (l *loader) kill() {
	const key, command = "wedged.kill", "wedged.command"
	w := l.c.Wedged
	say := func(text string) { l.say(l.at[key], key, text) }
	l.program(command, w.Command)
	switch {
	case w.Kill == "command" && len(w.Command) == 0 && !l.complains(command):
		say("command needs wedged.command")
	case w.Kill != "command" && len(w.Command) > 0 && !l.complains(key):
		l.say(l.at[command], command, "is only for kill: command, but kill is "+w.Kill+": remove it, or change kill")
	}
	if w.Kill != "none" && !l.o.Root {
		say(w.Kill + ` needs root, and the agent does not run as root: write "none", or remove the key`)
	}
	if w.Kill != "asg-unhealthy" && w.Kill != "terminate" {
		return
	}
	if l.c.Presence.URL == "" && !l.complains("presence.url") {
		say(w.Kill + " needs presence.url: only presence shows that other nodes can do what this one cannot")
	}
	if l.c.EC2.Tags == "off" && l.o.Root {
		say(w.Kill + ` needs ec2.tags: "off" tells EC2 nothing`)
	}
}

func checkEndpoint(s string) string {
	const forms = "write https:// or http://host, such as https://ec2.eu-west-1.amazonaws.com"
	u, err := url.Parse(s)
	switch {
	case err != nil || odd(s) || strings.Contains(s, " ") || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
		return "is not a URL of https or http: " + forms
	case u.User != nil:
		return "contains a user: remove it, the cloud knows the instance by its role"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "must not contain ? or #"
	case !address.ValidPort(u.Port()):
		return "the port must be between 1 and 65535"
	}
	return ""
}

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func checkRegion(s string) string {
	if !regionName.MatchString(s) || len(s) > 60 {
		return human.Quote(s) + " is not the name of a region: write one, such as eu-west-1"
	}
	return ""
}

// hookName is a LifecycleHookName for the API of EC2 Auto Scaling.
var hookName = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,255}$`)

func checkLifecycleHook(s string) string {
	if !hookName.MatchString(s) {
		return human.Quote(s) + " is not the name of a lifecycle hook: use letters, digits, _, - and /"
	}
	return ""
}

// checkTextfile requires the ending .prom: node_exporter reads no other files.
func checkTextfile(s string) string {
	if problem := checkPath(s); problem != "" {
		return problem
	}
	if !strings.HasSuffix(s, ".prom") || strings.HasSuffix(s, "/.prom") {
		return human.Quote(s) + " does not end in .prom: node_exporter reads no other files"
	}
	return ""
}

// checkListen takes only addresses that other machines cannot reach: there is no authentication.
func checkListen(s string) string {
	const forms = "write a loopback address and port, such as 127.0.0.1:9464"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return human.Quote(s) + " is not an address with a port: " + forms
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host != "localhost" && (err != nil || !ip.IsLoopback() || ip.Zone() != ""):
		return human.Quote(s) + " can be reached from other machines: " + forms
	case port == "" || !address.ValidPort(port):
		return "the port must be between 1 and 65535"
	}
	return ""
}
