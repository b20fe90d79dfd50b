package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/chat"
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
	p.write(filepath.Join(p.dir, "room"), "hipchat://"+roomSecret+"@"+room+"/room1?scheme=http")
	p.tell(s.URL+"/presence.git", presence.Record{InstanceID: "n2", Hardware: "host:n2", State: "idle", BeatSeen: time.Now()})
	refs := gittest.Git(t, filepath.Join(root, "presence.git"), "for-each-ref")
	p.examine(`
repos: [ { name: ops, url: [ "` + s.URL + `/ops.git", "` + root + `/ops.git" ], branch: main, auth: { token_file: DIR/token } } ]
presence: { url: ` + s.URL + `/presence.git, auth: { token_file: DIR/token } }
chat: [ { url_file: DIR/room } ]
metrics: { textfile: DIR/node/addagent.prom, listen: "` + gittest.Port(t, "127.0.0.1") + `" }
wedged: { kill: command, command: [ /bin/true ] }
`)
	if p.code != exitDone {
		t.Errorf("exit code %d:\n%s", p.code, p.text)
	}
	p.want("repo ops", worksWell, "main at", "")
	p.want("repo ops", worksWell, "protocol v2, with "+p.dir+"/token", "")
	p.want("repo ops mirror 1", worksWell, root, "")
	p.want("presence", worksWell, "1 node", "")
	p.want("presence ref", worksWell, "not there yet", "")
	p.want("presence push", worksWell, "would let", "")
	p.want("presence fold", worksWell, "nobody folds: each reader reads the refs of 1 node itself", "")
	p.want("clock", worksWell, "right by that of "+s.URL, "")
	p.want("metrics textfile", worksWell, "can be written", "")
	p.want("metrics listen", worksWell, "is free", "")
	p.want("kill", worksWell, "/bin/true", "")
	p.want("agent", isNoted, "no agent runs here", "addagent run --config")
	p.want("room 1", isSkipped, p.dir+"/room is understood", "")
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
	p.want("presence ref", worksWell, "is ours: idle", "")
	p.want("presence push", worksWell, "would let", "")
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
	p.want("presence push", isNoted, "hook declined", "refs/heads/presence/n1")
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
	p.want("repo ops", isNoted, "protocol v0", "Git-Protocol header")
	p.want("presence fold", worksWell, "folded at", "")

	gittest.Git(t, filepath.Join(root, "presence.git"), "update-ref", "-d", gitstore.FoldRef)
	fold(time.Now().Add(-3 * time.Hour))
	p.examine(config)
	p.want("presence fold", isNoted, "no fold that is kept up", "addctl presence:fold")
}

