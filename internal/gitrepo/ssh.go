package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshDialer returns a function that connects, checks the host key and starts git-upload-pack.
func sshDialer(a address, auth Auth) func(context.Context) (stream, error) {
	return func(ctx context.Context) (stream, error) {
		checker, err := newHostChecker(auth.KnownHostsFile)
		if err != nil {
			return nil, err
		}
		signers, done, err := sshSigners(auth.SSHKeyFile)
		if err != nil {
			return nil, err
		}
		defer done()
		who := a.user
		if who == "" {
			if me, err := user.Current(); err == nil {
				who = me.Username
			}
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.host)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		s, err := startSSH(conn, a, &ssh.ClientConfig{
			User:              who,
			Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
			HostKeyCallback:   checker.check,
			HostKeyAlgorithms: checker.algorithms(a.host, conn.RemoteAddr()),
		})
		if err != nil {
			_ = conn.Close()
			if strings.Contains(err.Error(), "unable to authenticate") {
				err = fmt.Errorf("%w: the key of %s does not let %q in", err, keyName(auth.SSHKeyFile), who)
			}
			return nil, err
		}
		return s, nil
	}
}

func keyName(file string) string {
	if file == "" {
		return "~/.ssh (set auth ssh_key_file)"
	}
	return file
}

func startSSH(conn net.Conn, a address, config *ssh.ClientConfig) (stream, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, a.host, config)
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(c, channels, requests)
	session, err := client.NewSession()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	s := &sshStream{client: client, session: session}
	session.Stderr = &s.said
	if s.Writer, err = session.StdinPipe(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	if s.Reader, err = session.StdoutPipe(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	// Quoted as git does it: hosts run this through a shell.
	path := strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(a.path)
	if err := session.Start("git-upload-pack '" + path + "'"); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// sshStream is one git-upload-pack in one session on one connection.
type sshStream struct {
	io.Reader
	io.Writer
	client  *ssh.Client
	session *ssh.Session
	said    tail
}

func (s *sshStream) Close() error { return ignoreClosed(s.client.Close()) }

func (s *sshStream) complaint() string {
	// The text for people may arrive after the end of the data: wait for the end of the session, but not for long.
	timer := time.AfterFunc(2*time.Second, func() { _ = s.client.Close() })
	defer timer.Stop()
	_ = s.session.Wait()
	return oneLine(s.said.text())
}

// tail keeps the first kilobyte of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), 1024-len(t.b))]...)
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// sshSigners reads the key file, or offers the user's own keys and those of a running agent.
func sshSigners(file string) ([]ssh.Signer, func(), error) {
	if file != "" {
		s, err := sshKey(file)
		return []ssh.Signer{s}, func() {}, err
	}
	var signers []ssh.Signer
	done := func() {}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		if c, err := net.Dial("unix", socket); err == nil {
			done = func() { _ = c.Close() }
			if held, err := agent.NewClient(c).Signers(); err == nil {
				signers = held
			}
		}
	}
	home, _ := os.UserHomeDir()
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if s, err := sshKey(filepath.Join(home, ".ssh", name)); err == nil {
			signers = append(signers, s)
		}
	}
	if len(signers) == 0 {
		done()
		return nil, nil, errors.New("no ssh key: set auth ssh_key_file, or put one without a passphrase into ~/.ssh/id_ed25519")
	}
	return signers, done, nil
}

func sshKey(file string) (ssh.Signer, error) {
	b, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("auth ssh_key_file: %w", err)
	}
	s, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, fmt.Errorf("auth ssh_key_file: %s has a passphrase, which nobody can type here: use a key without one", file)
	case err != nil:
		return nil, fmt.Errorf("auth ssh_key_file: %s is not a private key", file)
	}
	return s, nil
}

// hostChecker compares host keys with known_hosts files. A host that is not in them is refused.
type hostChecker struct {
	files []string
	known ssh.HostKeyCallback // nil: there is no file
}

func newHostChecker(file string) (*hostChecker, error) {
	h := &hostChecker{files: []string{file}}
	if file == "" {
		home, _ := os.UserHomeDir()
		h.files = []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	var there []string
	for _, f := range h.files {
		if _, err := os.Stat(f); err == nil {
			there = append(there, f)
		} else if file != "" {
			return nil, fmt.Errorf("auth known_hosts_file: %w", err)
		}
	}
	if len(there) == 0 {
		return h, nil
	}
	known, err := knownhosts.New(there...)
	if err != nil {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	h.known = known
	return h, nil
}

// check is an ssh.HostKeyCallback. A refusal names the fingerprint that the host shows, and the one that is known.
func (h *hostChecker) check(host string, addr net.Addr, key ssh.PublicKey) error {
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	if h.known == nil {
		return fmt.Errorf("unknown host key: %s shows %s and there is no known_hosts file: compare it, then write it to one (set auth known_hosts_file)", host, shown)
	}
	err := h.known(host, addr, key)
	var refused *knownhosts.KeyError
	if !errors.As(err, &refused) {
		return err
	}
	files := strings.Join(h.files, ", ")
	if len(refused.Want) == 0 {
		return fmt.Errorf("unknown host key: %s shows %s, known: none in %s: compare it, then add it with ssh-keyscan", host, shown, files)
	}
	var known []string
	for _, k := range refused.Want {
		known = append(known, fmt.Sprintf("%s %s (%s:%d)", k.Key.Type(), ssh.FingerprintSHA256(k.Key), k.Filename, k.Line))
	}
	return fmt.Errorf("host key changed: %s shows %s, known: %s: find out why before you change that file", host, shown, strings.Join(known, ", "))
}

// algorithms puts those first for which the host's key is known: a host has several keys and shows the one that the
// client likes best.
func (h *hostChecker) algorithms(host string, addr net.Addr) []string {
	var first []string
	if h.known != nil {
		var asked *knownhosts.KeyError
		if errors.As(h.known(host, addr, noKey{}), &asked) {
			for _, k := range asked.Want {
				if k.Key.Type() == ssh.KeyAlgoRSA {
					first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
				}
				first = append(first, k.Key.Type())
			}
		}
	}
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(first, a) {
			first = append(first, a)
		}
	}
	return first
}

// noKey is a key that nobody has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return bytes.Repeat([]byte{1}, 8) }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
