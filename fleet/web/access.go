package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/addagent/addagent/fleet/web/page"
	"github.com/addagent/addagent/internal/files"
)

// Access is where the page is served, and who may see it.
type Access struct {
	Listen    string // ADDRESS:PORT; port 0 takes any
	TLSCert   string // file
	TLSKey    string // file
	ClientCA  string // file with the certificates of the authorities for client certificates
	TokenFile string
	Plain     bool // without TLS elsewhere than on loopback: a proxy in front has it
}

// tokenLeast is how long a token must be: it is all that keeps others out.
const tokenLeast = 16

// gate is an Access whose files were read.
type gate struct {
	tls      *tls.Config // nil = without
	token    string      // "" = none
	loopback bool
	host     string // of Listen
}

// open checks the rules and reads the files. The errors say what to do.
func (a Access) open() (*gate, error) {
	host, _, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: give ADDRESS:PORT, such as 127.0.0.1:8470", a.Listen)
	}
	g := &gate{loopback: isLoopback(host), host: host}
	switch {
	case (a.TLSCert == "") != (a.TLSKey == ""):
		return nil, errors.New("--tls-cert and --tls-key: give both or neither")
	case a.Plain && a.TLSCert != "":
		return nil, errors.New("--plain and --tls-cert: give one of them")
	case a.ClientCA != "" && a.TLSCert == "":
		return nil, errors.New("--client-ca needs --tls-cert and --tls-key: a client shows its certificate within TLS")
	case !g.loopback && a.TLSCert == "" && !a.Plain:
		return nil, fmt.Errorf("--listen %s can be reached from other machines: give --tls-cert and --tls-key, or --plain if a proxy in front of it has TLS", a.Listen)
	case !g.loopback && a.TokenFile == "" && a.ClientCA == "":
		return nil, fmt.Errorf("--listen %s can be reached from other machines: say who may see the page, with --page-token-file or --client-ca", a.Listen)
	}
	if a.TokenFile != "" {
		if g.token, err = readToken(a.TokenFile); err != nil {
			return nil, fmt.Errorf("--page-token-file: %w", err)
		}
	}
	if a.TLSCert != "" {
		if g.tls, err = a.tls(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// isLoopback tells whether only this machine reaches an address. A name other than localhost could be anything.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func readToken(path string) (string, error) {
	text, err := files.ReadText(path, 4<<10)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(text)
	if len(token) < tokenLeast || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s: a token is one line of at least %d characters without spaces, such as `openssl rand -hex 24` prints", path, tokenLeast)
	}
	return token, nil
}

func (a Access) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(a.TLSCert, a.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", a.TLSCert, a.TLSKey, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if a.ClientCA != "" {
		text, err := os.ReadFile(a.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("--client-ca: %w", err)
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--client-ca %s: there is no certificate in it", a.ClientCA)
		}
	}
	return c, nil
}

// scheme is that of the page's address.
func (g *gate) scheme() string {
	if g.tls != nil {
		return "https"
	}
	return "http"
}

// cookieName is that of the cookie which a link with the token becomes.
const cookieName = "addctl-page"

// cookie is its value: who sees it learns no token, which may be used elsewhere.
func (g *gate) cookie() string {
	sum := hmac.New(sha256.New, []byte(g.token))
	sum.Write([]byte(cookieName))
	return hex.EncodeToString(sum.Sum(nil))
}

// guard lets requests through that may see the page.
func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, value := range map[string]string{
			"Content-Security-Policy": page.Policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache, private",
		} {
			w.Header().Set(key, value)
		}
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this page can only be read: GET or HEAD", http.StatusMethodNotAllowed)
		case !g.hostIsOurs(r.Host):
			http.Error(w, "this server is asked as localhost or 127.0.0.1 only: another name may be pointed here by a foreign page", http.StatusMisdirectedRequest)
		case g.token != "" && r.URL.Query().Has("token"):
			g.admit(w, r)
		case !g.knows(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "open the page with its link, which ends in ?token=TOKEN, or send Authorization: Bearer TOKEN", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostIsOurs refuses DNS rebinding: a foreign page whose name points to 127.0.0.1 could read all that is shown to
// this machine. With a token it could not, because it has no cookie.
func (g *gate) hostIsOurs(host string) bool {
	if !g.loopback || g.token != "" || g.tls != nil && g.tls.ClientCAs != nil {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return isLoopback(strings.Trim(name, "[]"))
}

// knows tells whether a request may see the page.
func (g *gate) knows(r *http.Request) bool {
	if g.token == "" {
		return true // or the client has shown its certificate
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return same(token, g.token)
	}
	cookie, err := r.Cookie(cookieName)
	return err == nil && same(cookie.Value, g.cookie())
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// admit turns a link with the token into a cookie. The browser then opens the address without the token: by a refresh
// that this page asks for, since after a redirect it would not send a strict cookie to a visitor from elsewhere.
func (g *gate) admit(w http.ResponseWriter, r *http.Request) {
	if !same(r.URL.Query().Get("token"), g.token) {
		http.Error(w, "this is not the token of the page", http.StatusUnauthorized)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: g.cookie(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: g.tls != nil, MaxAge: 30 * 24 * 3600})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Refresh", "0; url=./")
	_, _ = w.Write([]byte("<!doctype html><title>addctl</title><p>Opening <a href=\"./\">the page</a> ...</p>\n"))
}
