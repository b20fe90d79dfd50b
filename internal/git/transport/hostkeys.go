package transport

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // known_hosts names hosts by it
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostChecker compares the key of one host with the lines about it in known_hosts files. A host that is not in them is
// refused.
type hostChecker struct {
	files []string
	found bool // there is one of them
	known []knownKey
}

// knownKey is a line of a known_hosts file.
type knownKey struct {
	ssh.PublicKey
	marker string // "" = it is the host's; "cert-authority" = it signs certificates of hosts; "revoked"
	at     string // FILE:LINE
}

func (k knownKey) String() string { return shownKey(k) + " (" + k.at + ")" }

func shownKey(k ssh.PublicKey) string { return k.Type() + " " + ssh.FingerprintSHA256(k) }

// knownHostsFiles are the files that hold known host keys.
func knownHostsFiles(file string) []string {
	if file != "" {
		return []string{file}
	}
	home, _ := os.UserHomeDir()
	return []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
}

// newHostChecker reads what the files say of a host:port. A line that cannot be read is passed over, as openssh does:
// it may have a type of key that is newer than this program, and is mostly about another host.
func newHostChecker(file, address string) (*hostChecker, error) {
	h := &hostChecker{files: knownHostsFiles(file)}
	host := knownhosts.Normalize(strings.ToLower(address))
	for _, f := range h.files {
		data, err := ReadSmall(f)
		if err != nil && file != "" {
			return nil, fmt.Errorf("auth known_hosts_file: %w", err)
		}
		h.found = h.found || err == nil
		for i, line := range bytes.Split(data, []byte("\n")) {
			marker, patterns, key, _, _, err := ssh.ParseKnownHosts(line)
			if err == nil && namesHost(patterns, host) {
				h.known = append(h.known, knownKey{key, marker, fmt.Sprintf("%s:%d", f, i+1)})
			}
		}
	}
	return h, nil
}

// namesHost says whether the patterns of a line are about a host, as known_hosts writes it: with a port in brackets
// when that is not 22.
func namesHost(patterns []string, host string) bool {
	named := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(strings.ToLower(p), "!")
		glob := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
		if match, err := regexp.MatchString("^"+glob+"$", host); err != nil || !match {
			continue
		}
		if not {
			return false
		}
		named = true
	}
	return named || len(patterns) == 1 && hashes(patterns[0], host)
}

// hashes says whether |1|SALT|HASH stands for a host.
func hashes(pattern, host string) bool {
	parts := strings.Split(pattern, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return false
	}
	salt, serr := base64.StdEncoding.DecodeString(parts[2])
	sum, herr := base64.StdEncoding.DecodeString(parts[3])
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(host))
	return serr == nil && herr == nil && hmac.Equal(mac.Sum(nil), sum)
}

// line finds the line with a key.
func (h *hostChecker) line(marker string, key ssh.PublicKey) (knownKey, bool) {
	i := slices.IndexFunc(h.known, func(k knownKey) bool { return k.marker == marker && bytes.Equal(k.Marshal(), key.Marshal()) })
	if i < 0 {
		return knownKey{}, false
	}
	return h.known[i], true
}

// accept is an ssh.HostKeyCallback. A refusal names the fingerprint that the host shows, and the one that is known. A
// certificate of an authority that no line names counts as the key in it.
func (h *hostChecker) accept(host string, addr net.Addr, key ssh.PublicKey) error {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return h.acceptKey(host, key)
	}
	if _, ok = h.line("cert-authority", cert.SignatureKey); !ok {
		return h.acceptKey(host, cert.Key)
	}
	checker := ssh.CertChecker{
		IsHostAuthority: func(ssh.PublicKey, string) bool { return true },
		IsRevoked:       func(c *ssh.Certificate) bool { return h.revoked(c.Key) != nil || h.revoked(c.SignatureKey) != nil },
	}
	if err := checker.CheckHostKey(host, addr, key); err != nil {
		return Denied(fmt.Errorf("host certificate refused: %s shows one by %s: %w", host, shownKey(cert.SignatureKey), err), "have it renewed")
	}
	return nil
}

func (h *hostChecker) revoked(key ssh.PublicKey) error {
	if line, ok := h.line("revoked", key); ok {
		return Denied(fmt.Errorf("host key revoked: %s", line), "have the host's key replaced")
	}
	return nil
}

func (h *hostChecker) acceptKey(host string, key ssh.PublicKey) error {
	if err := h.revoked(key); err != nil {
		return err
	}
	if _, ok := h.line("", key); ok {
		return nil
	}
	shown := shownKey(key)
	if !h.found {
		return Denied(fmt.Errorf("unknown host key: %s shows %s and there is no known_hosts file", host, shown),
			"compare it, then write it to one (set auth known_hosts_file)")
	}
	var known []string
	for _, k := range h.known {
		if k.marker == "" {
			known = append(known, k.String())
		}
	}
	if len(known) == 0 {
		return Denied(fmt.Errorf("unknown host key: %s shows %s, known: none in %s", host, shown, strings.Join(h.files, ", ")),
			"compare it, then add it with ssh-keyscan")
	}
	return Denied(fmt.Errorf("host key changed: %s shows %s, known: %s", host, shown, strings.Join(known, ", ")), "find out why before you change that file")
}

// algorithms puts those first for which the host's key is known, the best of them first: a host has several keys and
// shows the one that the client likes best. Certificates come before keys, but only where there is an authority: a host
// that has both would show what nothing here can judge.
func (h *hostChecker) algorithms() []string {
	certificates := slices.ContainsFunc(h.known, func(k knownKey) bool { return k.marker == "cert-authority" })
	rank := func(algorithm string) int {
		kind := algorithm
		if strings.HasPrefix(kind, "rsa-sha2-") {
			kind = ssh.KeyAlgoRSA
		}
		switch {
		case isCertificate(algorithm):
			return 0
		case !slices.ContainsFunc(h.known, func(k knownKey) bool { return k.marker == "" && k.Type() == kind }):
			return 3
		case kind == ssh.KeyAlgoED25519:
			return 1
		}
		return 2
	}
	all := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(a string) bool { return isCertificate(a) && !certificates })
	slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
	return all
}

func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-") }
