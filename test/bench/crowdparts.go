package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// answer is what a part says after each line that it was sent.
type answer struct {
	cost
	Nodes int    // that were read or folded
	From  string // where they were read from
}

// crowdTime bounds one round of a fleet.
const crowdTime = 10 * time.Minute

// serve says that the part is ready, does what each line of stdin says, and answers with what that cost. The CPU is
// this process's, with the children it waited for.
func serve(out io.Writer, do func(line string) (answer, error)) error {
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		start, cpu := time.Now(), ownCPU()+childrenCPU()
		a, err := do(lines.Text())
		if err != nil {
			return err
		}
		a.Wall, a.CPU = time.Since(start), ownCPU()+childrenCPU()-cpu
		peak, err := field(os.Getpid(), "status", "VmHWM:")
		if err != nil {
			return err
		}
		a.RSS = peak * 1024
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// round reads a line of a fleet: the state that all nodes tell, and in which minute.
func round(line string) (node.State, int, error) {
	state, rest, _ := strings.Cut(line, " ")
	minute, err := strconv.Atoi(rest)
	return node.State(state), minute, err
}

// each does something for all nodes at the same time.
func each(n int, do func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d nodes: %w", len(errs), n, errs[0]) // the others say the same
}

// tell holds the sinks of a whole fleet, each as an agent would have it. With one more argument nodes have services.
func tell(args []string, out io.Writer) error {
	record := nodeRecord
	if len(args) == 5 {
		record = serving(new(int))
		args = args[:4]
	}
	if len(args) != 4 {
		return errors.New("tell TIMEOUT URL DIR N [services]")
	}
	timeout, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	sinks := make([]*gitstore.Sink, n)
	for i := range sinks {
		store, err := remote.New(remote.Source{URL: args[1], Agent: "addagent/bench"})
		if err != nil {
			return err
		}
		sinks[i] = gitstore.New(gitstore.Options{Remote: store, StateFile: filepath.Join(args[2], nodeName(i)+".json"), Timeout: timeout})
		defer store.Close()
		defer sinks[i].Close()
	}
	return serve(out, func(line string) (answer, error) {
		state, minute, err := round(line)
		if err != nil {
			return answer{}, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), crowdTime)
		defer cancel()
		return answer{Nodes: n}, each(n, func(i int) error {
			_ = sinks[i].Tell(ctx, record(i, state, minute)) // what was wrong until now; what is wrong then Flush says
			return sinks[i].Flush(ctx)
		})
	})
}

// gitNodes is the same fleet with the git program: a ref for each node, or one branch for all.
func gitNodes(args []string, out io.Writer) error {
	if len(args) != 4 {
		return errors.New("gitnodes refs|branch URL DIR N")
	}
	kind, url, dir := args[0], args[1], args[2]
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	clones := make([]gitNode, n)
	for i := range clones {
		clones[i] = gitNode{dir: filepath.Join(dir, nodeName(i)), ref: gitstore.RefName(gitstore.RefPrefix, nodeName(i)), number: i}
		first := []string{"init", "-q", "--initial-branch=main", clones[i].dir}
		if kind == "branch" {
			clones[i].ref = "refs/heads/main"
			first = []string{"clone", "-q", url, clones[i].dir}
		}
		if _, err := gittest.TryGit(dir, nil, first...); err != nil {
			return err
		}
		if kind == "branch" {
			continue
		}
		if _, err := gittest.TryGit(clones[i].dir, nil, "remote", "add", "origin", url); err != nil {
			return err
		}
	}
	return serve(out, func(line string) (answer, error) {
		state, minute, err := round(line)
		if err != nil {
			return answer{}, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), crowdTime)
		defer cancel()
		return answer{Nodes: n}, each(n, func(i int) error { return clones[i].tell(ctx, state, minute) })
	})
}

// gitNode is a node that tells with the git program.
type gitNode struct {
	dir, ref string
	number   int
}

// tell commits and pushes until that landed, as people's scripts do it: after a refusal pull --rebase, wait, and again.
func (g gitNode) tell(ctx context.Context, state node.State, minute int) error {
	r := nodeRecord(g.number, state, minute)
	data, err := presence.Encode(r)
	if err != nil {
		return err
	}
	path := filepath.Join(g.dir, gitstore.PathOf(r.InstanceID))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	git := func(args ...string) error {
		_, err := gittest.TryGit(g.dir, nil, args...)
		return err
	}
	if err := errors.Join(git("add", "-A"), git("commit", "-q", "-m", gitstore.Subject(r))); err != nil {
		return err
	}
	for most := 200 * time.Millisecond; ; most = min(2*most, 30*time.Second) {
		err := git("push", "-q", "origin", "HEAD:"+g.ref)
		if err == nil {
			return nil
		}
		if exited := new(exec.ExitError); !errors.As(err, &exited) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(rand.N(most)):
		}
		if err := git("pull", "-q", "--rebase"); err != nil {
			return err
		}
	}
}
