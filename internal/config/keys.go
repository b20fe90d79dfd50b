package config

import (
	"slices"
	"time"

	"github.com/addagent/addagent/internal/strictyaml"
)

// leaf is a key with a value: how a text becomes its value, and back. It is also where the documentation of the key is.
type leaf struct {
	key  string
	kind kind
	list listing
	is   string // what it takes, for people; "" = kind
	doc  string

	example string // as one would write it, where the default shows none

	apply func(text string) (problem string) // leaves the value as it was when there is a problem; of a list: adds an entry
	show  func() string                      // as one would write it, without secrets

	// read is instead of apply and show for what has keys of its own below it.
	read func(l *loader, at place, n strictyaml.Node)
}

// kind is which YAML values a leaf takes.
type kind string

const (
	textual kind = "text"
	numeric kind = "a whole number"
	boolean kind = "true or false"
	timed   kind = "a duration"
)

// listing is whether a leaf takes several values. Those of several files are appended.
type listing int

const (
	single   listing = iota
	oneOrAll         // one value, or a list
	listOnly
)

// laterKeys are known, but what they are for is not in this version.
func laterKeys() []string {
	return []string{"requests"}
}

func laterRepoKeys() []string { return []string{"verify.signers_file"} }

// leaves is the one table of the keys, bound to the fields of c, in the order of the documentation.
func (c *Config) leaves() []leaf {
	return slices.Concat(c.beatLeaves(), c.gridLeaves(), []leaf{
		word("log.level", &c.Log.Level, []string{"debug", "info", "warn", "error"}).means("What is less than this is not said."),
		word("log.format", &c.Log.Format, []string{"text", "json"}).means("How log/addagent.log is written."),
		truth("log.file", &c.Log.File).means("Write log/addagent.log."),
		number("log.max_size_mb", &c.Log.MaxSizeMB, 1).means("Begin a new file when it has grown so large, in megabytes."),
		number("log.keep", &c.Log.Keep, 1).means("How many old files stay."),
	})
}

// beatLeaves are what a node looks at and works.
func (c *Config) beatLeaves() []leaf {
	return []leaf{
		pathText("home", &c.Home).means("Where people's files live: nodeinfo/, gitrepo/, log/. Without root: the user's home."),
		pathText("run_dir", &c.RunDir).means("Locks. Never deleted while the agent runs. " +
			"Without root: $XDG_RUNTIME_DIR/addagent, else run in state_dir."),
		pathText("state_dir", &c.StateDir).means("What must survive a wiped clone: who this node is, the last good config. " +
			"Without root: $XDG_STATE_HOME/addagent, else ~/.local/state/addagent."),

		text("beat.schedule", &c.Beat.Schedule, notEmpty).means(`When to look: five-field cron in UTC, or "@every 10s".`).takes("a schedule"),
		duration("beat.spread", &c.Beat.Spread, 0).means("This node's own offset is below this, and below the interval; it is the same for ever."),
		duration("beat.work_spread", &c.Beat.WorkSpread, 0).means("The same idea between a look that found something and its work; minutes for a thousand nodes."),
		duration("beat.look_timeout", &c.Beat.LookTimeout, 1).means("Asking one repository whether something is new."),
		duration("beat.fetch_stall", &c.Beat.FetchStall, 1).means("No byte, no object, no file for so long ends a fetch."),
		duration("beat.fetch_timeout", &c.Beat.FetchTimeout, 1).means("A whole fetch."),

		leaf{key: "repos", read: (*loader).repos, show: func() string { return "[]" }}.takes("a list of repositories").
			means("The repositories to work. Without any, every clone found in gitrepo/ is worked."),
		truth("discover", &c.Discover).means("With repos: work the other clones in gitrepo/ too."),

		one("network.proxy", &c.Network.Proxy, checkProxy, withoutPassword).takes("a URL").like("http://proxy.example.org:3128").
			means("The proxy of https and http: http://, https:// or socks5://host:port. Without it, the usual variables of " +
				"the environment count (https_proxy, http_proxy, no_proxy). ssh, git and paths never go through it."),
		texts("network.no_proxy", listOnly, checkNoProxy, &c.Network.NoProxy).like("[git.example.org, .internal, 10.0.0.0/8]").
			means("What is asked without the proxy: a host with all below it, .domain with only what is below, an address, " +
				"a network; each may end in :port. * is everything."),
		pathText("network.ca_file", &c.Network.CAFile).like("/etc/addagent/ca.pem").
			means("Certificates (PEM) of the authorities to trust besides those of the system."),
		pathText("network.client_cert_file", &c.Network.ClientCertFile).like("/etc/addagent/client.pem").
			means("The certificate (PEM) that this node shows to servers that ask for one; its chain may follow in the same file."),
		text("network.client_key_file", &c.Network.ClientKeyFile, checkSecretPath).takes("a path").like("/etc/addagent/client.key").
			means("The key (PEM) that belongs to client_cert_file."),

		duration("work.timeout", &c.Work.Timeout, 1).means("A script that runs longer is told to end (TERM)."),
		duration("work.grace", &c.Work.Grace, 1).means("What has not ended so long after TERM is killed."),
		duration("work.retry_first", &c.Work.RetryFirst, 1).means("Delay after the first failure; it grows with each."),
		duration("work.retry_max", &c.Work.RetryMax, 1).means("The longest delay."),
		number("work.wedge_after", &c.Work.WedgeAfter, 1).means("So many failures in a row make the node wedged."),
		leaf{key: "work.env", read: (*loader).env, show: func() string { return "{}" }}.takes("a map of names and texts").like("{ LC_ALL: C.UTF-8 }").
			means("Added to the environment of scripts. No place for secrets: whoever can read this file can read them."),
	}
}

