package offer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/proc"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work"
)

const (
	// checkTime is how long one check may take.
	checkTime = time.Second
	// outputMost is how much of the output of a script is read; the rest is dropped.
	outputMost = 4 << 10
	// leftTime is how long a process that a script left behind may keep the output open.
	leftTime = 100 * time.Millisecond
)

// check asks side by side whether the services work.
func (o *Offers) check(ctx context.Context, names []string, inHand string) []service.Result {
	results := make([]service.Result, len(names))
	var done sync.WaitGroup
	for i, name := range names {
		k := o.all[name]
		if !k.SetUp && k.Leaving != service.Undoing {
			continue
		}
		own := string(work.Service) + "." + name
		done.Go(func() {
			r := o.checkOne(ctx, k)
			if r.Outcome != service.Pass && (inHand == own || strings.HasPrefix(inHand, own+".")) {
				r = service.Result{} // its own script is running
			}
			results[i] = r
		})
	}
	done.Wait()
	return results
}

func (o *Offers) checkOne(ctx context.Context, k *kept) service.Result {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var err error
	switch c := k.Description.Check; c.Kind {
	case service.TCP:
		err = checkTCP(ctx, c.Target)
	case service.HTTP:
		err = checkHTTP(ctx, c)
	case service.PID:
		err = checkPID(c.Target)
	case service.Exec:
		return o.checkExec(ctx, k)
	}
	if err != nil {
		return failed(ctx, err)
	}
	return service.Result{Outcome: service.Pass}
}

// failed is the result of a check that ended with an error. A shortage of this machine says nothing about the service.
func failed(ctx context.Context, err error) service.Result {
	if files.Shortage(err) || errors.Is(err, syscall.EAGAIN) {
		return service.Result{}
	}
	return service.Result{Outcome: service.Fail, Why: why(ctx, err)}
}

// why is a failure on one line.
func why(ctx context.Context, err error) string {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + human.Duration(checkTime)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = fmt.Errorf("%s: %w", op.Addr, op.Err)
	}
	return human.Truncate(human.Line(err.Error()), 200)
}

func checkTCP(ctx context.Context, target string) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err == nil {
		err = c.Close()
	}
	return err
}

// client asks this machine: without a proxy, and whatever name its certificate has.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func checkHTTP(ctx context.Context, c service.Check) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Target, nil)
	if err != nil {
		return err
	}
	a, err := client.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != c.Expect {
		return fmt.Errorf("%s: status %d, not %d", c.Target, a.StatusCode, c.Expect)
	}
	return nil
}

func checkPID(path string) error {
	data, err := files.ReadSmall(path, 64)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	switch {
	case err != nil || pid <= 0:
		return fmt.Errorf("%s: contains no process id", path)
	case !proc.Lives(pid) || strings.HasPrefix(proc.Status(pid, "State"), "Z"):
		return fmt.Errorf("%s: process %d is not running", path, pid)
	}
	return nil
}

// checkExec runs a script in a session of its own, which is killed when the script has ended or its time is over, and
// so is what has left that session. Where the clone does not have the script, the copy that was kept is used.
func (o *Offers) checkExec(ctx context.Context, k *kept) service.Result {
	c := k.Description.Check
	script := filepath.Join(filepath.FromSlash(k.Dir), c.Target)
	dir := filepath.Join(o.Root, k.Repo)
	if !isFile(filepath.Join(dir, script)) {
		dir = o.copyDir(k.Description.Name, k.Copy)
	}
	if !isFile(filepath.Join(dir, script)) {
		return service.Result{} // a missing script says nothing about the service
	}
	args := []string{filepath.Join(dir, script)}
	if !strings.HasSuffix(k.Scripts[c.Target], "+x") {
		args = append([]string{"bash"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	out := &bounded{}
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, out, out, leftTime
	cmd.Env = append(slices.Clone(o.Env), "ADD_SERVICE="+k.Description.Name, "ADD_SERVICE_PORT="+work.ServiceItem(k.Offer, "").PortText())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = group
	witness, err := newWitness(cmd)
	if err != nil {
		return failed(ctx, err)
	}
	defer witness.close()
	if err := cmd.Start(); err != nil {
		return failed(ctx, err)
	}
	err = cmd.Wait()
	_ = group() // what it left in the background
	witness.end()
	exit := cmd.ProcessState.ExitCode()
	r := service.Result{Outcome: service.Fail}
	last := out.read(&r)
	switch {
	case ctx.Err() != nil:
		r.Why = why(ctx, err)
	case exit == 0:
		r.Outcome = service.Pass
	case exit == work.ExitTempFail:
		r.Outcome, r.Why = service.Warming, last
	default:
		r.Why = fmt.Sprintf("%s: %s", c.Target, cmd.ProcessState)
		if last != "" {
			r.Why += ": " + last
		}
	}
	return r
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// bounded keeps the beginning of what a script writes. Its standard output and error are one pipe.
type bounded struct{ kept bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	_, _ = b.kept.Write(p[:min(len(p), outputMost-b.kept.Len())])
	return len(p), nil
}

// read takes from the output what it says of the service, and answers with the last other line.
func (b *bounded) read(r *service.Result) (last string) {
	for line := range strings.Lines(b.kept.String()) {
		key, value, _ := strings.Cut(human.Line(line), "=")
		value = human.Truncate(strings.TrimSpace(value), 60)
		switch {
		case key == "role" && service.ValidRole(value):
			r.Role = value
		case key == "code" && service.ValidCode(value):
			r.Code = service.Code(value)
		case key == "state":
			r.State = value
		case strings.TrimSpace(line) != "":
			last = human.Truncate(human.Line(line), 150)
		}
	}
	return last
}
