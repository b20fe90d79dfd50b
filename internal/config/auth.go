package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/address"
	"golang.org/x/sys/unix"
)

// SecretInEnv begins a token_file, password_file or url_file that is not a path but a variable of the agent's
// environment, whose name begins with ADD_SECRET_.
const SecretInEnv = "env:"

// auth checks that the credentials of a repository fit together and fit its URLs, and that their files exist.
func (l *loader) auth(a Auth, urls []string, prefix string) {
	over := map[address.Kind]bool{}
	var ways []string
	for i, url := range urls {
		e, _ := address.Check(url)
		over[e.Kind] = true
		ways = append(ways, kindName(e.Kind))
		if host, plain := address.PlainHTTP(url); plain && a.Holder() != "" {
			l.note(l.at[fmt.Sprintf("%surl[%d]", prefix, i)], prefix+"url", "sends the credentials to "+host+" without encryption: use https://")
		}
	}
	// What a wrong URL needs is unclear.
	unclear := len(urls) == 0 || l.complains(prefix+"url")
	for _, f := range []struct {
		key    string
		over   address.Kind
		paths  []string
		secret bool
	}{
		{"auth.token_file", address.HTTP, []string{a.TokenFile}, true},
		{"auth.username", address.HTTP, nil, false},
		{"auth.password_file", address.HTTP, []string{a.PasswordFile}, true},
		{"auth.command", address.HTTP, nil, false},
		{"auth.ssh_key_file", address.SSH, a.SSHKeyFiles, true},
		{"auth.known_hosts_file", address.SSH, []string{a.KnownHostsFile}, false},
	} {
		at, ok := l.at[prefix+f.key]
		if !ok {
			continue
		}
		if !unclear && !over[f.over] {
			l.say(at, prefix+f.key, fmt.Sprintf("is for %s, but the url is %s: remove it, or correct the url", kindName(f.over), strings.Join(slices.Compact(ways), ", then ")))
			continue
		}
		for i, path := range f.paths {
			where := fmt.Sprintf("%s%s[%d]", prefix, f.key, i)
			if f.over == address.SSH {
				l.fileThere(where, prefix+f.key, path, f.secret)
			} else if text := l.credential(where, prefix+f.key, path); strings.ContainsAny(text, "\r\n") {
				l.miss(l.at[where], prefix+f.key, path+" contains more than one line: write only the secret into it")
			}
		}
	}
	l.program(prefix+"auth.command", a.Command)
	if unclear || over[address.HTTP] {
		l.together(a, prefix)
	}
}

// program checks that the program of a key can be started.
func (l *loader) program(key string, command []string) {
	at, ok := l.at[key]
	if !ok || l.complains(key) {
		return
	}
	if slices.ContainsFunc(command, func(s string) bool { return maskedArgument(s) != s }) {
		l.noteReadable(key, "contains a secret")
	}
	if problem := checkPath(command[0]); problem != "" {
		l.say(at, key, problem)
	} else if _, err := regular(command[0], "install it"); err != nil {
		l.miss(at, key, command[0]+" "+err.Error())
	} else if unix.Access(command[0], unix.X_OK) != nil {
		l.miss(at, key, command[0]+" cannot be executed: chmod +x "+command[0])
	}
}

// together checks which credentials of https may be combined.
func (l *loader) together(a Auth, prefix string) {
	say := func(key, text string) { l.say(l.at[prefix+key], prefix+key, text) }
	has := func(key string) bool { _, ok := l.at[prefix+key]; return ok || l.complains(prefix+key) }
	switch {
	case len(a.Command) > 0 && (a.TokenFile != "" || a.PasswordFile != ""):
		l.say(l.at[prefix+"auth.command"], prefix+"auth", "give either command, or the file of a token or password")
	case a.TokenFile != "" && (a.Username != "" || a.PasswordFile != ""):
		l.say(l.at[prefix+"auth.token_file"], prefix+"auth", "give either token_file, or username and password_file")
	case a.Username != "" && !has("auth.password_file") && !has("auth.command"):
		say("auth.username", "needs a password_file or a command")
	case a.PasswordFile != "" && !has("auth.username"):
		say("auth.password_file", "needs a username")
	}
}

