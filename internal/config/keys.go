package config

import (
	"slices"
	"time"
)

// leaves is the one table of the keys, bound to the fields of c, in the order of the documentation.
func (c *Config) leaves() []leaf {
	return slices.Concat(c.beatLeaves(), c.gridLeaves(), []leaf{
		word("log.level", &c.Log.Level, []string{"debug", "info", "warn", "error"}).means("Less important messages are not logged."),
		word("log.format", &c.Log.Format, []string{"text", "json"}).means("The format of log/addagent.log."),
		truth("log.file", &c.Log.File).means("Write log/addagent.log."),
		number("log.max_size_mb", &c.Log.MaxSizeMB, 1).means("Start a new file at this size, in megabytes."),
		number("log.keep", &c.Log.Keep, 1).means("How many old files to keep."),
	})
}

// beatLeaves are about what a node looks at and works.
func (c *Config) beatLeaves() []leaf {
	return []leaf{
		pathText("home", &c.Home).means("The folder of nodeinfo/, gitrepo/ and log/. Without root: the user's home."),
		pathText("run_dir", &c.RunDir).means("The folder of locks. It is never deleted while the agent runs. " +
			"Without root: $XDG_RUNTIME_DIR/addagent, else run in state_dir."),
		pathText("state_dir", &c.StateDir).means("The folder of what must survive a wiped clone: the node's identity, the last good config. " +
			"Without root: $XDG_STATE_HOME/addagent, else ~/.local/state/addagent."),

		text("beat.schedule", &c.Beat.Schedule, notEmpty).means(`When to look: five-field cron in UTC, or "@every 10s".`).takes("a schedule"),
		duration("beat.spread", &c.Beat.Spread, 0).means("Each node looks later by its own fixed offset, which is below this and below the interval."),
		duration("beat.work_spread", &c.Beat.WorkSpread, 0).means("The same between a look that found something and its work; use minutes for a thousand nodes."),
		duration("beat.look_timeout", &c.Beat.LookTimeout, 1).means("The longest time to ask one repository whether something is new."),
		duration("beat.fetch_stall", &c.Beat.FetchStall, 1).means("A fetch ends after this time without progress."),
		duration("beat.fetch_timeout", &c.Beat.FetchTimeout, 1).means("The longest time for a whole fetch."),

		entries("repos", "repositories", &c.Repos, newRepo(), (*Repo).leaves, (*loader).repo).
			means("The repositories to work. Without any, every clone in gitrepo/ is worked."),
		truth("discover", &c.Discover).means("With repos: also work the other clones in gitrepo/."),

		text("network.proxy", &c.Network.Proxy, checkProxy).hides(withoutPassword).takes("a URL").like("http://proxy.example.org:3128").
			means("The proxy of https and http: http://, https:// or socks5://host:port. Without it, the usual variables of " +
				"the environment apply (https_proxy, http_proxy, no_proxy). ssh, git and paths never use it."),
		texts("network.no_proxy", listOnly, &c.Network.NoProxy, checkNoProxy).takes("a list").like("[git.example.org, .internal, 10.0.0.0/8]").
			means("Servers to reach without the proxy: a host and all below it, .domain for only those below, an address, " +
				"a network; each may end in :port. * means all."),
		pathText("network.ca_file", &c.Network.CAFile).like("/etc/addagent/ca.pem").
			means("Certificates (PEM) of authorities to trust in addition to those of the system."),
		pathText("network.client_cert_file", &c.Network.ClientCertFile).like("/etc/addagent/client.pem").
			means("The certificate (PEM) of this node for servers that ask for one; its chain may follow in the same file."),
		text("network.client_key_file", &c.Network.ClientKeyFile, checkSecretPath).takes("a path").like("/etc/addagent/client.key").
			means("The key (PEM) of client_cert_file."),

		duration("work.timeout", &c.Work.Timeout, 1).means("A script that runs longer gets TERM."),
		duration("work.grace", &c.Work.Grace, 1).means("A script that still runs this long after TERM is killed."),
		duration("work.retry_first", &c.Work.RetryFirst, 1).means("The delay after the first failure; it grows with each."),
		duration("work.retry_max", &c.Work.RetryMax, 1).means("The longest delay."),
		number("work.wedge_after", &c.Work.WedgeAfter, 1).means("How many failures in a row make the node wedged."),
		leaf{key: "work.env", section: section{empty: "{}", read: (*loader).env, lines: c.Work.envLines}}.takes("a map of names and texts").like("{ LC_ALL: C.UTF-8 }").
			means("Added to the environment of scripts. Do not put secrets here: everyone who can read this file can read them."),
	}
}

