package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/proc"
	"github.com/addagent/addagent/internal/status"
	"github.com/addagent/addagent/presence"
	"golang.org/x/sys/unix"
)

// probes are all that is tried, in the order in which it is shown: the node itself first.
func (d *Checker) probes() []probe {
	one := func(name string, do func(context.Context) Finding) probe {
		return probe{name, 1, func(ctx context.Context) []Finding { return []Finding{do(ctx)} }}
	}
	all := []probe{
		one("home", func(context.Context) Finding { return d.folder("home", d.cfg.Home) }),
		one("run_dir", func(context.Context) Finding { return d.folder("run_dir", d.cfg.RunDir) }),
		one("state_dir", func(context.Context) Finding { return d.folder("state_dir", d.cfg.StateDir) }),
		one("bash", d.bash),
		{"agent", 1, d.beats},
		one("clock", d.clock),
	}
	all = append(all, d.repositories()...)
	all = append(all, probe{"presence", 4, d.presence})
	if d.cfg.Requests.URL != "" {
		all = append(all, one("requests", d.requests))
	}
	all = append(all, d.rooms()...)
	return append(all,
		probe{"ec2", 5, d.ec2},
		one("kill", d.kill),
		one("metrics textfile", d.textfile),
		one("metrics listen", d.listen),
		one("systemd", d.systemd))
}

// root says whether this process may see what the agent sees.
func (d *Checker) root() bool { return d.Process.Getuid() == 0 }

// identity finds out who this node is, and writes nothing.
func (d *Checker) identity(ctx context.Context) Finding {
	me, err := daemon.Identify(ctx, d.Process, d.cfg, true)
	if errors.Is(err, fs.ErrPermission) && !d.root() && d.Live {
		return foreign(err.Error()).named("identity")
	}
	if err != nil {
		return broken(err, "write a valid id into "+filepath.Join(d.cfg.Home, "nodeinfo", "instance-id.txt")+", or remove the file").named("identity")
	}
	d.me = me
	text := fmt.Sprintf("%s, from %s, hardware %s", me.ID, me.Source, me.Hardware)
	for _, f := range []struct{ name, value string }{{"part", d.info.Nodepart}, {"stacktype", d.info.Stacktype}, {"deployment", d.info.Deployment}} {
		if f.value != "" {
			text += fmt.Sprintf(", %s %s", f.name, f.value)
		}
	}
	if len(me.Notices) > 0 {
		return note(text+": "+strings.Join(me.Notices, "; "), "").named("identity")
	}
	return good("%s", text).named("identity")
}

const (
	// A disk with less than this is worth a word: a clone that moves needs room for both trees.
	littleRoom    = 200 << 20
	littlePercent = 5
)

// folder tells whether a folder of the agent's can be written, and how much room its disk has. It writes nothing.
func (d *Checker) folder(key, dir string) Finding {
	at, absent := dir, false
	info, err := os.Stat(at)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at, absent = filepath.Dir(at), true
		info, err = os.Stat(at)
	}
	if err == nil && !info.IsDir() {
		return fail(at+" is not a folder", "move it, or set "+key+" to another folder")
	}
	if err == nil {
		err = unix.Access(at, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		owner := -1 // not known
		if info != nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				owner = int(st.Uid)
			}
		}
		if !d.root() && owner != d.Process.Getuid() {
			return foreign(at + " belongs to another account")
		}
		fix := fmt.Sprintf("make it writable for this account (ls -ld %s), or set %s to another folder", at, key)
		if errors.Is(err, syscall.EROFS) {
			fix = "mount it read-write, or set " + key + " to a folder elsewhere"
		}
		return fail(fmt.Sprintf("%s cannot be written: %v", at, err), fix)
	}
	text := dir + " can be written"
	if absent {
		text = dir + " does not exist yet and can be created"
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(at, &disk); err != nil || disk.Blocks == 0 {
		return good("%s", text)
	}
	free := int64(disk.Bavail) * int64(disk.Bsize)
	percent := int64(disk.Bavail) * 100 / int64(disk.Blocks)
	text += fmt.Sprintf(", %s free (%d %%)", human.BinarySize(free), percent)
	if free < littleRoom || percent < littlePercent {
		return note(text, "free space on that disk: du -xh "+at+" | sort -h | tail")
	}
	return good("%s", text)
}

func (d *Checker) bash(context.Context) Finding {
	path, err := exec.LookPath("bash")
	if err != nil {
		return fail("bash, which init and scripts need, is not in PATH", "install bash, or add its folder to the agent's PATH")
	}
	return good("%s", path)
}

