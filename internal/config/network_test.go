package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"github.com/addagent/addagent/internal/git/address"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificates puts ca, cert and clientkey into dir, and otherkey, which belongs to neither.
func certificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []struct{ cert, key string }{{"ca", "cakey"}, {"cert", "clientkey"}, {"othercert", "otherkey"}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(n.cert, "CERTIFICATE", cert)
		write(n.key, "PRIVATE KEY", raw)
	}
	write("broken", "CERTIFICATE", []byte("x"))
}

// program puts something that can be executed at path.
func program(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// What the network and the credentials name must be there, be what it should, and go together.
func TestWhatIsNamed(t *testing.T) {
	const repo = "repos: [{url: \"https://h/a\", auth: {"
	_, keys := put(t, "")
	certificates(t, keys)
	program(t, filepath.Join(keys, "helper"))
	env := map[string]string{"ADD_SECRET_GIT": "s3cr3t", "OTHER": "s3cr3t"}
	for text, want := range map[string]string{
		// The network.
		"network: {ca_file: KEYS/ca, client_cert_file: KEYS/cert, client_key_file: KEYS/clientkey}": "",
		"network: {ca_file: KEYS/none}":                                           "network.ca_file: KEYS/none does not exist: create it, or correct the path",
		"network: {ca_file: KEYS/password}":                                       "network.ca_file: KEYS/password contains no usable certificate: copy the file again, in PEM form, with a line BEGIN CERTIFICATE",
		"network: {ca_file: KEYS/clientkey}":                                      "network.ca_file: KEYS/clientkey contains no usable certificate: copy the file again, in PEM form, with a line BEGIN CERTIFICATE",
		"network: {ca_file: KEYS/broken}":                                         "network.ca_file: KEYS/broken contains no usable certificate: copy the file again, in PEM form, with a line BEGIN CERTIFICATE",
		"network: {ca_file: KEYS/open}":                                           "network.ca_file: KEYS/open can be changed by others (mode 0666): chmod go-w KEYS/open",
		"network: {client_cert_file: KEYS/cert}":                                  "network.client_cert_file: needs a client_key_file",
		"network: {client_key_file: KEYS/clientkey}":                              "network.client_key_file: needs a client_cert_file",
		"network: {client_key_file: clientkey}":                                   "network.client_key_file: is not an absolute path: write the secret into a file, and its path here",
		"network: {client_cert_file: KEYS/cert, client_key_file: KEYS/otherkey}":  "network.client_key_file: KEYS/otherkey does not match KEYS/cert: private key does not match public key",
		"network: {client_cert_file: KEYS/cert, client_key_file: KEYS/none}":      "network.client_key_file: KEYS/none does not exist: create it, or correct the path",
		"network: {client_cert_file: KEYS/clientkey, client_key_file: KEYS/cert}": "network.client_key_file: KEYS/cert does not match KEYS/clientkey: ",
		"network: {proxy: \"http://bot:s3cr3t@p:x\"}":                             "network.proxy: is not the URL of a proxy: use http://, https:// or socks5://host:port, with %40 for an @ in a password",
		"network: {no_proxy: localhost}":                                          "network.no_proxy: must be a list, such as [git.example.org, .internal, 10.0.0.0/8], not text",
		"network: {no_proxy: [a, \"b,c\"]}":                                       "network.no_proxy: \"b,c\" is not understood: write one host, .domain, address or network in each entry, such as 10.0.0.0/8",
		"network: {no_proxy: [a, 5]}":                                             "network.no_proxy: must be text, not a number: put it in quotes",
		"network: {no_proxy: }":                                                   "network.no_proxy: has no value: write one, or remove the key",
		"network: {no_proxy: []}":                                                 "",
		"network: {proxi: x}":                                                     "network.proxi: unknown key: did you mean proxy?",

		// Several places, several kinds of credentials.
		"repos: [{url: [\"https://h/a\", \"git@h:a\"], auth: {token_file: KEYS/password, ssh_key_file: [KEYS/password, KEYS/clientkey]}}]": "",
		"repos: [{url: []}]":                                                      "repos[0].url: is missing: a repository needs one",
		"repos: [{url: [/srv/a, a]}]":                                             "repos[0].url: is not a URL: " + address.Forms,
		"repos: [{url: [/srv/a, {b: c}]}]":                                        "repos[0].url: must be text, not a map: a text that begins with { must be in quotes",
		"repos: [{url: [/srv/a, /srv/b, /srv/a]}]":                                "repos[0].url: is in the list twice: keep one",
		"repos: [{url: [\"git@h:a\", /srv/a], auth: {token_file: /x}}]":           "repos[0].auth.token_file: is for https and http, but the url is ssh, then a path: remove it, or correct the url",
		"repos: [{url: \"git@h:a\", auth: {ssh_key_file: [KEYS/password, /n]}}]":  "repos[0].auth.ssh_key_file: /n does not exist: create it, or correct the path",
		"repos: [{url: \"git@h:a\", auth: {ssh_key_file: \"env:ADD_SECRET_K\"}}]": "repos[0].auth.ssh_key_file: must be a path: only token_file, password_file and url_file may name a variable",

		// A helper.
		repo + "command: [KEYS/helper, get]}}]":                                       "",
		repo + "command: [KEYS/helper], username: bot}}]":                             "",
		repo + "command: KEYS/helper}}]":                                              "repos[0].auth.command: must be a list, such as [/usr/local/bin/git-credential-vault, --role, node], not text",
		repo + "command: [helper]}}]":                                                 "repos[0].auth.command: \"helper\" is not an absolute path: begin it with /",
		repo + "command: [KEYS/none]}}]":                                              "repos[0].auth.command: KEYS/none does not exist: install it, or correct the path",
		repo + "command: [KEYS]}}]":                                                   "repos[0].auth.command: KEYS is not a regular file: correct the path",
		repo + "command: [KEYS/password]}}]":                                          "repos[0].auth.command: KEYS/password cannot be executed: chmod +x KEYS/password",
		repo + "command: [KEYS/open]}}]":                                              "repos[0].auth.command: KEYS/open can be changed by others (mode 0666): chmod go-w KEYS/open",
		repo + "command: [KEYS/helper], token_file: KEYS/password}}]":                 "repos[0].auth: give either command, or the file of a token or password",
		repo + "command: [KEYS/helper], username: a, password_file: KEYS/password}}]": "repos[0].auth: give either command, or the file of a token or password",
		repo + "username: bot}}]":                                                     "repos[0].auth.username: needs a password_file or a command",

		// The environment.
		repo + "token_file: \"env:ADD_SECRET_GIT\"}}]":                 "",
		repo + "username: b, password_file: \"env:ADD_SECRET_GIT\"}}]": "",
		repo + "token_file: \"env:ADD_SECRET_NONE\"}}]":                "repos[0].auth.token_file: ADD_SECRET_NONE is not set in the agent's environment: set it (under systemd with EnvironmentFile=), or name a file",
		repo + "token_file: \"env:OTHER\"}}]":                          "repos[0].auth.token_file: after env: write the name of a variable that begins with ADD_SECRET_, such as env:ADD_SECRET_GIT",
		repo + "token_file: \"env:s3cr3t\"}}]":                         "repos[0].auth.token_file: after env: write the name of a variable that begins with ADD_SECRET_, such as env:ADD_SECRET_GIT",
		repo + "token_file: s3cr3t}}]":                                 "repos[0].auth.token_file: is not an absolute path: write the secret into a file, and its path here",
	} {
		path := tree(t, map[string]string{"addagent.yaml": strings.ReplaceAll(text, "KEYS", keys) + "\n"})
		o := asRoot()
		o.Env = func(name string) string { return env[name] }
		c, err := Load(path, o)
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), keys, "KEYS")
			_, got, _ = strings.Cut(got, ": ") // the place
		}
		if got != want && (want == "" || !strings.HasSuffix(want, ": ") || !strings.HasPrefix(got, want)) {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
		if all := got + lines(c, path, keys); strings.Contains(all, "s3cr3t") {
			t.Errorf("%s: the secret is shown:\n%s", text, all)
		}
	}
}