// gridLeaves are about what a node tells others, and learns from them.
func (c *Config) gridLeaves() []leaf {
	presence := slices.Concat(
		[]leaf{text("presence.url", &c.Presence.URL, orNothing(checkURL)).takes("a URL").like("git@git.example.org:presence.git").
			means("The presence repository, in any form of repos[].url; it is never worked. Without it, presence is off.")},
		authLeaves(&c.Presence.Auth, "presence.auth."),
		[]leaf{
			text("presence.ref_prefix", &c.Presence.RefPrefix, checkRefPrefix).takes("the beginning of a ref's name").
				means("The prefix of the nodes' refs: branches show in every git browser, refs/presence/ hides them."),
			duration("presence.refresh", &c.Presence.Refresh, 5*time.Second).
				means("Nodes without news push at least this often; large fleets push less often."),
			between("presence.pushes_per_minute", &c.Presence.PushesPerMinute, 1, 6000).
				means("How many pushes the repository takes from all nodes together. The default suits public hosts. On your own server use 300 for each core " +
					"that presence may use; the more, the sooner a large fleet notices a dead node (docs/fleet.md)."),
			duration("presence.read", &c.Presence.Read, 0).means("How often to read the other nodes into nodeinfo/nodes.json; 0s means never."),
			truth("presence.output", &c.Presence.Output).
				means("Presence and rooms show, with a failure, the last line that the script wrote. Leave it off where output may hold secrets."),
		})
	requests := slices.Concat(
		[]leaf{text("requests.url", &c.Requests.URL, orNothing(checkURL)).takes("a URL").like("git@git.example.org:requests.git").
			means("The repository in which a doctor asks something of this node, at refs/heads/request/ID (docs/doctor.md). The node must only be able " +
				"to read it. Without it, nothing is asked.")},
		authLeaves(&c.Requests.Auth, "requests.auth."),
		[]leaf{texts("requests.allow", listOnly, &c.Requests.Allow, oneOf([]string{"work", "install", "start", "stop", "restart", "drain", "undrain"})).takes("a list").
			means("What may be asked: work makes items work again, the others are about a service that this node offers (docs/doctor.md).")})
	return append(slices.Concat(presence, requests),
		entries("chat", "rooms", &c.Chat, newRoom(), (*Room).leaves, (*loader).room).
			means("The chat rooms where transitions are told."),

		word("ec2.tags", &c.EC2.Tags, []string{"auto", "on", "off"}).
			means(`Whether to show the state in EC2 tags; "auto" means on when the metadata service answers. Without root: "off".`),
		text("ec2.endpoint", &c.EC2.Endpoint, orNothing(checkEndpoint)).takes("a URL").like("https://ec2.eu-west-1.amazonaws.com").
			means("The endpoint of EC2 and Auto Scaling: https:// or http://host. Without it, those of the region."),
		text("ec2.region", &c.EC2.Region, orNothing(checkRegion)).takes("the name of a region").like("eu-west-1").
			means("Without it, the region of the instance."),
		text("ec2.lifecycle_hook", &c.EC2.LifecycleHook, orNothing(checkLifecycleHook)).takes("the name of a hook").like("addagent").
			means("The launching lifecycle hook of the Auto Scaling group, which the node completes once it is initdone."),

		word("wedged.kill", &c.Wedged.Kill, []string{"none", "poweroff", "asg-unhealthy", "terminate", "command"}).
			means("How to end a machine that stays wedged while its peers do not. asg-unhealthy and terminate need presence and EC2. The safeguards are in docs/presence.md."),
		duration("wedged.after", &c.Wedged.After, 10*time.Second).means("How long the machine must have been wedged."),
		command("wedged.command", &c.Wedged.Command).like("[/usr/local/sbin/replace-me, --now]").
			means("With kill: command, the program to start."),

		text("metrics.textfile", &c.Metrics.Textfile, orNothing(checkTextfile)).takes("a path").like("/var/lib/node_exporter/addagent.prom").
			means("A file for the textfile collector of node_exporter; its name must end in .prom."),
		text("metrics.listen", &c.Metrics.Listen, orNothing(checkListen)).takes("a loopback address and port").like("127.0.0.1:9464").
			means("Where to serve /metrics to programs on this machine."),
	)
}

