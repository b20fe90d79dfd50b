package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/check"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

func TestLiveFindsAllWell(t *testing.T) {
	root, s := served(t, withToken())
	room, heard := hipchat(t)
	p := newPatient(t)
	p.write(filepath.Join(p.dir, "token"), "\ufeff"+gitSecret+"\r\n") // as some editors write it
	p.write(filepath.Join(p.dir, "room"), "\ufeffhipchat://"+roomSecret+"@"+room+"/room1?scheme=http\r\n")
	p.tell(s.URL+"/presence.git", presence.Record{InstanceID: "n2", Hardware: "host:n2", State: "idle", BeatSeen: time.Now()})
	refs := gittest.Git(t, filepath.Join(root, "presence.git"), "for-each-ref")
	p.examine(`
repos: [ { name: ops, url: [ "` + s.URL + `/ops.git", "` + root + `/ops.git" ], branch: main, auth: { token_file: DIR/token } } ]
presence: { url: ` + s.URL + `/presence.git, auth: { token_file: DIR/token } }
chat: [ { url_file: DIR/room } ]
metrics: { textfile: DIR/node/addagent.prom, listen: "` + gittest.Port(t, "127.0.0.1") + `" }
wedged: { kill: command, command: [ /bin/true ] }
`)
	if p.code != cli.ExitDone {
		t.Errorf("exit code %d:\n%s", p.code, p.text)
	}
	p.want("repo ops", check.OK, "main at", "")
	p.want("repo ops", check.OK, "protocol v2, with "+p.dir+"/token", "")
	p.want("repo ops mirror 1", check.OK, root, "")
	p.want("presence", check.OK, "1 node", "")
	p.want("presence ref", check.OK, "does not exist yet", "")
	p.want("presence push", check.OK, "accepts pushes", "")
	p.want("presence fold", check.OK, "no fold: each reader reads the refs of 1 node", "")
	p.want("clock", check.OK, "matches that of "+s.URL, "")
	p.want("metrics textfile", check.OK, "can be written", "")
	p.want("metrics listen", check.OK, "is free", "")
	p.want("kill", check.OK, "/bin/true", "")
	p.want("agent", check.Noted, "no agent is running here", "addagent run --config")
	p.want("room 1", check.Skipped, p.dir+"/room is valid", "")
	if all := heard(); len(all) != 1 || !strings.Contains(all[0], "n1: addagent check: this room receives messages") || !strings.Contains(all[0], "gray") {
		t.Errorf("the room heard %q", all)
	}
	if after := gittest.Git(t, filepath.Join(root, "presence.git"), "for-each-ref"); after != refs {
		t.Errorf("refs before:\n%s\nafter:\n%s", refs, after)
	}
}

func TestLiveSeesItsOwnRef(t *testing.T) {
	root, s := served(t, withToken())
	p := newPatient(t)
	config := "presence: { url: " + s.URL + "/presence.git, auth: { token_file: DIR/token } }\n"
	p.tell(s.URL+"/presence.git", presence.Record{InstanceID: "n1", State: "idle", BeatSeen: time.Now()})
	refs := gittest.Git(t, filepath.Join(root, "presence.git"), "for-each-ref")
	p.examine(config)
	p.want("presence ref", check.OK, "belongs to this node: idle", "")
	p.want("presence push", check.OK, "accepts pushes", "")
	if after := gittest.Git(t, filepath.Join(root, "presence.git"), "for-each-ref"); after != refs {
		t.Errorf("refs before:\n%s\nafter:\n%s", refs, after)
	}
	hook := filepath.Join(root, "presence.git", "hooks", "update")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.examine(config)
	p.want("presence push", check.Noted, "hook declined", "refs/heads/presence/n1")
}

