package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// auth checks that the credentials of a repository go together with each other and its URL, and that their files are there.
func (l *loader) auth(r *Repo, prefix string) {
	a := r.Auth
	over, _ := parseURL(r.URL)
	for _, f := range []struct {
		key, path string
		over      protocol
		secret    bool
	}{
		{"auth.token_file", a.TokenFile, overHTTP, true},
		{"auth.username", "", overHTTP, false},
		{"auth.password_file", a.PasswordFile, overHTTP, true},
		{"auth.ssh_key_file", a.SSHKeyFile, overSSH, true},
		{"auth.known_hosts_file", a.KnownHostsFile, overSSH, false},
	} {
		at := l.at[prefix+f.key]
		if at == nil {
			continue
		}
		if over != "" && over != f.over {
			l.say(at, prefix+f.key, fmt.Sprintf("is for %s, but the url is %s", speaking(f.over), speaking(over)))
			continue
		}
		if f.path == "" {
			continue
		}
		problem, note := checkFile(f.path, f.secret)
		if problem != "" {
			l.say(at, prefix+f.key, f.path+" "+problem)
		}
		if note != "" {
			l.c.Notes = append(l.c.Notes, Problem{File: l.file, Line: at.Line, Column: at.Column, Key: prefix + f.key, Text: f.path + " " + note})
		}
	}
	if over != "" && over != overHTTP {
		return
	}
	switch {
	case a.TokenFile != "" && (a.Username != "" || a.PasswordFile != ""):
		l.say(l.at[prefix+"auth.token_file"], prefix+"auth", "give either token_file, or username and password_file")
	case a.Username != "" && a.PasswordFile == "" && !l.complains(prefix+"auth.password_file"):
		l.say(l.at[prefix+"auth.username"], prefix+"auth.username", "needs a password_file beside it")
	case a.PasswordFile != "" && a.Username == "" && !l.complains(prefix+"auth.username"):
		l.say(l.at[prefix+"auth.password_file"], prefix+"auth.password_file", "needs a username beside it")
	}
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
		return "is not a regular file", ""
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
