package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/chat/chatroom"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/ec2"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/kill"
	"github.com/addagent/addagent/internal/metrics"
	"github.com/addagent/addagent/work/run"
	"golang.org/x/sys/unix"
)

// rooms are a check for each room.
func (d *Checker) rooms() []probe {
	var all []probe
	for i, r := range d.cfg.Chat {
		all = append(all, probe{fmt.Sprintf("room %d", i+1), 1, func(ctx context.Context) []Finding {
			found := []Finding{d.room(ctx, i, r)}
			if waits := spooled(filepath.Join(daemon.RoomDir(d.cfg.StateDir, r), "spool"), d.Now); waits != "" {
				found = append(found, note(waits, "a running agent sends them once the room accepts them"))
			}
			return found
		}})
	}
	return all
}

// room says a line in a room.
func (d *Checker) room(ctx context.Context, i int, r config.Room) Finding {
	shown := chat.Redact(r.URL)
	if r.URLFile != "" {
		shown = r.URLFile
	}
	fix := fmt.Sprintf("put a working address into chat[%d].url (%s)", i, d.cfg.Origin(fmt.Sprintf("chat[%d].url", i)))
	if r.URLFile != "" {
		fix = "put a working address into " + r.URLFile
	}
	transport, err := transport.Transport(d.cfg.Network)
	if err != nil {
		return broken(err, "check network in the config")
	}
	room := &chatroom.Room{Name: chatroom.Name(i, r), URL: r.URL, URLFile: r.URLFile, Env: d.Process.Env, Options: chat.Options{UserAgent: cli.UserAgent("addagent"), Transport: transport}}
	if d.Quiet {
		if err = room.Check(); err == nil {
			return skip("%s is valid; no message sent (--quiet-rooms)", shown)
		}
	} else {
		who := cmp.Or(d.me.ID, "a node")
		start := time.Now()
		if err = room.Say(ctx, chat.Message{Text: who + ": addagent check: this room receives messages", Colour: "gray", Time: d.Now}); err == nil {
			return good("%s accepted the message, %s", shown, human.Duration(time.Since(start)))
		}
	}
	text := strings.TrimPrefix(hurried(ctx, err).Error(), room.Name+": ") // which names the service, but for its file
	if r.URLFile != "" {
		text = shown + ": " + text
	}
	var trouble *chat.Trouble
	switch {
	case errors.Is(err, fs.ErrPermission) && !d.root():
		return foreign(text)
	case errors.As(err, &trouble) && trouble.Status == http.StatusTooManyRequests:
		fix = "wait: the node keeps its messages and sends them later; if it persists, raise the limit of the service, or report from the control node (from: fleet)"
	case !chat.Permanent(err):
		fix = "check that the service is up and reachable from this machine: DNS, route, firewall, network.proxy"
	}
	return fail(text, fix)
}

// spooled tells how many messages wait in the spool of a room, and since when; "" = none, or it is unreadable.
func spooled(dir string, now time.Time) string {
	n, since := chat.Waiting(dir)
	if n == 0 {
		return ""
	}
	wait := "waiting for "
	if n > 1 {
		wait = "waiting, the oldest for "
	}
	return human.Count(n, "message") + " " + wait + human.Duration(now.Sub(since))
}