// credential is the secret in the file or variable that a key names, "" with a problem; where is its place in l.at.
func (l *loader) credential(where, key, value string) (text string) {
	name, inEnv := strings.CutPrefix(value, SecretInEnv)
	switch {
	case inEnv:
		if l.o.Env != nil {
			text = strings.TrimSpace(l.o.Env(name))
		}
		if text == "" {
			l.absent(l.at[where], key, name+" is not set in the agent's environment: set it (under systemd with EnvironmentFile=), or name a file")
		}
	case l.fileThere(where, key, value, true):
		var err error
		if text, err = files.ReadText(value, sizeLimit); err == nil && text == "" {
			err = errors.New("is empty: write the secret into it")
		}
		if err != nil {
			l.miss(l.at[where], key, fmt.Sprintf("%s cannot be used: %v", value, files.Cause(err)))
		}
	}
	return text
}

// fileThere tells whether a file can be used. A secret that others can read still works and is only worth a note, but
// one that others can change must not be used.
func (l *loader) fileThere(where, key, path string, secret bool) bool {
	at := l.at[where]
	info, problem := regular(path, "create it")
	switch {
	case errors.Is(problem, errAbsent):
		l.absent(at, key, path+" "+problem.Error())
		return false
	case problem == nil && unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) != nil:
		problem = errors.New("cannot be read: permission denied")
	case problem == nil && secret && info.Size() == 0:
		problem = errors.New("is empty: write the secret into it")
	case problem == nil && secret && info.Mode()&0o077 != 0:
		l.note(at, key, fmt.Sprintf("%s can be read by others (mode %04o): chmod go= %[1]s", path, info.Mode().Perm()))
	}
	if problem != nil {
		l.miss(at, key, path+" "+problem.Error())
	}
	return problem == nil
}

func kindName(k address.Kind) string {
	switch k {
	case address.HTTP:
		return "https and http"
	case address.Local:
		return "a path"
	}
	return string(k)
}

var errAbsent = errors.New("does not exist")

// regular says what is wrong with a file that must be ours alone to change; missing is what to do when it does not
// exist.
func regular(path, missing string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s, or correct the path", errAbsent, missing)
	case err != nil:
		return nil, fmt.Errorf("cannot be used: %w", files.Cause(err))
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file: correct the path")
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("can be changed by others (mode %04o): chmod go-w %s", info.Mode().Perm(), path)
	}
	return info, nil
}

var secretName = regexp.MustCompile(`^ADD_SECRET_[A-Za-z0-9_]+$`)

// checkSecretFile takes a path, or the name of a variable. It quotes nothing: the value may be the secret itself.
func checkSecretFile(s string) string {
	name, inEnv := strings.CutPrefix(s, SecretInEnv)
	switch {
	case !inEnv:
		return checkSecretPath(s)
	case !secretName.MatchString(name):
		return "after env: write the name of a variable that begins with ADD_SECRET_, such as env:ADD_SECRET_GIT"
	}
	return ""
}

// checkSecretPath is checkPath without quoting.
func checkSecretPath(s string) string {
	switch {
	case strings.HasPrefix(s, SecretInEnv):
		return "must be a path: only token_file, password_file and url_file may name a variable"
	case s != "" && !strings.HasPrefix(s, "~") && !strings.HasPrefix(s, "/"):
		return "is not an absolute path: write the secret into a file, and its path here"
	}
	return checkPath(s)
}

// checkArgument takes what can be an argument of a program.
func checkArgument(s string) string {
	if odd(s) {
		return "contains a control character: remove it"
	}
	return ""
}

// maskedArgument hides the value of an argument such as --token=X.
func maskedArgument(s string) string {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return s
	}
	return name + "=" + masked(name, value)
}
