package gittest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// CA is an authority of a test's own.
type CA struct {
	File string // its certificate, PEM
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

// Pair is a certificate and its key as files, and the certificate's fingerprint as openssl writes it.
type Pair struct{ Cert, Key, Fingerprint string }

// NewCA makes an authority.
func NewCA(tb testing.TB, name string) *CA {
	tb.Helper()
	c := &CA{tb: tb, dir: tb.TempDir()}
	c.File = filepath.Join(c.dir, "ca.pem")
	c.key = newKey(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key)
	if err != nil {
		tb.Fatal(err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	write(tb, c.File, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return c
}

// Issue makes a certificate for 127.0.0.1, which a client can show as well, valid for so long; a negative time is one
// that has expired.
func (c *CA) Issue(name string, valid time.Duration) Pair {
	c.tb.Helper()
	return c.issue(name, valid, []net.IP{net.IPv4(127, 0, 0, 1)})
}

// IssueFor makes a certificate that is good, but for another host.
func (c *CA) IssueFor(name string) Pair {
	c.tb.Helper()
	return c.issue(name, time.Hour, nil)
}

func (c *CA) issue(name string, valid time.Duration, addresses []net.IP) Pair {
	c.tb.Helper()
	c.made++
	key := newKey(c.tb)
	from := time.Now().Add(-time.Hour)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: from, NotAfter: time.Now().Add(valid), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: addresses, DNSNames: []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, &key.PublicKey, c.key)
	if err != nil {
		c.tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.tb.Fatal(err)
	}
	sum := sha256.Sum256(der)
	p := Pair{
		Cert: filepath.Join(c.dir, fmt.Sprintf("%s-%d.pem", name, c.made)), Key: filepath.Join(c.dir, fmt.Sprintf("%s-%d.key", name, c.made)),
		Fingerprint: strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"),
	}
	write(c.tb, p.Cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(c.tb, p.Key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return p
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
