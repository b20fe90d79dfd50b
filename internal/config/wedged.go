package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/addagent/addagent/internal/human"
)

// cloud checks what may be told to the cloud: without root nothing is.
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
		text := `needs ec2.tags: with "off" nothing is told to EC2`
		if !l.o.Root {
			text = "needs root, and the agent does not run as root: remove the key"
		}
		l.say(l.at[hook], hook, text)
	}
}

// kill checks that the way to end a wedged node can be gone.
func (l *loader) kill() {
	const key, command = "wedged.kill", "wedged.command"
	w := l.c.Wedged
	say := func(text string) { l.say(l.at[key], key, text) }
	l.program(command, w.Command)
	switch {
	case w.Kill == "command" && len(w.Command) == 0 && !l.complains(command):
		say("command needs wedged.command beside it")
	case w.Kill != "command" && len(w.Command) > 0 && !l.complains(key):
		l.say(l.at[command], command, "is only for kill: command, and kill is "+w.Kill+": remove it, or change kill")
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
		say(w.Kill + ` needs ec2.tags: with "off" nothing is told to EC2`)
	}
}

func checkEndpoint(s string) string {
	const forms = "write https:// or http://host, such as https://ec2.eu-west-1.amazonaws.com"
	u, err := url.Parse(s)
	switch {
	case odd(s) || strings.ContainsFunc(s, unicode.IsSpace):
		return "holds a space or a control character: remove it"
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
		return "is no URL of https or http: " + forms
	case u.User != nil:
		return "holds a user: take it out, the cloud knows the instance by its role"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "must not hold ? or #"
	case !validPort(u.Port()):
		return "the port must be between 1 and 65535"
	}
	return ""
}

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func checkRegion(s string) string {
	if !regionName.MatchString(s) || len(s) > 60 {
		return human.Quote(s) + " is no name of a region: write one, such as eu-west-1"
	}
	return ""
}

// hookName is what the API of EC2 Auto Scaling takes as LifecycleHookName.
var hookName = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,255}$`)

func checkLifecycleHook(s string) string {
	if !hookName.MatchString(s) {
		return human.Quote(s) + " is no name of a lifecycle hook: use letters, digits, _, - and /"
	}
	return ""
}

// checkTextfile wants the ending that node_exporter looks for: it would read nothing else.
func checkTextfile(s string) string {
	if problem := checkPath(s); problem != "" {
		return problem
	}
	if !strings.HasSuffix(s, ".prom") || strings.HasSuffix(s, "/.prom") {
		return human.Quote(s) + " does not end in .prom: node_exporter reads no other file"
	}
	return ""
}

// checkListen takes only what other machines cannot reach: whoever asks is not asked who it is.
func checkListen(s string) string {
	const forms = "write a loopback address and port, such as 127.0.0.1:9464"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return human.Quote(s) + " is no address with a port: " + forms
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host != "localhost" && (err != nil || !ip.IsLoopback() || ip.Zone() != ""):
		return human.Quote(s) + " can be reached from elsewhere: " + forms
	case port == "" || !validPort(port):
		return "the port must be between 1 and 65535"
	}
	return ""
}