func newRepo() Repo { return Repo{Rewind: "follow", Verify: "off"} }

func (r *Repo) leaves() []leaf {
	return slices.Concat([]leaf{
		text("name", &r.Name, checkRepoName).takes("the name of a folder").like("ops").
			means("The folder below gitrepo/. Default: the last part of the first URL."),
		texts("url", oneOrAll, &r.URLs, checkURL).takes("a URL or a list").like("https://git.example.org/ops.git").
			means("https://, http://, ssh:// or git://host/path, user@host:path, file:///path or an absolute path. " +
				"A list names mirrors: when one fails, the next is tried."),
		text("branch", &r.Branch, checkBranch).takes("the name of a branch").like("main").
			means(`Default: the remote's HEAD. Fields of nodeinfo are replaced: "{deployment}".`),
	}, authLeaves(&r.Auth, "auth."), []leaf{
		word("rewind", &r.Rewind, []string{"follow", "refuse"}).means("What to do when the branch was rewritten or moved back: follow (with a notice) or refuse."),
		word("verify.mode", &r.Verify, []string{"off"}, "warn", "enforce").means(`Signatures: only "off" in this version.`),
		{key: "verify.signers_file", later: true},
	})
}

func authLeaves(a *Auth, prefix string) []leaf {
	return []leaf{
		secretFile(prefix+"token_file", &a.TokenFile).like("/etc/addagent/git-token").
			means("For https: a token. The file is read again when it changes; " +
				"env:ADD_SECRET_NAME takes the token from that variable of the agent's environment."),
		text(prefix+"username", &a.Username, notEmpty).like("bot").
			means("For https: the name for password_file, or for command."),
		secretFile(prefix+"password_file", &a.PasswordFile).like("/etc/addagent/git-password").
			means("For https: a password, in a file or in the environment as with token_file."),
		command(prefix+"command", &a.Command).like("[/usr/local/bin/git-credential-vault, --role, node]").
			means("For https: a program that speaks git's credential-helper protocol (git help credentials). " +
				"It is called with get appended, and again when the server refuses its answer."),
		texts(prefix+"ssh_key_file", oneOrAll, &a.SSHKeyFiles, checkSecretPath).takes("a path or a list").like("/etc/addagent/git-key").
			means("For ssh: the private key; several are tried in order."),
		pathText(prefix+"known_hosts_file", &a.KnownHostsFile).like("/etc/addagent/known_hosts").
			means("For ssh: the servers' keys, as ssh-keyscan writes them. Unknown and changed keys are refused."),
	}
}

func newRoom() Room { return Room{Only: "all", From: "node"} }

func (r *Room) leaves() []leaf {
	return []leaf{
		secretFile("url_file", &r.URLFile).like("/etc/addagent/chat-url").
			means("The file with the URL of the room, which is a secret. It is read again when it changes; " +
				"env:ADD_SECRET_NAME works as with token_file."),
		text("url", &r.URL, checkRoomURL).hides(maskRoomURL).takes("a URL").like("slack://hook:TOKEN@webhook").
			means("Instead of url_file: the URL itself, in a config that no one else can read."),
		word("only", &r.Only, []string{"all", "critical"}).means("What to tell there: all transitions that docs/chat.md lists, or only critical ones."),
		word("from", &r.From, []string{"node", "fleet"}).
			means("Who tells it: each node, or for all of them the control node that folds presence, with a line per version, part and state."),
	}
}

// known are the keys of leaves.
func known(leaves []leaf) []string {
	keys := make([]string, len(leaves))
	for i, l := range leaves {
		keys[i] = l.key
	}
	return keys
}

// now are the leaves that are in this version.
func now(leaves []leaf) []leaf {
	return slices.DeleteFunc(slices.Clone(leaves), func(l leaf) bool { return l.later })
}

func find(leaves []leaf, key string) (leaf, bool) {
	i := slices.IndexFunc(leaves, func(l leaf) bool { return l.key == key })
	if i < 0 {
		return leaf{}, false
	}
	return leaves[i], true
}

func (l leaf) means(doc string) leaf { l.doc = doc; return l }

func (l leaf) takes(what string) leaf { l.is = what; return l }

func (l leaf) like(example string) leaf { l.example = example; return l }

func (l leaf) hides(shown func(string) string) leaf { l.shown = shown; return l }
