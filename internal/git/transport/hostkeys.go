package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostChecker compares host keys with known_hosts files. A host that is not in them is refused.
type hostChecker struct {
	files []string
	known ssh.HostKeyCallback // nil: there is no file
}

// knownHostsFiles are the files that hold known host keys.
func knownHostsFiles(file string) []string {
	if file != "" {
		return []string{file}
	}
	home, _ := os.UserHomeDir()
	return []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
}

func newHostChecker(file string) (*hostChecker, error) {
	h := &hostChecker{files: knownHostsFiles(file)}
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

// accept is an ssh.HostKeyCallback. A refusal names the fingerprint that the host shows, and the one that is known.
func (h *hostChecker) accept(host string, addr net.Addr, key ssh.PublicKey) error {
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	if h.known == nil {
		return Denied(fmt.Errorf("unknown host key: %s shows %s and there is no known_hosts file", host, shown),
			"compare it, then write it to one (set auth known_hosts_file)")
	}
	err := h.known(host, addr, key)
	var refused *knownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return Denied(err, "")
	}
	files := strings.Join(h.files, ", ")
	if len(refused.Want) == 0 {
		return Denied(fmt.Errorf("unknown host key: %s shows %s, known: none in %s", host, shown, files), "compare it, then add it with ssh-keyscan")
	}
	var known []string
	for _, k := range refused.Want {
		known = append(known, fmt.Sprintf("%s %s (%s:%d)", k.Key.Type(), ssh.FingerprintSHA256(k.Key), k.Filename, k.Line))
	}
	return Denied(fmt.Errorf("host key changed: %s shows %s, known: %s", host, shown, strings.Join(known, ", ")), "find out why before you change that file")
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

// noKey is a key that no server has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return bytes.Repeat([]byte{1}, 8) }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
