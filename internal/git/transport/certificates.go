package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/human"
)

// certificates remembers which certificate of a source's host was last found to be good, so that a refusal can name
// both. It is called from the goroutines of a transport.
type certificates struct {
	host string
	mu   sync.Mutex
	last string // fingerprint; "" = none since the start
}

func newCertificates(rawURL string) *certificates {
	c := &certificates{}
	if u, err := url.Parse(rawURL); err == nil {
		c.host = u.Hostname()
	}
	return c
}

// trust is called after a certificate was verified in the usual way. A proxy may have one, too: not of our host.
func (c *certificates) trust(s tls.ConnectionState) error {
	if len(s.PeerCertificates) > 0 && s.PeerCertificates[0].VerifyHostname(c.host) == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = certFingerprint(s.PeerCertificates[0])
	}
	return nil
}

// certFingerprint writes a fingerprint as `openssl x509 -fingerprint -sha256` does.
func certFingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return "SHA256 " + strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// explain says of a refused certificate whose it is, which one was good before, and what a person can do.
func (c *certificates) explain(err error, n address.Network) error {
	proxied := false
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		proxied = true
		if u, perr := n.ProxyURL(); perr == nil {
			err = fmt.Errorf("proxy %s: %w", protocol.Redact(u.String()), op.Err)
		}
	}
	refused, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(refused.UnverifiedCertificates) == 0 {
		return adviseAlert(err, n)
	}
	shown := refused.UnverifiedCertificates[0]
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	who := c.host
	if proxied {
		who, last = "the proxy", ""
	}
	if last == "" {
		last = "none seen since the start"
	}
	why, todo := refused.Err.Error(), "compare it; if it is right, put the certificate of the authority that issued it into network.ca_file"
	unfit, invalid := errors.AsType[x509.CertificateInvalidError](refused.Err)
	_, otherName := errors.AsType[x509.HostnameError](refused.Err)
	switch {
	case invalid && unfit.Reason == x509.Expired:
		// The text of the library holds the time, and would be a new trouble at each look.
		why, todo = "it has expired", "have it renewed"
		if time.Now().Before(shown.NotBefore) {
			why, todo = "it is not valid yet", "check the clocks here and there"
		}
	case invalid && unfit.Reason == x509.IncompatibleUsage:
		why, todo = "it is not for servers", "have one issued for TLS servers (extendedKeyUsage serverAuth)"
	case otherName:
		todo = "check url, or have a certificate made for that name"
	}
	text := fmt.Sprintf("certificate refused: %s shows %s (subject %s, issuer %s, valid until %s), last trusted: %s: %s", who,
		certFingerprint(shown), shown.Subject, shown.Issuer, human.Date(shown.NotAfter), last, why)
	return advise(errors.New(printable(text, 600)), todo)
}

// adviseAlert adds what can be done when it is our certificate that is refused, or missing.
func adviseAlert(err error, n address.Network) error {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return err
	}
	// The library keeps the type of what the other side says to itself: its words are all there is.
	switch remote.Err.Error() {
	case "tls: certificate required", "tls: bad certificate", "tls: unknown certificate authority":
		if n.ClientCertFile == "" {
			return advise(err, "it wants a certificate of ours: set network.client_cert_file and client_key_file")
		}
		return advise(err, "it refuses the certificate of "+n.ClientCertFile+": renew it")
	}
	return err
}

// wantsCertificate guesses from an answer that a server missed a certificate of ours: it is how nginx says that.
func wantsCertificate(s *protocol.StatusError, n address.Network) bool {
	return s.Code == http.StatusBadRequest && strings.HasPrefix(s.URL, "https:") && n.ClientCertFile == ""
}
