package cloudtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// motoTime is how long moto_server may take to listen: it loads some hundred Python modules, on a busy machine too.
const motoTime = 5 * time.Minute

// Moto is a moto server (EC2 and Auto Scaling in memory, https://docs.getmoto.org). It takes seconds to start, so one
// is shared by the tests of a package: a variable beside their TestMain, which calls Stop after them. The zero value
// starts at the first use.
type Moto struct {
	once    sync.Once
	program string
	process *os.Process
	ended   chan struct{}
	url     string
	trouble string
}

// URL is where it answers. Without moto_server a test fails where CI is set, and is skipped elsewhere.
func (m *Moto) URL(tb testing.TB) string {
	tb.Helper()
	m.once.Do(m.start)
	switch {
	case m.program == "" && os.Getenv("CI") == "":
		tb.Skip("no moto_server here: pip install 'moto[server]'")
	case m.program == "":
		tb.Fatal("no moto_server here, and CI must not pass without it: pip install 'moto[server]'")
	case m.url == "":
		tb.Fatal(m.trouble)
	}
	return m.url
}

// Stop ends the server, if there is one.
func (m *Moto) Stop() {
	if m.process == nil {
		return
	}
	_ = syscall.Kill(-m.process.Pid, syscall.SIGKILL)
	<-m.ended
}

func (m *Moto) start() {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		return
	}
	m.program = program
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", "0")
	// The program may be a wrapper: its group is ended, not it alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Only loopback, whatever the environment says, and no access to a real account.
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "AWS_EC2_METADATA_DISABLED=true")
	words, err := cmd.StderrPipe()
	if err != nil {
		m.trouble = fmt.Sprintf("start %s: %v", program, err)
		return
	}
	if err := cmd.Start(); err != nil {
		m.trouble = fmt.Sprintf("start %s: %v", program, err)
		return
	}
	m.process, m.ended = cmd.Process, make(chan struct{})
	type answer struct{ url, trouble string }
	first := make(chan answer, 2)
	go func() {
		defer close(m.ended)
		var said []string
		in := bufio.NewScanner(words)
		for in.Scan() {
			said = append(said, in.Text())
			if _, address, ok := strings.Cut(in.Text(), "Running on "); ok {
				first <- answer{url: strings.TrimSpace(address)}
				break
			}
		}
		// It writes a line for each request, and would block if it were not read.
		_, _ = io.Copy(io.Discard, words)
		_ = cmd.Wait()
		first <- answer{trouble: fmt.Sprintf("%s ended: %s", program, strings.Join(said, "\n"))}
	}()
	select {
	case a := <-first:
		m.url, m.trouble = a.url, a.trouble
	case <-time.After(motoTime):
		m.trouble = fmt.Sprintf("%s did not listen within %v", program, motoTime)
	}
}
