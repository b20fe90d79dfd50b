package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
)

// network checks the files that the keys of its section name.
func (l *loader) network() {
	const proxy, ca, cert, key = "network.proxy", "network.ca_file", "network.client_cert_file", "network.client_key_file"
	n := l.c.Network
	if n.Proxy != withoutPassword(n.Proxy) {
		l.noteReadable(proxy, "contains a password")
	}
	if n.CAFile != "" && l.fileThere(ca, ca, n.CAFile, false) {
		if problem := checkCertificates(n.CAFile); problem != "" {
			l.miss(l.at[ca], ca, n.CAFile+" "+problem)
		}
	}
	usable := n.ClientCertFile != "" && l.fileThere(cert, cert, n.ClientCertFile, false)
	usable = n.ClientKeyFile != "" && l.fileThere(key, key, n.ClientKeyFile, true) && usable
	switch {
	case n.ClientCertFile != "" && n.ClientKeyFile == "" && !l.complains(key):
		l.say(l.at[cert], cert, "needs a client_key_file")
	case n.ClientKeyFile != "" && n.ClientCertFile == "" && !l.complains(cert):
		l.say(l.at[key], key, "needs a client_cert_file")
	case usable:
		if err := checkPair(n.ClientCertFile, n.ClientKeyFile); err != nil {
			l.miss(l.at[key], key, fmt.Sprintf("%s does not match %s: %s", n.ClientKeyFile, n.ClientCertFile, strings.TrimPrefix(err.Error(), "tls: ")))
		}
	}
}

// noteReadable notes a secret in a config file that others can read.
func (l *loader) noteReadable(key, what string) {
	at := l.at[key]
	if info, err := os.Stat(at.file); err == nil && info.Mode().Perm()&0o077 != 0 {
		l.note(at, key, fmt.Sprintf("%s, and others can read this file (mode %04o): chmod go= %s", what, info.Mode().Perm(), at.file))
	}
}

const pemLimit = 4 << 20 // the system's own bundle has 200 KB

// checkCertificates says what is wrong with a file of certificates.
func checkCertificates(path string) string {
	data, err := files.ReadSmall(path, pemLimit)
	if err != nil {
		return "cannot be used: " + files.Cause(err).Error()
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		return "contains no usable certificate: copy the file again, in PEM form, with a line BEGIN CERTIFICATE"
	}
	return ""
}

// checkPair says what is wrong with a certificate and its key, read as the connections read them.
func checkPair(certificate, key string) error {
	public, err1 := files.ReadSmall(certificate, pemLimit)
	private, err2 := files.ReadSmall(key, pemLimit)
	_, err := tls.X509KeyPair(public, private)
	return cmp.Or(err1, err2, err)
}

func checkProxy(s string) string {
	if _, err := (address.Network{Proxy: s}).ProxyURL(); err != nil {
		return err.Error()
	}
	return ""
}

// withoutPassword masks the password in a URL. Any other text stays.
func withoutPassword(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	return strings.Replace(u.Redacted(), ":xxxxx@", ":********@", 1)
}

func checkNoProxy(s string) string {
	if !address.ValidNoProxy(s) {
		return human.Quote(s) + " is not understood: write one host, .domain, address or network in each entry, such as 10.0.0.0/8"
	}
	return ""
}