// A password in the proxy's URL is used, but not shown; and a note says who can see it.
func TestProxyPassword(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": "network:\n  proxy: http://bot:s3cr3t@proxy.example.org:3128\n" +
		"repos: [{url: \"https://h/a\", auth: {command: [/bin/sh, --role=node, --token=s3cr3t]}}]\n"})
	if c := load(t, path); len(c.Notes) != 0 {
		t.Errorf("only its owner can read it, but: %v", c.Notes)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	c := load(t, path)
	if c.Network.Proxy != "http://bot:s3cr3t@proxy.example.org:3128" {
		t.Errorf("proxy %s", c.Network.Proxy)
	}
	all := lines(c, path, "/no/keys")
	for _, want := range []string{
		"network.proxy: \"http://bot:********@proxy.example.org:3128\"  (addagent.yaml:2)\n",
		"repos[0].auth.command: [/bin/sh, \"--role=node\", \"--token=********\"]  (addagent.yaml:3)\n",
		"note: addagent.yaml:2:10: network.proxy: contains a password, and others can read this file (mode 0640): chmod go= addagent.yaml\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "s3cr3t") {
		t.Errorf("the secret is shown:\n%s", all)
	}
}

func TestProxies(t *testing.T) {
	for _, good := range []string{"http://p:3128", "https://p", "socks5://[::1]:1080", "http://bot:pw@p:3128/", "http://10.0.0.1:8080"} {
		if problem := checkProxy(good); problem != "" {
			t.Errorf("%s: %s", good, problem)
		}
	}
	for bad, want := range map[string]string{
		"": "is not the URL", "p:3128": "is not the URL", "p": "is not the URL", "ftp://p": "unknown kind", "http://": "is not the URL", "http://-p": "is not the URL",
		"http://p:0": "port", "http://p/x": "must end", "http://p?s3cr3t": "must end", "http://u:s3cr3t@p:x": "is not the URL", "http://a b": "is not the URL", "http://p#x": "must end",
	} {
		if got := checkProxy(bad); !strings.Contains(got, want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("%q: %s", bad, got)
		}
	}
	for url, want := range map[string]string{
		"": "", "http://p": "http://p", "http://bot@p": "http://bot@p", "http://bot:pw@p:1": "http://bot:********@p:1", "socks5://:pw@p": "socks5://:********@p",
		"http://b%40t:p%40w@p": "http://b%40t:********@p",
	} {
		if got := withoutPassword(url); got != want {
			t.Errorf("%s became %s", url, got)
		}
	}
}

func TestNoProxies(t *testing.T) {
	for _, good := range []string{"*", "localhost", "git.example.org", ".example.org", "*.example.org", "git.example.org:8443", "10.0.0.1", "10.0.0.0/8", "::1", "[::1]", "[::1]:80", "fd00::/8", "a_b.c", "example.org."} {
		if problem := checkNoProxy(good); problem != "" {
			t.Errorf("%s: %s", good, problem)
		}
	}
	for _, bad := range []string{"", ".", "a,b", "a b", "http://a", "a/b", "a:x", "a:", "10.0.0.0/33", "-a", "a*", "\x00", "[::1", "a@b"} {
		if checkNoProxy(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}
