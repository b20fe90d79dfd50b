package run

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/addagent/addagent/work"
)

// Bounds of the nodeinfo fields in the environment. The kernel refuses to start anything whose environment is larger
// than 2 MB in all or 128 KB in one variable, or smaller where `ulimit -s` is: a file put into nodeinfo/
// must not stop all work.
const (
	fieldMax  = 8 << 10
	fieldsMax = 256 << 10
)

// usualPath is the PATH of scripts, unless the config has another.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// pathWith is the usual PATH with one more folder behind all others: that of the agent, so that a script finds it
// wherever it was installed.
func pathWith(folder string) string {
	if folder == "" || strings.Contains(folder, ":") || slices.Contains(strings.Split(usualPath, ":"), folder) {
		return usualPath
	}
	return usualPath + ":" + folder
}

// environ is the environment of the script of an order, built from nothing and sorted: no variable that is not named
// here reaches it by itself. In particular no NOTIFY_SOCKET, with which it could speak to systemd for the agent, no
// GODEBUG, no secret of the agent. What is not known is an empty variable, so that a script under `set -u` can ask for
// it. left names the fields of nodeinfo that are too large.
func (r *Runner) environ(it work.Item, e work.Env, o Order) (list, left []string) {
	env := map[string]string{
		"PATH":    pathWith(r.Self),
		"HOME":    r.UserHome,
		"USER":    r.User,
		"LOGNAME": r.User,
		"SHELL":   "/bin/bash",
		"LANG":    "C.UTF-8",
	}
	maps.Copy(env, proxies(r.Inherited))
	maps.Copy(env, r.Env)
	room := fieldsMax
	// The small ones first: none of them is left out because of large ones.
	for _, field := range slices.SortedFunc(maps.Keys(e.Fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(e.Fields[a]), len(e.Fields[b])), strings.Compare(a, b))
	}) {
		value := e.Fields[field]
		switch {
		case looksSecret(field):
		case len(value) > min(fieldMax, room):
			left = append(left, field)
		default:
			env["ADD_NODEINFO_"+variable(field)] = value
			room -= len(value)
		}
	}
	maps.Copy(env, map[string]string{
		"ADD_VERDICT":          string(o.Attempt.Verdict),
		"ADD_REPO":             o.Repo,
		"ADD_REPO_DIR":         o.RepoDir,
		"ADD_LEVEL":            string(it.Level),
		"ADD_ITEM":             o.Item,
		"ADD_RUN_ID":           o.Attempt.RunID,
		"ADD_VERSION":          o.Attempt.Version,
		"ADD_PREVIOUS_VERSION": o.Attempt.Previous,
		"ADD_CHANGED_FILE":     o.ChangedFile,
		"ADD_ATTEMPT":          strconv.Itoa(o.Attempt.Attempt),
		"ADD_TEMP":             o.Memory,
		"ADD_HOME":             r.Home,
		"ADD_NODE_ID":          e.NodeID,
		"ADD_NODEPART":         e.Nodepart,
		"ADD_STACKTYPE":        e.Stacktype,
		"ADD_DEPLOYMENT":       e.Deployment,
		"ADD_STATE":            e.State,
		"ADD_NODES_FILE":       filepath.Join(r.Home, "nodeinfo", "nodes.json"),
		"ADD_SERVICE":          it.Service,
		"ADD_SERVICE_PORT":     it.PortText(),
		"ADD_SERVICES_FILE":    cmp.Or(o.Services, filepath.Join(r.Home, "nodeinfo", "services.json")),

		// The names of the shell scripts that ADD began with.
		"GIT_VERSION":       o.Attempt.Version,
		"PREV_WORK_VERSION": o.Attempt.Previous,
		"REPO_ROOT":         filepath.Join(r.Home, "gitrepo"),
		"GIT_ROOT":          o.RepoDir,
		"INSTANCE_ID":       e.NodeID,
	})
	list = make([]string, 0, len(env))
	for name, value := range env {
		// The kernel ends an entry at a zero byte: what came behind it would be lost in silence, so nothing of it is
		// told.
		if entry := name + "=" + value; name != "" && !strings.ContainsRune(name, '=') && !strings.ContainsRune(entry, 0) {
			list = append(list, entry)
		}
	}
	slices.Sort(list)
	return list, left
}

// proxies are the variables by which curl, git, apt and most others find a proxy; they read either spelling, so both
// are passed as they are.
func proxies(environ []string) map[string]string {
	found := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}, strings.ToLower(name)) {
			found[name] = value
		}
	}
	return found
}

// looksSecret recognises nodeinfo fields like access_key: they are for the agent's host, not for every script.
func looksSecret(field string) bool {
	field = strings.ToLower(field)
	return slices.ContainsFunc([]string{"key", "secret", "token", "pass"}, func(word string) bool { return strings.Contains(field, word) })
}

// variable is a field's name as part of a variable's: INSTANCE_ID for instance-id.
func variable(field string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(field))
}
