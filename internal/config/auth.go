package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// SecretInEnv begins a token_file, password_file or url_file that is no path: the rest is the name of a variable of the agent's own
// environment, which begins with ADD_SECRET_.
const SecretInEnv = "env:"

// auth checks that the credentials of a repository go together with each other and its URLs, and that their files are there.
func (l *loader) auth(a Auth, urls []string, prefix string) {
	over := map[protocol]bool{}
	for _, url := range urls {
		p, _ := parseURL(url)
		over[p] = true
	}
	// Of a URL that is wrong we cannot say what it needs.
	unclear := urls[0] == "" || l.complains(prefix+"url")
	for _, f := range []struct {
		key    string
		over   protocol
		paths  []string
		secret bool
	}{
		{"auth.token_file", overHTTP, []string{a.TokenFile}, true},
		{"auth.username", overHTTP, nil, false},
		{"auth.password_file", overHTTP, []string{a.PasswordFile}, true},
		{"auth.command", overHTTP, nil, false},
		{"auth.ssh_key_file", overSSH, a.SSHKeyFiles, true},
		{"auth.known_hosts_file", overSSH, []string{a.KnownHostsFile}, false},
	} {
		at, ok := l.at[prefix+f.key]
		if !ok {
			continue
		}
		if !unclear && !over[f.over] {
			l.say(at, prefix+f.key, fmt.Sprintf("is for %s, but the url is %s: remove it, or correct the url", speaking(f.over), spoken(urls)))
			continue
		}
		for i, path := range f.paths {
			l.credential(fmt.Sprintf("%s%s[%d]", prefix, f.key, i), prefix+f.key, path, f.secret)
		}
	}
	l.program(prefix+"auth.command", a.Command)
	if unclear || over[overHTTP] {
		l.together(a, prefix)
	}
}

// program checks that the key names one that can be started.
func (l *loader) program(key string, command []string) {
	at, ok := l.at[key]
	if !ok || l.complains(key) {
		return
	}
	if problem := checkPath(command[0]); problem != "" {
		l.say(at, key, problem)
	} else if problem := checkProgram(command[0]); problem != "" {
		l.miss(at, key, command[0]+" "+problem)
	}
}

// together checks which credentials of https stand side by side.
func (l *loader) together(a Auth, prefix string) {
	say := func(key, text string) { l.say(l.at[prefix+key], prefix+key, text) }
	has := func(key string) bool { _, ok := l.at[prefix+key]; return ok || l.complains(prefix+key) }
	switch {
	case len(a.Command) > 0 && (a.TokenFile != "" || a.PasswordFile != ""):
		l.say(l.at[prefix+"auth.command"], prefix+"auth", "give either command, or the file of a token or password")
	case a.TokenFile != "" && (a.Username != "" || a.PasswordFile != ""):
		l.say(l.at[prefix+"auth.token_file"], prefix+"auth", "give either token_file, or username and password_file")
	case a.Username != "" && !has("auth.password_file") && !has("auth.command"):
		say("auth.username", "needs a password_file or a command beside it")
	case a.PasswordFile != "" && !has("auth.username"):
		say("auth.password_file", "needs a username beside it")
	}
}

// credential checks what the key at that place of l.at names: a file, or a variable.
func (l *loader) credential(where, key, value string, secret bool) {
	name, inEnv := strings.CutPrefix(value, SecretInEnv)
	if !inEnv {
		l.fileThere(where, key, value, secret)
		return
	}
	if l.o.Env == nil || l.o.Env(name) == "" {
		l.absent(l.at[where], key, name+" is not set in the agent's environment: set it (under systemd with EnvironmentFile=), or name a file")
	}
}

// fileThere says whether a file can be used.
func (l *loader) fileThere(where, key, path string, secret bool) bool {
	problem, note := checkFile(path, secret)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		l.absent(l.at[where], key, path+" "+problem)
	} else if problem != "" {
		l.miss(l.at[where], key, path+" "+problem)
	}
	if note != "" {
		l.note(l.at[where], key, path+" "+note)
	}
	return problem == ""
}

func speaking(p protocol) string {
	switch p {
	case overHTTP:
		return "https and http"
	case onDisk:
		return "a path"
	}
	return string(p)
}

// spoken is how a repository is reached, of all its URLs.
func spoken(urls []string) string {
	var all []string
	for _, url := range urls {
		p, _ := parseURL(url)
		if s := speaking(p); len(all) == 0 || all[len(all)-1] != s {
			all = append(all, s)
		}
	}
	return strings.Join(all, ", then ")
}

// checkFile says what is wrong with a file of credentials, and what is only worth a note: a secret that others can read
// works, but one that others can write is theirs already.
func checkFile(path string, secret bool) (problem, note string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist: write it, or correct the path", ""
	case err != nil:
		return "cannot be used: " + cause(err), ""
	case !info.Mode().IsRegular():
		return "is not a regular file: correct the path", ""
	}
	f, err := os.Open(path)
	if err != nil {
		return "cannot be read: " + cause(err), ""
	}
	_ = f.Close()
	mode := info.Mode().Perm()
	switch {
	case secret && info.Size() == 0:
		return "is empty: write the secret into it", ""
	case mode&0o022 != 0:
		return fmt.Sprintf("can be changed by others (mode %04o): chmod go-w %s", mode, path), ""
	case secret && mode&0o077 != 0:
		return "", fmt.Sprintf("can be read by others (mode %04o): chmod go= %s", mode, path)
	}
	return "", ""
}

// checkProgram says what is wrong with a program that the agent is to start.
func checkProgram(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist: install it, or correct the path"
	case err != nil:
		return "cannot be used: " + cause(err)
	case !info.Mode().IsRegular():
		return "is not a regular file: correct the path"
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("can be changed by others (mode %04o): chmod go-w %s", info.Mode().Perm(), path)
	case unix.Access(path, unix.X_OK) != nil:
		return "cannot be executed: chmod +x " + path
	}
	return ""
}

var secretName = regexp.MustCompile(`^ADD_SECRET_[A-Za-z0-9_]+$`)

// checkSecretFile takes a path, or the name of a variable. It quotes nothing: somebody may have written the secret here.
func checkSecretFile(s string) string {
	name, inEnv := strings.CutPrefix(s, SecretInEnv)
	switch {
	case !inEnv:
		return checkSecretPath(s)
	case !secretName.MatchString(name):
		return "after env: comes the name of a variable that begins with ADD_SECRET_, such as env:ADD_SECRET_GIT"
	}
	return ""
}

// checkSecretPath is checkPath without quoting.
func checkSecretPath(s string) string {
	switch {
	case strings.HasPrefix(s, SecretInEnv):
		return "must be a path: only token_file, password_file and url_file may be in the environment"
	case s != "" && !strings.HasPrefix(s, "~") && !strings.HasPrefix(s, "/"):
		return "is no absolute path: write the secret into a file, and the path of that file here"
	}
	return checkPath(s)
}

// checkArgument takes what can be handed to a program.
func checkArgument(s string) string {
	if odd(s) {
		return "holds a control character: remove it"
	}
	return ""
}

// maskedArguments hides what is given to a key with such a name. Nothing else is known of other people's arguments.
func maskedArguments(all []string) []string {
	shown := make([]string, len(all))
	for i, s := range all {
		if name, value, ok := strings.Cut(s, "="); ok && i > 0 {
			s = name + "=" + masked(name, value)
		}
		shown[i] = s
	}
	return shown
}