func TestLiveSeesAClash(t *testing.T) {
	_, s := served(t, withToken())
	p := newPatient(t)
	p.tell(s.URL+"/presence.git", presence.Record{InstanceID: "n1", Hardware: "dmi:other/other", Hostname: "elsewhere", State: "idle", BeatSeen: time.Now()})
	p.examine("presence: { url: " + s.URL + "/presence.git, auth: { token_file: DIR/token } }\n")
	p.want("presence ref", isFailing, "is told by elsewhere", "remove instance.json from its state_dir, write the name into nodeinfo/instance-id.txt")
	if p.code != exitFailed {
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
	p.want("presence", worksWell, "0 nodes", "")
	p.want("presence push", isFailing, "403", "give them write access")
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
	if p.code != exitFailed {
		t.Errorf("exit code %d", p.code)
	}
	p.want("repo token", isFailing, "401", "it refuses the credentials of "+p.dir+"/wrong: renew them")
	p.want("repo none", isFailing, "401", "set auth")
	p.want("repo branch", isFailing, `branch "nope" is not there; the remote has main`, "push it, or set branch")
	p.want("repo away", isFailing, "refused", "is up and reached from this machine")
	p.want("repo away mirror 1", worksWell, s.URL, "")
	p.want("repo hangs", isFailing, "no answer within 10 s", "is up and reached from this machine")
	p.want("repo path", isFailing, "nowhere.git", "ls -la")
	p.want("repo key", isFailing, "unknown host key", "ssh-keyscan")
	p.want("presence", isFailing, "401", "renew them")
	p.want("metrics textfile", isFailing, "none", "mkdir -p")
	p.want("metrics listen", isFailing, "is taken", "ss -ltnp")
	if os.Getuid() == 0 {
		p.want("kill", isFailing, "not an EC2 instance", "poweroff or command")
	}
	if !strings.Contains(p.text, "401 Unauthorized") || !strings.Contains(p.text, "put an address that works into chat[0].url") {
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
	p.want("presence", isFailing, "429", "its limits")
	if !strings.Contains(p.text, "give the service a higher limit") {
		t.Errorf("the room is not told of:\n%s", p.text)
	}
}

func TestLiveSeesWhatWaitsForARoom(t *testing.T) {
	dir := t.TempDir()
	room, err := chat.Open("hipchat://hush@127.0.0.1:1/room1?scheme=http", chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	box, err := chat.NewOutbox(room, dir, chat.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	now := time.Now()
	for i, want := range []string{"1 message waits to be said, for 2 h", "2 messages wait to be said, the oldest for 2 h"} {
		if err := box.Say(t.Context(), chat.Message{Text: "x", Time: now.Add(-2 * time.Hour / time.Duration(i+1))}); err != nil {
			t.Fatal(err)
		}
		if got := spooled(dir, now); !strings.HasPrefix(got, want) {
			t.Error(got)
		}
	}
	if got := spooled(filepath.Join(dir, "none"), now); got != "" {
		t.Error(got)
	}
}

func TestLiveOfAClockThatIsOff(t *testing.T) {
	ahead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	}))
	defer ahead.Close()
	p := newPatient(t)
	p.examine("repos: [ { name: ops, url: " + ahead.URL + "/ops.git } ]\n")
	p.want("clock", isNoted, "this clock is", "timedatectl")
	p.want("clock", isNoted, "behind that of "+ahead.URL, "")
}

func TestLiveOfABadConfig(t *testing.T) {
	p := newPatient(t)
	p.examine("hom: /root\nbeat: { spread: 1 }\n")
	p.want("config", isFailing, "addagent.yaml:4:1: hom: unknown key", "")
	p.want("config", isFailing, "addagent.yaml:5:", "addagent check --config")
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
	p.want("ec2 metadata", isNoted, cloudtest.InstanceID+" in "+cloudtest.Region+", no credentials", "docs/ec2.md")
	p.want("ec2 tags", isFailing, "no credentials", "docs/ec2.md")
	p.want("ec2 hook", isNoted, "not known before it is done", "autoscaling:CompleteLifecycleAction")
	p.want("clock", worksWell, m.URL, "")

	m.SetRole("node", cloudtest.Credentials{AccessKeyID: "hushkey", SecretAccessKey: "hush-secret", Token: "hush-token", Expiration: time.Now().Add(time.Hour)})
	p.examine(config)
	p.want("ec2 metadata", worksWell, "role node", "")
	p.want("ec2 tags", isFailing, "", "reached from this machine")

	// Of a dry run a refusal is the good answer: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
	for _, c := range []struct {
		result     int
		code       string
		found      result
		says, mend string
	}{
		{http.StatusPreconditionFailed, "DryRunOperation", worksWell, "may put them on", ""},
		{http.StatusForbidden, "UnauthorizedOperation", isFailing, "ec2:CreateTags: not permitted", "the instance's role must allow ec2:CreateTags on"},
	} {
		aws.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.result)
			fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>x</Message></Error></Errors><RequestID>1</RequestID></Response>", c.code)
		})
		p.examine(config)
		p.want("ec2 tags", c.found, c.says, c.mend)
	}

	m.Instead("*", cloudtest.Hang)
	p.examine(config)
	p.want("ec2 metadata", isFailing, "", "hop limit")
	p.want("ec2 tags", isSkipped, "without metadata", "")
}

func TestLiveWithoutRoot(t *testing.T) {
	p := newPatient(t)
	p.uid = 65534
	p.examine("")
	p.want("ec2", isSkipped, "only root has to do with EC2", "")
}

func TestLiveReadsTheUnit(t *testing.T) {
	for shown, want := range map[string]struct {
		result      result
		words, mend string
	}{
		"LoadState=not-found\nActiveState=inactive\nUnitFileState=\nWatchdogUSec=0\n":          {isNoted, "no unit", "Type=notify"},
		"LoadState=loaded\nActiveState=active\nUnitFileState=disabled\nWatchdogUSec=1min\n":    {isNoted, "disabled", "systemctl enable addagent"},
		"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nWatchdogUSec=infinity\n": {isNoted, "without a watchdog", "WatchdogSec="},
		"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nWatchdogUSec=1min\n":     {worksWell, "active, watchdog 1min", ""},
	} {
		if f := unit(shown); f.Status != want.result || !strings.Contains(f.Text, want.words) || !strings.Contains(f.Fix, want.mend) {
			t.Errorf("%q: %+v", shown, f)
		}
	}
}

// TestExamineGivesUp what does not heed its deadline, and keeps the order.
func TestExamineGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		found := examine(t.Context(), time.Second, []check{
			{"hangs", 2, func(context.Context) []finding { <-never; return nil }},
			{"heeds", 1, func(ctx context.Context) []finding {
				<-ctx.Done()
				return []finding{fail(hurried(ctx, ctx.Err()).Error(), "x")}
			}},
			{"two", 1, func(context.Context) []finding { return []finding{good("a"), good("b").named("another")} }},
		})
		var words []string
		for _, f := range found {
			words = append(words, f.Check+" "+f.Text)
		}
		if got := strings.Join(words, "; "); got != "hangs no answer within 2 s; heeds no answer within 1 s; two a; another b" {
			t.Error(got)
		}
		close(never)
	})
}