// ec2 tries what this node asks of its cloud.
func (d *Checker) ec2(ctx context.Context) []Finding {
	m := daemon.MachineOf(d.Process, d.cfg, d.me)
	switch {
	case m == nil && !d.root():
		return []Finding{skip("only root uses EC2")}
	case d.cfg.EC2.Tags == "off":
		return []Finding{skip("ec2.tags is off")}
	case m == nil:
		return []Finding{skip("not an EC2 instance")}
	}
	defer m.Metadata.Close()
	seen := d.metadata(ctx, m)
	found := []Finding{seen.named("ec2 metadata")}
	if seen.Status == Failing {
		return append(found, skip("no region and no credentials without metadata").named("ec2 tags"))
	}
	i, err := m.At(d.cfg)
	if err != nil {
		return append(found, broken(err, "check network in the config").named("ec2 tags"))
	}
	if err := i.MayTag(ctx); err != nil {
		found = append(found, deniedBy(err).named("ec2 tags"))
	} else {
		found = append(found, good("this node may set tags (dry run)").named("ec2 tags"))
	}
	needed := d.cfg.EC2.LifecycleHook != "" || d.cfg.Wedged.Kill == string(kill.Unhealthy)
	g, err := i.Group(ctx)
	group := good("not in an Auto Scaling group")
	switch {
	case err != nil:
		if group = deniedBy(err); !needed {
			group.Status = Noted
			group.Text += "; the config does not need it"
		}
	case g.Name == "" && needed:
		group = note("not in an Auto Scaling group, but the config uses one", "remove ec2.lifecycle_hook and wedged.kill asg-unhealthy from the config, or launch the machine from a group")
	case g.Name != "":
		group = good("%s, %s", g.Name, g.State)
	}
	found = append(found, group.named("ec2 group"))
	if hook := d.cfg.EC2.LifecycleHook; hook != "" {
		found = append(found, note("permission to complete "+hook+" cannot be tested in advance", "check that the role allows autoscaling:CompleteLifecycleAction (docs/ec2.md)").named("ec2 hook"))
	}
	return found
}

// metadata asks the metadata service who this machine is, and whether it has a role.
func (d *Checker) metadata(ctx context.Context, m *daemon.Machine) Finding {
	const silent = "enable IMDSv2, with a hop limit of 2 for containers: aws ec2 modify-instance-metadata-options --http-endpoint enabled"
	id, err := m.Metadata.InstanceID(ctx)
	if err != nil {
		return broken(err, silent)
	}
	region, err := m.Metadata.Region(ctx)
	if err != nil {
		return broken(err, silent)
	}
	text := fmt.Sprintf("%s in %s", id, region)
	if d.Process.Env("AWS_ACCESS_KEY_ID") != "" {
		return good("%s, credentials from the environment", text)
	}
	role, err := m.Metadata.Get(ctx, "iam/security-credentials/")
	if err == nil {
		_, err = m.Metadata.Get(ctx, "iam/security-credentials/"+role)
	}
	switch {
	case errors.Is(err, cloud.ErrAbsent):
		return note(text+", no credentials: the instance has no role", "give it a role (instance profile) that allows what docs/ec2.md lists")
	case err != nil:
		return broken(err, silent)
	}
	return good("%s, role %s", text, role)
}

// deniedBy is what the cloud refused, or did not answer.
func deniedBy(err error) Finding {
	text := err.Error()
	switch {
	case errors.Is(err, ec2.ErrDenied):
		if action, fix, ok := strings.Cut(text, "not permitted: "); ok { // which says what to allow
			return fail(action+"not permitted", fix)
		}
		return fail(text, "allow the role what docs/ec2.md lists")
	case errors.Is(err, ec2.ErrCredentials):
		return fail(text, "give the instance a role (instance profile) that allows what docs/ec2.md lists")
	case errors.Is(err, ec2.ErrUnknown):
		return fail(text, "check ec2.region and ec2.endpoint")
	}
	return fail(text, "try again; if it persists, check that ec2.endpoint or the region's endpoint is reachable from this machine (network.proxy)")
}

// kill tells whether the way to end a wedged machine is there. None of them can be tried without doing it.
func (d *Checker) kill(context.Context) Finding {
	switch way := kill.Way(d.cfg.Wedged.Kill); way {
	case kill.None:
		return skip("wedged.kill is none: a wedged machine keeps running")
	case kill.Command, kill.Poweroff:
		programs, fix := []string{"systemctl", "/sbin/poweroff"}, "set wedged.kill to command, with a program that ends this machine"
		if way == kill.Command {
			programs, fix = d.cfg.Wedged.Command[:1], "put an executable program there, or set wedged.command to another"
		}
		for _, program := range programs {
			if path, err := exec.LookPath(program); err == nil {
				return good("%s exists (not run)", path)
			}
		}
		return fail(human.List(programs, "and")+": no such program", fix)
	case kill.Unhealthy, kill.Terminate:
		if daemon.MachineOf(d.Process, d.cfg, d.me) == nil {
			return fail(fmt.Sprintf("%s: not an EC2 instance", way), "set wedged.kill to poweroff or command")
		}
		action := map[kill.Way]string{kill.Unhealthy: "autoscaling:SetInstanceHealth", kill.Terminate: "ec2:TerminateInstances"}[way]
		return note(fmt.Sprintf("%s: the permission cannot be tested in advance", way), "check that the role allows "+action+" (docs/ec2.md)")
	default:
		return fail(fmt.Sprintf("unknown way to terminate: %s", way), "set wedged.kill to a value from docs/config.md")
	}
}

