package transport

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/secret"
)

// basic returns what finds user and password for an HTTP URL; nil when nothing is named.
func basic(a address.Auth, rawURL string) protocol.AuthFunc {
	switch {
	case len(a.Command) > 0:
		return newHelper(a, rawURL).credentials
	case a.TokenFile == "" && a.PasswordFile == "" && a.Username == "":
		return nil
	}
	return func(context.Context, bool) (string, string, error) {
		switch {
		case a.TokenFile != "":
			token, err := secretIn("token_file", a.TokenFile)
			user := a.Username
			if user == "" {
				user = "x-access-token"
			}
			return user, token, err
		case a.PasswordFile != "":
			password, err := secretIn("password_file", a.PasswordFile)
			return a.Username, password, err
		}
		return a.Username, "", nil
	}
}

// helper asks a program for credentials in the language of git's credential helpers
// (https://git-scm.com/docs/git-credential#IOFMT), and keeps the answer in memory until the server refuses it or it
// expires. What works is not told back to it ("store"): it is the program that knows, not we.
type helper struct {
	command        []string
	about          string // protocol and host, a line each
	path, username string // lines too, or empty
	user, password string // the last answer
	known          bool   // there is one
	expires        time.Time
}

const (
	helperPatience = 20 * time.Second
	// A password that is about to expire would be refused on its way.
	helperMargin = 10 * time.Second
)

func newHelper(a address.Auth, rawURL string) *helper {
	h := &helper{command: a.Command}
	u, err := url.Parse(rawURL)
	if err != nil {
		return h // such a host is not asked at all
	}
	h.about = "protocol=" + strings.ToLower(u.Scheme) + "\nhost=" + u.Host + "\n"
	if p := strings.Trim(u.Path, "/"); p != "" {
		h.path = "path=" + p + "\n"
	}
	user := a.Username
	if user == "" && u.User != nil {
		user = u.User.Username()
	}
	if user != "" {
		h.username = "username=" + user + "\n"
	}
	return h
}

// credentials is a protocol.AuthFunc.
func (h *helper) credentials(ctx context.Context, again bool) (string, string, error) {
	if h.known && again {
		// It may not know what to do with erase, or fail at it: it is asked again all the same.
		_, _ = h.run(ctx, "erase", h.about+h.path+"username="+h.user+"\npassword="+h.password+"\n\n")
		h.known = false
	}
	if h.known && (h.expires.IsZero() || time.Now().Add(helperMargin).Before(h.expires)) {
		return h.user, h.password, nil
	}
	h.known = false
	// A store of passwords a host keeps none for a path, so without an answer it is asked once more without one.
	for _, path := range []string{h.path, ""} {
		out, err := h.run(ctx, "get", h.about+path+h.username+"\n")
		if err != nil {
			return "", "", err
		}
		quit, err := h.learn(out)
		if err != nil {
			return "", "", err
		}
		if h.known {
			return h.user, h.password, nil
		}
		if quit || h.path == "" {
			break
		}
	}
	return "", "", fmt.Errorf("auth command %s: it has no password for %s", h.command[0], strings.TrimPrefix(strings.Split(h.about, "\n")[1], "host="))
}

// learn reads an answer. Of one that cannot be understood nothing is shown: there may be a secret in it.
func (h *helper) learn(out string) (quit bool, err error) {
	h.user, h.password, h.expires = strings.TrimSpace(strings.TrimPrefix(h.username, "username=")), "", time.Time{}
	for line := range strings.Lines(out) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch {
		case key == "" && !ok:
			continue
		case !ok || strings.ContainsRune(value, 0):
			return false, fmt.Errorf("auth command %s: its answer is not of the form key=value", h.command[0])
		}
		switch key {
		case "username":
			h.user = value
		case "password":
			h.password, h.known = value, value != ""
		case "password_expiry_utc":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				h.expires = time.Unix(n, 0)
			}
		case "quit":
			quit = value == "1" || value == "true"
		}
	}
	return quit, nil
}

// run starts the program. Nothing secret is among its arguments; what it prints never gets into an error, what it
// complains about does.
func (h *helper) run(ctx context.Context, action, input string) (string, error) {
	late := fmt.Errorf("no answer within %s", human.Setting(helperPatience))
	ctx, cancel := context.WithTimeoutCause(ctx, helperPatience, late)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.command[0], append(h.command[1:len(h.command):len(h.command)], action)...)
	// A helper is often a script: with what it started it is a group of its own, and goes as one.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(input)
	out, said := &head{most: 64 << 10}, &head{}
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return out.text(), nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if text := oneLine(secret.Set{h.password, passwordIn(out.text())}.Said(untold(said.text()))); text != "" {
		return "", fmt.Errorf("auth command %s %s: %w: %s", h.command[0], action, err, text)
	}
	return "", fmt.Errorf("auth command %s %s: %w", h.command[0], action, err)
}

// telling is where a line of a complaint may name a secret: all after such a word. So may what a shell shows of
// itself (set -x).
var telling = regexp.MustCompile(`(?i)((?:password|passwd|pass|token|secret|key|authorization|bearer)["']?\s*[=: ]\s*)\S.*`)

// untold is a complaint without what looks like a secret, known or not.
func untold(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "+") {
			lines = append(lines, telling.ReplaceAllString(strings.TrimSpace(line), "$1***"))
		}
	}
	return strings.Join(lines, " ")
}

func passwordIn(out string) string {
	_, rest, _ := strings.Cut("\n"+out, "\npassword=")
	password, _, _ := strings.Cut(rest, "\n")
	return password
}
