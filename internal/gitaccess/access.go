package gitaccess

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Auth names what holds credentials. Files are read when they are used, so that a new token needs no restart.
type Auth struct {
	TokenFile      string // for HTTP: a token; Username goes with it ("x-access-token" when empty)
	Username       string
	PasswordFile   string
	SSHKeyFiles    []string // private keys without a passphrase, tried in order; none = the user's own ~/.ssh/id_*
	KnownHostsFile string   // "" = the user's own ~/.ssh/known_hosts and the machine's
	Command        []string // for HTTP: a program speaking git's credential-helper protocol (git-credential(1))
}

// Network says how HTTP gets out, where that is not the usual way. SSH, git:// and paths always go directly: a proxy for
// HTTP is no proxy for them. The files are read anew when they change.
type Network struct {
	Proxy          string   // http, https, socks5 or socks5h URL; "" = the usual environment variables
	NoProxy        []string // reached directly: hosts with what is below them, addresses, 10.0.0.0/8, *; with or without a port
	CAFile         string   // PEM: authorities that are trusted besides the system's
	ClientCertFile string   // PEM
	ClientKeyFile  string   // PEM
}

// secret reads a small file that holds one line, or the variable of the environment that stands in its place as env:NAME.
func secret(key, path string) (string, error) {
	var b []byte
	if name, ok := strings.CutPrefix(path, "env:"); ok {
		b = []byte(os.Getenv(name))
	} else {
		var err error
		if b, err = ReadSmall(path); err != nil {
			return "", fmt.Errorf("auth %s: %w", key, err)
		}
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return "", fmt.Errorf("auth %s: %s is empty", key, path)
	}
	if bytes.ContainsAny(b, "\r\n\x00") {
		return "", fmt.Errorf("auth %s: %s holds more than one line", key, path)
	}
	return string(b), nil
}

// ReadSmall reads a file that should be small, a key or one of git's own; one that is not is an error and not a full
// memory.
func ReadSmall(path string) ([]byte, error) {
	// Not to block on what somebody put in its place: a pipe has no end to read to.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st syscall.Stat_t // and not f.Stat, which costs two allocations in every look
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	const limit = 1 << 20
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s is larger than a megabyte", path)
	}
	return b, err
}