func (d *Checker) textfile(context.Context) Finding {
	path := d.cfg.Metrics.Textfile
	if path == "" {
		return skip("metrics.textfile is not set")
	}
	err := metrics.CheckTextfile(path)
	if errors.Is(err, unix.EACCES) && !d.root() {
		return foreign(path + " is not accessible to this account")
	}
	if err != nil {
		return broken(err, "set metrics.textfile to a file NAME.prom in a folder that node_exporter reads")
	}
	return good("%s can be written", path)
}

// listen tells whether the page is shown, or could be. Where an agent runs its port is left alone.
func (d *Checker) listen(ctx context.Context) Finding {
	address := d.cfg.Metrics.Listen
	if address == "" {
		return skip("metrics.listen is not set")
	}
	server, err := metrics.Listen(address)
	if err == nil {
		server.Close()
	}
	_, held, _ := run.ReadHolder(d.cfg.BeatLock()) // what is wrong there is said of the agent
	switch {
	case err == nil && held:
		return fail("an agent is running but not listening at "+address, "addagent status"+d.Flags.Suffix()+" shows its trouble; a changed port is opened at the next beat")
	case err == nil:
		return good("%s is free", address)
	case !errors.Is(err, unix.EADDRINUSE):
		return broken(err, "set metrics.listen to a free port of 127.0.0.1")
	}
	page, err := pageAt(ctx, address)
	switch {
	case err == nil && strings.Contains(page, "addagent_"):
		return good("http://%s/metrics works", address)
	case err != nil && held:
		return fail(fmt.Sprintf("%s accepts connections but does not answer: %v", address, hurried(ctx, err)), "read the log: addagent log"+d.Flags.Suffix())
	}
	return fail(address+" is in use by another program", "stop it (ss -ltnp shows which), or set metrics.listen to another port")
}

// pageAt is the page of numbers that is shown at an address.
func pageAt(ctx context.Context, address string) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(q)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return string(page), err
}

// systemd tells what the service manager knows of the agent's unit.
func (d *Checker) systemd(ctx context.Context) Finding {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return skip("systemd is not running")
	}
	out, err := exec.CommandContext(ctx, "systemctl", "show", "addagent.service", "--property=LoadState,ActiveState,UnitFileState,WatchdogUSec").Output()
	if err != nil {
		return note(fmt.Sprintf("systemctl show: %v", hurried(ctx, err)), "")
	}
	return unit(string(out))
}

// unit is what `systemctl show` says of the agent's unit.
func unit(shown string) Finding {
	is := map[string]string{}
	for line := range strings.Lines(shown) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		is[key] = value
	}
	switch {
	case is["LoadState"] != "loaded":
		return note("no unit addagent.service", "install one with Type=notify, WatchdogSec= and Restart=always, so that the agent restarts after a crash and a boot")
	case is["UnitFileState"] == "disabled":
		return note("addagent.service is "+is["ActiveState"]+", but disabled: not started at boot", "systemctl enable addagent")
	case is["WatchdogUSec"] == "0" || is["WatchdogUSec"] == "infinity" || is["WatchdogUSec"] == "":
		return note("addagent.service is "+is["ActiveState"]+", without a watchdog: a hanging agent is not restarted", "set WatchdogSec= in its unit")
	}
	return good("addagent.service is %s, watchdog %s", is["ActiveState"], is["WatchdogUSec"])
}
