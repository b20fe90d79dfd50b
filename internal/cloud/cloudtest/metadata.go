// Package cloudtest is the cloud that tests need: a metadata service that demands IMDSv2, and AWS as moto plays it.
//
// In front of moto it refuses what AWS refuses and moto takes. It imports nothing of ours and no SDK, so that the tests
// of other packages stay cheap.
package cloudtest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// InstanceID and Region are what a metadata service says until told otherwise.
const (
	InstanceID = "i-0123456789abcdef0"
	Region     = "eu-west-1"
)

// What is asked by more than one test, below /latest/meta-data/.
const (
	pathSpot      = "spot/instance-action"
	pathLifecycle = "autoscaling/target-lifecycle-state"
	pathRoles     = "iam/security-credentials/"
	pathToken     = "/latest/api/token"
)

// MetadataServer is the metadata service of one EC2 instance, which speaks IMDSv2 only: no answer without a token that
// it gave out and that has not expired, no token for a request that came through a proxy.
type MetadataServer struct {
	URL string

	mu       sync.Mutex
	answers  map[string]string           // below /latest/meta-data/
	instead  map[string]http.HandlerFunc // by whole path; "*" = all
	tokens   map[string]time.Time        // to when each is good
	asked    map[string]int              // requests by whole path
	accepted int                         // connections
}

// Metadata starts a metadata service, which ends with the test. Not spot, in no group, no role.
func Metadata(tb testing.TB) *MetadataServer {
	tb.Helper()
	s := &MetadataServer{
		answers: map[string]string{"instance-id": InstanceID, "placement/region": Region},
		instead: map[string]http.HandlerFunc{}, tokens: map[string]time.Time{}, asked: map[string]int{},
	}
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = s.connection
	server.Start()
	// An answer that hangs ends with its connection.
	tb.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	s.URL = server.URL
	return s
}

// Set gives the answer to a path below /latest/meta-data/; "" = 404.
func (s *MetadataServer) Set(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

// SetSpot announces what becomes of a spot instance: "terminate", "stop" or "hibernate"; "" = nothing.
func (s *MetadataServer) SetSpot(action string, at time.Time) {
	answer := ""
	if action != "" {
		answer = fmt.Sprintf(`{"action": %q, "time": %q}`, action, at.UTC().Format("2006-01-02T15:04:05Z"))
	}
	s.Set(pathSpot, answer)
}

// SetLifecycle is where the Auto Scaling group wants the instance: "InService", "Terminated", ...; "" = it is in no
// group.
func (s *MetadataServer) SetLifecycle(state string) { s.Set(pathLifecycle, state) }

// Credentials are those of a role.
type Credentials struct {
	AccessKeyID, SecretAccessKey, Token string
	Expiration                          time.Time
}

// SetRole gives the instance a role; "" = none.
func (s *MetadataServer) SetRole(name string, c Credentials) {
	if name == "" {
		s.Set(pathRoles, "")
		return
	}
	body, err := json.Marshal(map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "Token": c.Token,
		"LastUpdated": time.Now().UTC().Format(time.RFC3339), "Expiration": c.Expiration.UTC().Format(time.RFC3339),
	})
	if err != nil {
		body = []byte(err.Error())
	}
	s.Set(pathRoles, name)
	s.Set(pathRoles+name, string(body))
}

// ExpireTokens makes every token given out so far worthless, as six hours do, or a move to other hardware.
func (s *MetadataServer) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Instead answers a whole path ("/latest/api/token"), or "*" = every one, in another way, checking nothing; nil = as
// usual again.
func (s *MetadataServer) Instead(path string, with http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead[path] = with
}

// Asked counts the requests for a whole path.
func (s *MetadataServer) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// Connections counts those that were ever opened.
func (s *MetadataServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

func (s *MetadataServer) connection(_ net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.accepted++
	}
}

func (s *MetadataServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	instead := s.instead[r.URL.Path]
	if all := s.instead["*"]; all != nil {
		instead = all
	}
	s.mu.Unlock()
	switch {
	case instead != nil:
		instead(w, r)
	case r.URL.Path == pathToken:
		s.giveToken(w, r)
	default:
		s.answer(w, r)
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
func (s *MetadataServer) giveToken(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds"))
	switch {
	case r.Method != http.MethodPut:
		refuse(w, http.StatusMethodNotAllowed)
	case r.Header.Get("X-Forwarded-For") != "":
		refuse(w, http.StatusForbidden)
	case err != nil || seconds < 1 || seconds > 21600:
		refuse(w, http.StatusBadRequest)
	default:
		token := (rand.Text() + rand.Text() + rand.Text())[:54] + "=="
		s.mu.Lock()
		s.tokens[token] = time.Now().Add(time.Duration(seconds) * time.Second)
		s.mu.Unlock()
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", strconv.Itoa(seconds))
		fmt.Fprint(w, token)
	}
}

func (s *MetadataServer) answer(w http.ResponseWriter, r *http.Request) {
	path, found := strings.CutPrefix(r.URL.Path, "/latest/meta-data/")
	s.mu.Lock()
	good := time.Now().Before(s.tokens[r.Header.Get("X-aws-ec2-metadata-token")])
	answer := s.answers[path]
	s.mu.Unlock()
	switch {
	case !good:
		refuse(w, http.StatusUnauthorized)
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed)
	case !found || answer == "":
		refuse(w, http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, answer)
	}
}

// refuse answers with the page that the service puts under its refusals.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>%d - %s</title></head></html>\n", status, http.StatusText(status))
}

// Ways to answer wrongly, for Instead.

// Hang never answers: a hop limit of 1 seen from a container, or a firewall that drops.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Garbage answers 200 with what is no answer.
func Garbage(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, "<html><body>Please log in</body></html>")
}

// Redirect is a captive portal.
func Redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/login", http.StatusFound)
}

// Cut breaks off in the middle of the answer.
func Cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	fmt.Fprint(w, `{"action": "termi`)
}

// Endless never stops answering.
func Endless(w http.ResponseWriter, _ *http.Request) {
	chunk := []byte(strings.Repeat("x", 1<<16))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// Status refuses with a status.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, code) }
}