// beats tells whether a process beats here in time, and what troubles the last beat had.
func (d *Checker) beats(context.Context) []Finding {
	s, _, err := status.Read(d.cfg, d.Now)
	if errors.Is(err, fs.ErrPermission) && !d.root() {
		return []Finding{foreign(err.Error())}
	}
	if err != nil {
		return []Finding{broken(err, "check who may read "+d.cfg.BeatLock()+", "+journal.BeatPath(d.cfg.Home))}
	}
	flags := d.Flags.Suffix()
	b, holder, held := s.Beat, s.Holder, s.Running
	var found []Finding
	switch {
	case held && proc.Stopped(holder.PID):
		found = append(found, fail(fmt.Sprintf("process %d is stopped and does not beat", holder.PID), fmt.Sprintf("kill -CONT %d", holder.PID)))
	case held && b == nil:
		found = append(found, good("process %d has not finished its first beat, started %s", holder.PID, human.When(holder.Started, d.Now)))
	case held && s.Late:
		found = append(found, fail(fmt.Sprintf("process %d is late: last beat at %s, next one due %s", holder.PID, human.When(b.Start, d.Now), human.When(b.Next, d.Now)),
			"addagent log"+flags+" shows what it does; restart it if it hangs"))
	case held:
		found = append(found, good("process %d is running: last beat at %s, %s", holder.PID, human.When(b.Start, d.Now), b.State))
	case s.Alive():
		found = append(found, good("addagent beat, run by cron or a timer: last one at %s", human.When(b.Start, d.Now)))
	default:
		found = append(found, note("no agent is running here", "addagent run"+flags+", or start its unit"))
	}
	if s.Alive() && b != nil && len(b.Troubles) > 0 {
		t := b.Troubles[0]
		found = append(found, note(fmt.Sprintf("the last beat has %s; the first one, for %s: %s", human.Count(len(b.Troubles), "trouble"), human.Duration(d.Now.Sub(t.Since)), t.Text), "addagent status"+flags))
	}
	return found
}

// clock compares this machine's clock with the Date of the first server of ours that answers in HTTP. A clock that is
// off makes a node late, or missing, for all others.
func (d *Checker) clock(ctx context.Context) Finding {
	transport, err := transport.Transport(d.cfg.Network)
	if err != nil {
		return broken(err, "check network in the config")
	}
	servers := map[string]http.RoundTripper{} // by URL, without a secret
	add := func(raw string, t http.RoundTripper) {
		if u, err := url.Parse(raw); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			servers[u.Scheme+"://"+u.Host] = t
		}
	}
	for _, r := range d.cfg.Repos {
		for _, at := range r.URLs {
			add(remote.Source{URL: at}.Redacted(), transport)
		}
	}
	add(remote.Source{URL: d.cfg.Presence.URL}.Redacted(), transport)
	if daemon.MachineOf(d.Process, d.cfg, d.me) != nil {
		add(cmp.Or(daemon.MetadataEndpoint(d.Process), cloud.EC2Endpoint), &http.Transport{DisableKeepAlives: true}) // which is never reached through a proxy
	}
	if len(servers) == 0 {
		return skip("no repository or presence over HTTP, so there is no server to compare the clock with")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan *Finding, len(servers))
	for at, t := range servers {
		go func() { answers <- compareClock(ctx, at, t) }()
	}
	for range servers {
		select {
		case f := <-answers:
			if f != nil {
				return *f
			}
		case <-ctx.Done():
			return skip("no server answered in time")
		}
	}
	return skip("no server sent its time")
}

// compareClock tells whether our clock agrees with a server's; nil when the server does not tell its time. Any answer
// will do: each has a Date.
func compareClock(ctx context.Context, at string, transport http.RoundTripper) *Finding {
	q, err := http.NewRequestWithContext(ctx, http.MethodHead, at+"/", nil)
	if err != nil {
		return nil
	}
	q.Header.Set("User-Agent", cli.UserAgent("addagent"))
	before := time.Now()
	answer, err := transport.RoundTrip(q) // which follows no redirect
	if err != nil {
		return nil
	}
	_ = answer.Body.Close()
	theirs, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return nil
	}
	off := theirs.Sub(before.Add(time.Since(before) / 2))
	f := good("matches that of %s", at)
	if off.Abs() > presence.Skew {
		side := "behind"
		if off < 0 {
			side = "ahead of"
		}
		f = note(fmt.Sprintf("this clock is %s %s that of %s: other nodes see this one as late or missing", human.Duration(off.Abs().Round(time.Minute)), side, at),
			"set the clock of this machine, or of that one (timedatectl, chronyc tracking)")
	}
	return &f
}
