package run

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/addagent/addagent/work"
)

// Environment is what a script is told in its environment: facts about the machine, the node and the run. Empty values
// are told as empty variables, so that a script under `set -u` can ask for each.
type Environment struct {
	// The machine.
	Path      string            // "" = the usual system folders
	UserHome  string            // HOME
	User      string            // USER and LOGNAME
	Inherited []string          // the agent's own environment, of which only the proxy variables are passed on
	Extra     map[string]string // work.env of the config: stands above all before, below what the agent itself says

	// The node.
	Home         string            // ADD_HOME: where nodeinfo/ and gitrepo/ are
	GitrepoDir   string            // REPO_ROOT: the folder of all clones
	NodeID       string            // ADD_NODE_ID, INSTANCE_ID
	Nodepart     string            // ADD_NODEPART
	Stacktype    string            // ADD_STACKTYPE
	Deployment   string            // ADD_DEPLOYMENT
	State        string            // ADD_STATE: when the work was started
	Fields       map[string]string // every nodeinfo field: ADD_NODEINFO_<FIELD>, but for those that look like secrets
	NodesFile    string            // ADD_NODES_FILE
	ServicesFile string            // ADD_SERVICES_FILE

	// The run.
	Verdict     work.Verdict // ADD_VERDICT
	Repo        string       // ADD_REPO
	RepoDir     string       // ADD_REPO_DIR, GIT_ROOT
	Level       work.Level   // ADD_LEVEL
	Item        string       // ADD_ITEM
	RunID       string       // ADD_RUN_ID
	Version     string       // ADD_VERSION, GIT_VERSION: full commit id
	Previous    string       // ADD_PREVIOUS_VERSION, PREV_WORK_VERSION: of the last success; "" = none
	ChangedFile string       // ADD_CHANGED_FILE: a list of changed paths, one a line, see changedList; "" = not known
	Attempt     int          // ADD_ATTEMPT, from 1
	Temp        string       // ADD_TEMP: the item's own folder below .temp/add
}

// Bounds of the nodeinfo fields in the environment. The kernel refuses to start anything whose environment is larger
// than 2 MB in all or 128 KB in one variable, or smaller where `ulimit -s` is: a file that somebody laid into nodeinfo/
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

// Environ is the environment of a script, built from nothing and sorted: no variable that is not named here reaches it
// by itself. In particular no NOTIFY_SOCKET, with which it could speak to systemd for the agent, no GODEBUG, no secret
// of the agent. left names the fields of nodeinfo that are too large.
func Environ(s Environment) (list, left []string) {
	env := map[string]string{
		"PATH":    cmp.Or(s.Path, usualPath),
		"HOME":    s.UserHome,
		"USER":    s.User,
		"LOGNAME": s.User,
		"SHELL":   "/bin/bash",
		"LANG":    "C.UTF-8",
	}
	maps.Copy(env, proxies(s.Inherited))
	maps.Copy(env, s.Extra)
	room := fieldsMax
	// The small ones first: none of them is left out because somebody laid large ones beside it.
	for _, field := range slices.SortedFunc(maps.Keys(s.Fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(s.Fields[a]), len(s.Fields[b])), strings.Compare(a, b))
	}) {
		value := s.Fields[field]
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
		"ADD_VERDICT":          string(s.Verdict),
		"ADD_REPO":             s.Repo,
		"ADD_REPO_DIR":         s.RepoDir,
		"ADD_LEVEL":            string(s.Level),
		"ADD_ITEM":             s.Item,
		"ADD_RUN_ID":           s.RunID,
		"ADD_VERSION":          s.Version,
		"ADD_PREVIOUS_VERSION": s.Previous,
		"ADD_CHANGED_FILE":     s.ChangedFile,
		"ADD_ATTEMPT":          strconv.Itoa(s.Attempt),
		"ADD_TEMP":             s.Temp,
		"ADD_HOME":             s.Home,
		"ADD_NODE_ID":          s.NodeID,
		"ADD_NODEPART":         s.Nodepart,
		"ADD_STACKTYPE":        s.Stacktype,
		"ADD_DEPLOYMENT":       s.Deployment,
		"ADD_STATE":            s.State,
		"ADD_NODES_FILE":       s.NodesFile,
		"ADD_SERVICES_FILE":    s.ServicesFile,

		// The names of the shell scripts that ADD began with.
		"GIT_VERSION":       s.Version,
		"PREV_WORK_VERSION": s.Previous,
		"REPO_ROOT":         s.GitrepoDir,
		"GIT_ROOT":          s.RepoDir,
		"INSTANCE_ID":       s.NodeID,
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
		name, value, ok := strings.Cut(entry, "=")
		if !ok {
			continue
		}
		switch strings.ToLower(name) {
		case "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy":
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
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, field)
}