// gridLeaves are what a node says to others, and what they say of it.
func (c *Config) gridLeaves() []leaf {
	presence := slices.Concat(
		[]leaf{text("presence.url", &c.Presence.URL, orNothing(checkURL)).takes("a URL").like("git@git.example.org:presence.git").
			means("The presence repository, in the forms of repos[].url; it is never worked. Without it, presence is off.")},
		authLeaves(&c.Presence.Auth, "presence.auth."),
		[]leaf{
			refPrefix("presence.ref_prefix", &c.Presence.RefPrefix).
				means("Where the refs of the nodes are: branches show in every git browser, refs/presence/ hides them."),
			duration("presence.refresh", &c.Presence.Refresh, 5*time.Second).
				means("Quiet nodes still say that they live, at least this often; stretched with the size of the fleet."),
			between("presence.pushes_per_minute", &c.Presence.PushesPerMinute, 1, 6000).
				means("So many pushes the repository takes from all nodes together: what hosts ask for. On a server of your own 300 for each core " +
					"that presence may have; the more, the sooner a dead node is late in a large fleet (docs/fleet.md)."),
			duration("presence.read", &c.Presence.Read, 0).means("How often to read the others into nodeinfo/nodes.json; 0s is never."),
		})
	return append(presence,
		leaf{key: "chat", read: (*loader).chat, show: func() string { return "[]" }}.takes("a list of rooms").
			means("The rooms where transitions are told."),

		word("ec2.tags", &c.EC2.Tags, []string{"auto", "on", "off"}).
			means(`Telling the state in EC2 tags; "auto" is on when the metadata service answers. Without root: "off".`),
		text("ec2.endpoint", &c.EC2.Endpoint, orNothing(checkEndpoint)).takes("a URL").like("https://ec2.eu-west-1.amazonaws.com").
			means("Where the cloud is asked: https:// or http://host. Without it, the region's own."),
		text("ec2.region", &c.EC2.Region, orNothing(checkRegion)).takes("the name of a region").like("eu-west-1").
			means("Without it, the region of the instance."),
		text("ec2.lifecycle_hook", &c.EC2.LifecycleHook, orNothing(checkLifecycleHook)).takes("the name of a hook").like("addagent").
			means("The lifecycle hook of the autoscale group that is completed once the node is initdone."),

		word("wedged.kill", &c.Wedged.Kill, []string{"none", "poweroff", "asg-unhealthy", "terminate", "command"}).
			means("How a machine ends that stays wedged while its peers are not. asg-unhealthy and terminate need presence and EC2. Only the daemon does this, and only behind the guards of docs/presence.md."),
		duration("wedged.after", &c.Wedged.After, 10*time.Second).means("Wedged for so long."),
		command("wedged.command", &c.Wedged.Command).like("[/usr/local/sbin/replace-me, --now]").
			means("With kill: command, the program that is started."),

		text("metrics.textfile", &c.Metrics.Textfile, orNothing(checkTextfile)).takes("a path").like("/var/lib/node_exporter/addagent.prom").
			means("Written for the textfile collector of node_exporter, whose files end in .prom."),
		text("metrics.listen", &c.Metrics.Listen, orNothing(checkListen)).takes("a loopback address and port").like("127.0.0.1:9464").
			means("Where /metrics can be asked for by programs on this machine."),
	)
}

