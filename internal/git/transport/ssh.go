package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// SSH keeps one connection to an SSH server between questions; each is a channel of its own on it. One that was made
// with keys or known hosts that have changed since is given up. SSH goes directly, whatever proxy there is for HTTP.
type SSH struct {
	User string // "" = who runs this program
	Host string // with a port
	Path string // of the repository there
	Auth address.Auth

	client *ssh.Client // nil: none
	made   stamps      // of the files that it was made with
}

// files are those that decide whether a connection is made, and with whom.
func (l *SSH) files() []string {
	keys := l.Auth.SSHKeyFiles
	if len(keys) == 0 {
		keys = ownKeys()
	}
	return append(keys[:len(keys):len(keys)], knownHostsFiles(l.Auth.KnownHostsFile)...)
}

func ownKeys() []string {
	home, _ := os.UserHomeDir()
	var files []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		files = append(files, filepath.Join(home, ".ssh", name))
	}
	return files
}

// Standing says whether a connection stands that Open will use.
func (l *SSH) Standing() bool {
	if l.client != nil && !stampsOf(l.files()).same(l.made) {
		l.Close()
	}
	return l.client != nil
}

// Close gives up the connection.
func (l *SSH) Close() {
	if l.client != nil {
		_ = l.client.Close()
		l.client = nil
	}
}

// Open starts a program of git there (protocol.UploadPack or ReceivePack), asked to speak v2 or not. When the context
// ends it gives up. What stays until a person fixes it is ErrAccess.
func (l *SSH) Open(ctx context.Context, program string, v2 bool) (Stream, error) {
	if l.client == nil {
		if err := l.connect(ctx); err != nil {
			return nil, err
		}
	}
	client := l.client
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	c, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	if v2 {
		// The server's answer to this is not awaited: its greeting tells.
		if _, err := c.SendRequest("env", false, ssh.Marshal(struct{ Name, Value string }{protocol.VersionEnv, protocol.Version2})); err != nil {
			return nil, err
		}
	}
	// Quoted as git does it: hosts run this through a shell.
	path := strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(l.Path)
	taken, err := c.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{program + " '" + path + "'"}))
	if err == nil && !taken {
		err = &protocol.RemoteError{Text: program + " may not be run here"}
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &sshStream{Channel: c, client: client}, nil
}

// Keys names what holds the keys, for people.
func (l *SSH) Keys() string {
	if len(l.Auth.SSHKeyFiles) == 0 {
		return "the keys of ~/.ssh"
	}
	return strings.Join(l.Auth.SSHKeyFiles, ", ")
}

// connect makes a connection and checks the host key.
func (l *SSH) connect(ctx context.Context) error {
	made := stampsOf(l.files())
	checker, err := newHostChecker(l.Auth.KnownHostsFile, l.Host)
	if err != nil {
		return err
	}
	signers, done, err := sshSigners(l.Auth.SSHKeyFiles)
	if signers == nil {
		return err
	}
	unread := err // of some of several keys
	taken := false
	for i, s := range signers {
		if s, ok := s.(ssh.AlgorithmSigner); ok {
			signers[i] = &takenKey{s, &taken}
		}
	}
	defer done()
	who := l.User
	if who == "" {
		if me, err := user.Current(); err == nil {
			who = me.Username
		}
	}
	conn, err := (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", l.Host)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c, channels, requests, err := ssh.NewClientConn(conn, l.Host, &ssh.ClientConfig{
		User:              who,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyCallback:   checker.accept,
		HostKeyAlgorithms: checker.algorithms(),
	})
	if err != nil {
		_ = conn.Close()
		if strings.Contains(err.Error(), "unable to authenticate") {
			if err = fmt.Errorf("%w: it does not let %q in with %s", err, who, l.Keys()); unread != nil {
				err = fmt.Errorf("%w (%w)", err, unread)
			}
			advice := ""
			if taken {
				advice = "it takes a key, and wants more besides: have keys suffice for this account (AuthenticationMethods publickey)"
			} else if len(l.Auth.SSHKeyFiles) == 0 {
				advice = "set auth ssh_key_file"
			}
			err = Denied(err, advice)
		}
		return err
	}
	l.client, l.made = ssh.NewClient(c, channels, requests), made
	return nil
}

// takenKey notes that a server took a key: only then does it have to sign.
type takenKey struct {
	ssh.AlgorithmSigner
	taken *bool
}

func (k *takenKey) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	*k.taken = true
	return k.AlgorithmSigner.Sign(r, data)
}

func (k *takenKey) SignWithAlgorithm(r io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	*k.taken = true
	return k.AlgorithmSigner.SignWithAlgorithm(r, data, algorithm)
}

// sshStream is one program of git in one channel on one connection.
type sshStream struct {
	ssh.Channel
	client *ssh.Client
}

func (s *sshStream) Cut() { _ = s.client.Close() }

func (s *sshStream) Complaint() string {
	// The text for people may arrive after the end of the data: wait for the end of the channel, but not for long.
	timer := time.AfterFunc(2*time.Second, s.Cut)
	defer timer.Stop()
	said := &head{}
	_, _ = io.Copy(said, s.Stderr())
	return oneLine(said.text())
}

// head keeps the beginning of what is written to it.
type head struct {
	most int // bytes; 0 = a kilobyte
	mu   sync.Mutex
	b    []byte
}

func (t *head) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), cmp.Or(t.most, 1024)-len(t.b))]...)
	return len(p), nil
}

func (t *head) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// sshSigners reads the key files, or offers the user's own keys and those of a running agent. Of several files some
// may be unreadable, which the error tells: there are signers all the same.
func sshSigners(files []string) (signers []ssh.Signer, done func(), err error) {
	done = func() {}
	if len(files) > 0 {
		var errs []error
		for _, file := range files {
			s, err := sshKey(file)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			signers = append(signers, s)
		}
		return signers, done, OneLine(errs...)
	}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		if c, err := net.Dial("unix", socket); err == nil {
			done = func() { _ = c.Close() }
			if held, err := agent.NewClient(c).Signers(); err == nil {
				signers = held
			}
		}
	}
	for _, file := range ownKeys() {
		if s, err := sshKey(file); err == nil {
			signers = append(signers, s)
		}
	}
	if len(signers) == 0 {
		done()
		return nil, nil, advise(errors.New("no ssh key"), "set auth ssh_key_file, or put one without a passphrase into ~/.ssh/id_ed25519")
	}
	return signers, done, nil
}

func sshKey(file string) (ssh.Signer, error) {
	b, err := ReadSmall(file)
	if err != nil {
		return nil, fmt.Errorf("auth ssh_key_file: %w", err)
	}
	s, err := ssh.ParsePrivateKey(b)
	_, locked := errors.AsType[*ssh.PassphraseMissingError](err)
	switch {
	case locked:
		return nil, advise(fmt.Errorf("auth ssh_key_file: %s has a passphrase, which cannot be typed here", file), "use a key without one")
	case err != nil:
		return nil, fmt.Errorf("auth ssh_key_file: %s is not a private key", file)
	}
	return s, nil
}
