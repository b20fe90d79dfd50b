package run

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/work/session"
)

// command is the script, or the init, as a process that writes into the log itself.
func (o Order) command(log *os.File, steps *trail) (*exec.Cmd, error) {
	// Looked at here because the kernel says "no such file" for a missing folder, script and interpreter alike.
	if info, err := os.Stat(o.RepoDir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the folder %s does not exist", o.RepoDir)
	}
	for _, path := range o.scripts() {
		if err := o.regular(path); err != nil {
			return nil, err
		}
	}
	args := []string{o.Script}
	switch {
	case len(o.Steps) > 0:
		bash, err := o.find("bash")
		if err != nil {
			return nil, fmt.Errorf("bash is missing, so the init scripts cannot be sourced: %w", err)
		}
		args = []string{bash, "-c", o.initProgram(steps.file, log), "bash"} // $0 as in an interactive shell that sources a script
	case !o.Executable:
		bash, err := o.find("bash")
		if err != nil {
			return nil, fmt.Errorf("%s is not executable, and bash is missing: %w", o.name(o.Script), err)
		}
		args = []string{bash, o.Script}
	}
	return &exec.Cmd{Path: args[0], Args: args, Dir: o.RepoDir, Env: o.Env, Stdout: log, Stderr: log}, nil
}

// scripts are the files that are run.
func (o Order) scripts() []string {
	if len(o.Steps) == 0 {
		return []string{o.Script}
	}
	var all []string
	for _, s := range o.Steps {
		if !s.Missing {
			all = append(all, o.step(s))
		}
	}
	return all
}

func (o Order) scriptError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there", o.name(path))
	}
	return fmt.Errorf("%s cannot be read: %w", o.name(path), errors.Unwrap(err))
}

// find looks a program up in the script's PATH, not in the shim's own.
func (o Order) find(name string) (string, error) {
	path := ""
	for _, entry := range o.Env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			path = value
		}
	}
	for _, dir := range append(filepath.SplitList(path), "/bin", "/usr/bin") {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("not found in %s", path)
}

func (o Order) refused(out *session.Log, why string) ending {
	e := cannotStart(why)
	out.Say("%s", e.detail)
	return e
}

// whyNotStarted explains what the kernel refused, naming script and interpreter: its own words ("no such file", "exec
// format error") name neither.
func (o Order) whyNotStarted(err error) string {
	name, interpreter := "init", ""
	if len(o.Steps) == 0 {
		name, interpreter = o.name(o.Script), firstLineInterpreter(o.Script)
	}
	by := fmt.Sprintf("its interpreter %q", interpreter)
	why := fmt.Sprint(rootCause(err))
	switch {
	case errors.Is(err, syscall.E2BIG):
		why = fmt.Sprintf("its environment is too large (%d bytes in %s): shorten work.env of the config, or the files of nodeinfo/", len(strings.Join(o.Env, " ")), human.Count(len(o.Env), "variable"))
	case !o.Executable:
		return name + " with bash: " + why
	case errors.Is(err, syscall.ENOENT) && interpreter != "":
		why = by + " is not there"
	case errors.Is(err, syscall.ENOENT):
		why = "it, or the loader it was linked for, is not there"
	case errors.Is(err, syscall.EACCES) && interpreter != "":
		why = "permission denied: it or " + by + " is not executable, or lies on a file system mounted noexec"
	case errors.Is(err, syscall.EACCES):
		why = "permission denied: it is not executable, or lies on a file system mounted noexec"
	case errors.Is(err, syscall.ENOEXEC) && interpreter != "":
		why = by + " is not a program for this machine"
	case errors.Is(err, syscall.ENOEXEC):
		return name + " is executable, but not a program for this machine: begin it with #!/bin/bash, or make it non-executable"
	}
	return name + ": " + why
}

// rootCause is the system's own word for what went wrong, without the path that is named already.
func rootCause(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

// firstLineInterpreter is the program that a script names in its first line; "" = none. A carriage return at its end is
// part of the name to the kernel, and shows when the name is quoted.
func firstLineInterpreter(script string) string {
	file, err := os.OpenFile(script, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	line, _ := bufio.NewReader(io.LimitReader(file, 256)).ReadString('\n') // the kernel reads no more than 256 bytes
	rest, ok := strings.CutPrefix(line, "#!")
	if words := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }); ok && len(words) > 0 {
		return words[0]
	}
	return ""
}
