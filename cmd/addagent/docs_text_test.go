package main

import (
	"testing"

	"github.com/addagent/addagent/internal/cli/clitest"
)

// aboutNode is what no command says of itself: which commands belong together, the
// files of a node, and the environment.
func aboutNode() (also map[string][]string, files, environment []clitest.Block) {
	also = map[string][]string{
		"run": {"beat", "status", "log"}, "beat": {"run", "plan", "why"}, "plan": {"beat", "why"}, "status": {"why", "log"},
		"why": {"status", "log", "plan"}, "log": {"why", "status"}, "check": {"run"}, "example": {"run"},
		"disable": {"enable", "status"}, "enable": {"disable"}, "wedge": {"unwedge", "why"}, "unwedge": {"wedge", "why"},
	}
	files = []clitest.Block{
		{Text: "Below home (/root, or the home folder of who is not root):"},
		{Term: "nodeinfo/nodepart.txt, stacktype.txt, deployment.txt, initgitrepo.txt", Text: "who this node is: one bare value a file, written by people"},
		{Term: "nodeinfo/instance-id.txt, state.txt, statetss.txt, statelog.txt", Text: "its name, its state, the time of its last step in the life cycle, and those steps"},
		{Term: "nodeinfo/beat.json", Text: "the last beat: looks, verdicts, work, troubles, the next beat (docs/beats.schema.json)"},
		{Term: "nodeinfo/presence.json", Text: "this node's record"},
		{Term: "gitrepo/REPO/", Text: "the clones: .git and .temp belong to the agent, the rest is the tracked tree"},
		{Term: "gitrepo/REPO/.temp/add/ITEM/work.sh_VERSION", Text: "the commit of the last success; deleting it says \"again\""},
		{Term: "gitrepo/REPO/.temp/add/ITEM/work.sh_WATCH_PATH.txt", Text: "a local override of what the item watches, a path a line"},
		{Term: "gitrepo/REPO/.temp/add/ITEM/work.sh_RESULT.json", Text: "the last success and the last attempt (docs/result.schema.json)"},
		{Term: "log/addagent.log", Text: "a line a beat, every transition, start and end of work; rotated by the agent"},
		{Term: "log/work/REPO_ITEM/latest.log", Text: "what a script said when it ran last; older runs stand beside it"},
		{Term: "log/beats.jsonl", Text: "one decision record a beat, rotated (docs/beats.schema.json)"},
		{Text: "Elsewhere, for root; others have the folders of the XDG base directory specification:"},
		{Term: "/etc/addagent/addagent.yaml, addagent.d/*.yaml", Text: "the config: addagent.yaml(5)"},
		{Term: "/run/addagent/beat.lock, work.lock", Text: "who beats, and what works, here: held locks, the files are never deleted"},
		{Term: "/var/lib/addagent/instance.json, init/", Text: "who this node is, bound to its hardware, and the memory of its init"},
		{Term: "/var/lib/addagent/disabled/, wedged.json", Text: "what people said with disable and wedge"},
		{Term: "/var/lib/addagent/asked/", Text: "requests that the next beat obeys"},
		{Term: "/var/lib/addagent/config/", Text: "the last good config"},
		{Term: "/var/lib/addagent/remotes/", Text: "for each repository the last commit that was accepted, and until when a server is left alone"},
	}
	environment = []clitest.Block{
		{Term: "XDG_RUNTIME_DIR, XDG_STATE_HOME", Text: "where locks and state are when the agent does not run as root"},
		{Term: "HOME, USER", Text: "of the account, when it is in no user database"},
		{Term: "https_proxy, http_proxy, no_proxy", Text: "the proxy of https and http, in either spelling, when the config names none; passed on to scripts"},
		{Term: "SSL_CERT_FILE, SSL_CERT_DIR", Text: "the system's certificates, where they are not in the usual place"},
		{Term: "SSH_AUTH_SOCK", Text: "an agent that holds keys for ssh, asked when the config names none"},
		{Term: "ADD_SECRET_*", Text: "a secret that the config names as env:ADD_SECRET_NAME"},
		{Term: "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", Text: "credentials for tags and the rest of EC2, in place of the instance's role"},
		{Term: "AWS_EC2_METADATA_SERVICE_ENDPOINT", Text: "where the metadata service is, when it is not where it always is"},
		{Term: "SUDO_USER", Text: "who is behind disable, wedge and beat --again"},
		{Term: "ADD_RUN_ID, ADD_TEMP, ADD_REPO, ADD_ITEM", Text: "set for a work script: with them addagent wedge speaks for its item"},
		{Term: "ADD_SERVICES_FILE", Text: "set for a work script: addagent services reads it"},
		{Term: "TMPDIR", Text: "where addagent plan fetches to"},
		{Term: "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, JOURNAL_STREAM", Text: "set by systemd: readiness, watchdog, and lines with priorities instead of times"},
		{Term: "NO_COLOR", Text: "respected: nothing that addagent prints has colours, on a terminal or a pipe"},
		{Text: "The environment of a script is built anew: of these it gets the proxy variables, HOME and USER alone."},
	}
	return also, files, environment
}

// aboutConfig is what stands around the keys.
func aboutConfig() (about []clitest.Block, example string, files []clitest.Block) {
	about = []clitest.Block{
		{Text: "The config is YAML. Every key is optional, and addagent runs without any config, over every clone that it finds in gitrepo/. An unknown key, a wrong type or a bad value is an error with file, line and column, and all of them are said at once; addagent check prints them, and every key as it is in force with where it was set."},
		{Text: "After addagent.yaml the files of addagent.d beside it are read in the order of their names: lists append, single values replace."},
		{Text: "Secrets are not written here: a key names the file that holds one (*_file), or a variable of the environment, or a program to ask. The file is read anew when it changes."},
		{Text: "A duration is a number with a unit (ms, s, m, h), such as 90s or 1h30m. Defaults are those of root; others have their home folder, and locks and state below the folders that XDG_RUNTIME_DIR and XDG_STATE_HOME name."},
	}
	example = `home: /root
beat:
  schedule: "* * * * *"
  spread: 50s
repos:
  - name: ops
    url: [ https://git.example.org/ops.git, https://mirror.example.org/ops.git ]
    branch: "{deployment}"
    auth: { token_file: /etc/addagent/git-token }
  - name: app
    url: git@git.example.org:app.git
    auth: { ssh_key_file: /etc/addagent/git-key, known_hosts_file: /etc/addagent/known_hosts }
work: { timeout: 30m, env: { LC_ALL: C.UTF-8 } }
`
	files = []clitest.Block{
		{Term: "/etc/addagent/addagent.yaml", Text: "read unless --config names another; it need not be there"},
		{Term: "/etc/addagent/addagent.d/*.yaml", Text: "read after it, in the order of their names"},
	}
	return about, example, files
}

// TestDocsNameTheEnvironment finds the variables that the code asks for and the
// manual page does not name.
func TestDocsNameTheEnvironment(t *testing.T) {
	manual().TestEnvironment(t, ".", "../../internal/config", "../../systemd", "../../internal/cli", "../../internal/gitrepo", "../../internal/node", "../../work", "../../agent")
}