func newRepo() *Repo { return &Repo{Rewind: "follow", Verify: "off"} }

func (r *Repo) leaves() []leaf {
	urls := func() []string { return append([]string{r.URL}, r.Mirrors...) }
	addURL := func(s string) {
		if r.URL == "" {
			r.URL = s
		} else {
			r.Mirrors = append(r.Mirrors, s)
		}
	}
	return slices.Concat([]leaf{
		text("name", &r.Name, checkRepoName).takes("the name of a folder").like("ops").
			means("The folder below gitrepo/; without it, the last part of the first URL."),
		many("url", oneOrAll, checkURL, addURL, urls).takes("a URL or a list").like("https://git.example.org/ops.git").
			means("https://, http://, ssh:// or git://host/path, user@host:path, file:///path or an absolute path. " +
				"A list names mirrors: the next one is tried when one fails."),
		text("branch", &r.Branch, checkBranch).takes("the name of a branch").like("main").
			means(`Without it, the remote's HEAD. Fields of nodeinfo are filled in: "{deployment}".`),
	}, authLeaves(&r.Auth, "auth."), []leaf{
		word("rewind", &r.Rewind, []string{"follow", "refuse"}).means("What a rewritten or moved-back branch means: follow (and say so) or refuse."),
		word("verify.mode", &r.Verify, []string{"off"}, "warn", "enforce").means(`Signatures: only "off" in this version.`),
	})
}

func authLeaves(a *Auth, prefix string) []leaf {
	return []leaf{
		secretFile(prefix+"token_file", &a.TokenFile).like("/etc/addagent/git-token").
			means("For https: a token. The file is read anew when it changes; " +
				"env:ADD_SECRET_NAME takes it from that variable of the agent's environment."),
		text(prefix+"username", &a.Username, notEmpty).like("bot").
			means("For https: the name that goes with password_file, or that command is asked for."),
		secretFile(prefix+"password_file", &a.PasswordFile).like("/etc/addagent/git-password").
			means("For https: a password, in a file or in the environment as with token_file."),
		command(prefix+"command", &a.Command).like("[/usr/local/bin/git-credential-vault, --role, node]").
			means("For https: a program that speaks git's credential-helper protocol (git help credentials). " +
				"It is called with get appended, and asked again when the server refuses what it said."),
		texts(prefix+"ssh_key_file", oneOrAll, checkSecretPath, &a.SSHKeyFiles).takes("a path or a list").like("/etc/addagent/git-key").
			means("For ssh: the private key; several are tried in order."),
		pathText(prefix+"known_hosts_file", &a.KnownHostsFile).like("/etc/addagent/known_hosts").
			means("For ssh: the servers' keys, as ssh-keyscan writes them. An unknown or a changed key is refused."),
	}
}

func newRoom() *Room { return &Room{Only: "all", From: "node"} }

func (r *Room) leaves() []leaf {
	return []leaf{
		secretFile("url_file", &r.URLFile).like("/etc/addagent/chat-url").
			means("The file that holds the URL of the room, which is a secret. It is read anew when it changes; " +
				"env:ADD_SECRET_NAME as with token_file."),
		one("url", &r.URL, checkRoomURL, maskRoomURL).takes("a URL").like("slack://hook:TOKEN@webhook").
			means("In place of url_file: the URL itself, for a config that nobody else can read."),
		word("only", &r.Only, []string{"all", "critical"}).means("What is told there: every transition, or only what is critical."),
		word("from", &r.From, []string{"node", "fleet"}).
			means("Who speaks: each node, or for all of them the control node that folds presence, a line per version, part and state."),
	}
}

func known(leaves []leaf) []string {
	keys := make([]string, len(leaves))
	for i, l := range leaves {
		keys[i] = l.key
	}
	return keys
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