// TestLiveSeesTheFold, kept up, left alone, and none at all; and a server that is too old for protocol v2.
func TestLiveSeesTheFold(t *testing.T) {
	root, s := served(t, gittest.ServerOptions{NoV2: true})
	p := newPatient(t)
	p.tell(s.URL+"/presence.git", presence.Record{InstanceID: "n1", State: "idle", BeatSeen: time.Now(), BeatNextBy: time.Now().Add(time.Hour)})
	fold := func(at time.Time) {
		t.Helper()
		f, err := fold.NewAggregator(fold.AggregatorOptions{Options: fold.Options{Source: remote.Source{URL: s.URL + "/presence.git"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Once(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	config := "repos: [ { name: ops, url: \"" + s.URL + "/ops.git\" } ]\npresence: { url: " + s.URL + "/presence.git }\n"
	fold(time.Now())
	p.examine(config)
	p.want("repo ops", check.Noted, "protocol v0", "Git-Protocol")
	p.want("presence fold", check.OK, "folded at", "")

	gittest.Git(t, filepath.Join(root, "presence.git"), "update-ref", "-d", gitstore.FoldRef)
	fold(time.Now().Add(-3 * time.Hour))
	p.examine(config)
	p.want("presence fold", check.Noted, "is out of date", "addctl presence:fold")
}

func TestLiveSeesAClash(t *testing.T) {
	_, s := served(t, withToken())
	p := newPatient(t)
	p.tell(s.URL+"/presence.git", presence.Record{InstanceID: "n1", Hardware: "dmi:other/other", Hostname: "elsewhere", State: "idle", BeatSeen: time.Now()})
	p.examine("presence: { url: " + s.URL + "/presence.git, auth: { token_file: DIR/token } }\n")
	p.want("presence ref", check.Failing, "is also written by elsewhere", "remove instance.json from its state_dir, write the name into nodeinfo/instance-id.txt")
	if p.code != cli.ExitFailed {
		t.Errorf("exit code %d", p.code)
	}
}

func TestLiveMayReadAndNotPush(t *testing.T) {
	o := withToken()
	o.Wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.String(), "receive-pack") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	_, s := served(t, o)
	p := newPatient(t)
	p.examine("presence: { url: " + s.URL + "/presence.git, auth: { token_file: DIR/token } }\n")
	p.want("presence", check.OK, "0 nodes", "")
	p.want("presence push", check.Failing, "403", "give them write access")
}

func TestLiveIsRefused(t *testing.T) {
	t.Parallel()
	_, s := served(t, withToken())
	d := gittest.StartSSHD(t)
	bare, _ := gittest.Remote(t, gittest.ServerOptions{})
	p := newPatient(t)
	p.write(filepath.Join(p.dir, "known_hosts"), "")
	room, heard := hipchat(t)
	dead := silent(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	go func() { _ = http.Serve(taken, http.NotFoundHandler()) }()
	p.examine(`
beat: { look_timeout: 10s }
repos:
- { name: token, url: ` + s.URL + `/ops.git, auth: { token_file: DIR/wrong } }
- { name: none, url: ` + s.URL + `/ops.git }
- { name: branch, url: ` + s.URL + `/ops.git, branch: nope, auth: { token_file: DIR/token } }
- { name: away, url: [ "http://` + gittest.Port(t, "127.0.0.1") + `/ops.git", "` + s.URL + `/ops.git" ], auth: { token_file: DIR/token } }
- { name: hangs, url: "http://` + dead + `/ops.git" }
- { name: path, url: DIR/nowhere.git }
- { name: key, url: "` + d.URL(bare.Dir) + `", auth: { ssh_key_file: ` + d.KeyFile + `, known_hosts_file: DIR/known_hosts } }
presence: { url: ` + s.URL + `/presence.git, auth: { token_file: DIR/wrong } }
chat: [ { url: "hipchat://hush-wrong@` + room + `/room1?scheme=http" } ]
metrics: { textfile: DIR/node/none/addagent.prom, listen: "` + taken.Addr().String() + `" }
wedged: { kill: asg-unhealthy }
`)
	if p.code != cli.ExitFailed {
		t.Errorf("exit code %d", p.code)
	}
	p.want("repo token", check.Failing, "401", "it refuses the credentials of "+p.dir+"/wrong: renew them")
	p.want("repo none", check.Failing, "401", "set auth")
	p.want("repo branch", check.Failing, `branch "nope" is not there; the remote has main`, "push it, or set branch")
	p.want("repo away", check.Failing, "refused", "is up and reachable from this machine")
	p.want("repo away mirror 1", check.OK, s.URL, "")
	p.want("repo hangs", check.Failing, "no answer within 10 s", "is up and reachable from this machine")
	p.want("repo path", check.Failing, "nowhere.git", "ls -la")
	p.want("repo key", check.Failing, "unknown host key", "ssh-keyscan")
	p.want("presence", check.Failing, "401", "renew them")
	p.want("metrics textfile", check.Failing, "none", "mkdir -p")
	p.want("metrics listen", check.Failing, "in use", "ss -ltnp")
	if os.Getuid() == 0 {
		p.want("kill", check.Failing, "not an EC2 instance", "poweroff or command")
	}
	if !strings.Contains(p.text, "401 Unauthorized") || !strings.Contains(p.text, "put a working address into chat[0].url") {
		t.Errorf("the room is not told of:\n%s", p.text)
	}
	if all := heard(); len(all) > 0 {
		t.Errorf("the room heard %q", all)
	}
}

func TestLiveOfServersThatAskToWait(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer s.Close()
	p := newPatient(t)
	p.examine("presence: { url: " + s.URL + "/presence.git }\nchat: [ { url: \"hipchat://hush@" + strings.TrimPrefix(s.URL, "http://") + "/room1?scheme=http\" } ]\n")
	p.want("presence", check.Failing, "429", "the limits")
	if !strings.Contains(p.text, "raise the limit of the service") {
		t.Errorf("the room is not told of:\n%s", p.text)
	}
}

func TestLiveOfAClockThatIsOff(t *testing.T) {
	ahead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	}))
	defer ahead.Close()
	p := newPatient(t)
	p.examine("repos: [ { name: ops, url: " + ahead.URL + "/ops.git } ]\n")
	p.want("clock", check.Noted, "this clock is", "timedatectl")
	p.want("clock", check.Noted, "behind that of "+ahead.URL, "")
}

func TestLiveOfABadConfig(t *testing.T) {
	p := newPatient(t)
	p.examine("hom: /root\nbeat: { spread: 1 }\n")
	p.want("config", check.Failing, "addagent.yaml:4:1: hom: unknown key", "")
	p.want("config", check.Failing, "addagent.yaml:5:", "addagent check --config")
	if p.code != cli.ExitMisuse {
		t.Errorf("exit code %d", p.code)
	}
}

func TestLiveOnEC2(t *testing.T) {
	t.Parallel()
	m := cloudtest.Metadata(t)
	p := newPatient(t)
	p.uid = 0
	p.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = m.URL
	aws := httptest.NewServer(cloudtest.Status(http.StatusServiceUnavailable))
	defer aws.Close()
	config := "beat: { look_timeout: 5s }\nec2: { tags: on, endpoint: " + aws.URL + ", lifecycle_hook: up }\nwedged: { kill: poweroff }\n"
	m.SetRole("", cloudtest.Credentials{})
	p.examine(config)
	p.want("ec2 metadata", check.Noted, cloudtest.InstanceID+" in "+cloudtest.Region+", no credentials", "docs/ec2.md")
	p.want("ec2 tags", check.Failing, "no credentials", "docs/ec2.md")
	p.want("ec2 hook", check.Noted, "cannot be tested in advance", "autoscaling:CompleteLifecycleAction")
	p.want("clock", check.OK, m.URL, "")

	m.SetRole("node", cloudtest.Credentials{AccessKeyID: "hushkey", SecretAccessKey: "hush-secret", Token: "hush-token", Expiration: time.Now().Add(time.Hour)})
	p.examine(config)
	p.want("ec2 metadata", check.OK, "role node", "")
	p.want("ec2 tags", check.Failing, "", "reachable from this machine")

	// Of a dry run a refusal is the good answer:
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
	for _, c := range []struct {
		Result     int
		code       string
		found      check.Result
		says, mend string
	}{
		{http.StatusPreconditionFailed, "DryRunOperation", check.OK, "may set tags", ""},
		{http.StatusForbidden, "UnauthorizedOperation", check.Failing, "ec2:CreateTags: not permitted", "the instance's role must allow ec2:CreateTags on"},
	} {
		aws.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.Result)
			fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>x</Message></Error></Errors><RequestID>1</RequestID></Response>", c.code)
		})
		p.examine(config)
		p.want("ec2 tags", c.found, c.says, c.mend)
	}

	m.Instead("*", cloudtest.Hang)
	p.examine(config)
	p.want("ec2 metadata", check.Failing, "", "hop limit")
	p.want("ec2 tags", check.Skipped, "without metadata", "")
}

