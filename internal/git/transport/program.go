package transport

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/protocol"
)

// Program is the way to a repository on a disk of this machine: git's own server side, a new process for each
// conversation. It alone needs the program git.
type Program struct {
	Path string
	notKept
}

// termPatience is how long a git that was told to end may take to remove its lock files before it is killed.
const termPatience = 2 * time.Second

// Open starts a program of git, as SSH.Open does. It trusts a repository of another user, because the config names
// just that one. The superuser pushes as the owner: else the owner's hooks would run with all rights, and what is
// pushed would belong to the superuser and be in the owner's way.
func (p Program) Open(ctx context.Context, program string, v2 bool) (Stream, error) {
	info, err := os.Stat(p.Path)
	if err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	cmd := exec.Command("git", "-c", "safe.directory=*", strings.TrimPrefix(program, "git-"), p.Path)
	cmd.Dir, cmd.Env = "/", gitEnv(v2)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // git and what it starts end together
	cmd.WaitDelay = time.Second                           // what a hook leaves running may hold its stderr
	s := &programStream{cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &s.said
	owner, ok := info.Sys().(*syscall.Stat_t)
	if ok && os.Geteuid() == 0 && owner.Uid != 0 {
		uid := strconv.FormatUint(uint64(owner.Uid), 10)
		// git before 2.38 knows no safe.directory of ours, but trusts whom sudo was called by.
		cmd.Env = append(cmd.Env, "SUDO_UID="+uid)
		if program == protocol.ReceivePack {
			s.as = " (as user " + uid + ", who owns it)"
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
			cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME=", "HOME="+homeOf(uid))
		}
	}
	if s.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close that one before all is read.
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.out, cmd.Stdout = out, stdout
	err = cmd.Start()
	_ = stdout.Close()
	if err != nil {
		_ = out.Close()
		if errors.Is(err, exec.ErrNotFound) {
			err = Denied(errors.New("a repository given as a path needs the program git, which is not here"), "install git, or use https or ssh")
		}
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // what went wrong is in its stderr
		close(s.ended)
	}()
	return s, nil
}

// gitEnv is our environment without what names another repository, which a hook that starts us has.
func gitEnv(v2 bool) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GIT_") && !strings.HasPrefix(v, "GIT_CONFIG_") && !strings.HasPrefix(v, "GIT_EXEC_PATH=")
	})
	env = append(env, "LC_ALL=C", "LANGUAGE=") // its complaints are recognised by their words
	if v2 {
		env = append(env, protocol.VersionEnv+"="+protocol.Version2)
	}
	return env
}

func homeOf(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.HomeDir
	}
	return "/"
}

type programStream struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *os.File
	said  head
	as    string
	ended chan struct{}
}

func (s *programStream) Read(p []byte) (int, error)  { return s.out.Read(p) }
func (s *programStream) Write(p []byte) (int, error) { return s.in.Write(p) }

// Cut ends git with all that it started. It may remove its lock files first: a ref whose lock stays cannot be moved.
func (s *programStream) Cut() {
	_ = s.out.Close()
	s.signal(syscall.SIGTERM)
	time.AfterFunc(termPatience, func() { s.signal(syscall.SIGKILL) })
}

func (s *programStream) signal(sig syscall.Signal) {
	select {
	case <-s.ended: // its number may be another's by now
	default:
		_ = syscall.Kill(-s.cmd.Process.Pid, sig)
	}
}

// Close waits for git, which ends when its input does.
func (s *programStream) Close() error {
	_ = s.in.Close()
	_ = s.out.Close()
	timer := time.AfterFunc(termPatience, s.Cut)
	defer timer.Stop()
	<-s.ended
	return nil
}

func (s *programStream) Complaint() string {
	// It may be written after the end of the data.
	timer := time.AfterFunc(termPatience, s.Cut)
	defer timer.Stop()
	<-s.ended
	if text := oneLine(s.said.text()); text != "" {
		return text + s.as
	}
	return ""
}