// TestAddressOfTheCloud: a node announces the private address that EC2 gave it, unless ip.txt says another one.
func TestAddressOfTheCloud(t *testing.T) {
	t.Parallel()
	m := cloudtest.Metadata(t)
	m.Set("local-ipv4", "10.9.8.7")
	p := newPatient(t)
	p.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = m.URL
	path := filepath.Join(p.dir, "addagent.yaml")
	p.write(path, strings.ReplaceAll("home: DIR/node\nrun_dir: DIR/run\nstate_dir: DIR/lib\nec2: { tags: on, endpoint: \"http://127.0.0.1:1\" }\n", "DIR", p.dir))
	for _, want := range []string{"10.9.8.7", "192.0.2.77"} {
		a := &process{&cli.Process{Args: []string{"beat", "--config", path}, In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Env: func(name string) string { return p.env[name] }, Getuid: func() int { return 0 }}}
		a.Run(t.Context())
		data, err := os.ReadFile(filepath.Join(p.dir, "node/nodeinfo/presence.json"))
		if err != nil || !strings.Contains(string(data), `"ip": "`+want+`"`) {
			t.Errorf("%v, want %s: %s", err, want, data)
		}
		p.write(filepath.Join(p.dir, "node/nodeinfo/ip.txt"), "192.0.2.77\n")
	}
}

func TestLiveWithoutRoot(t *testing.T) {
	p := newPatient(t)
	p.uid = 65534
	p.examine("")
	p.want("ec2", check.Skipped, "only root uses EC2", "")
}
