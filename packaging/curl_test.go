package packaging

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestByCurl fetches keys where there is no aws program: the role from a metadata service that insists on IMDSv2, the
// key from servers that check the signature as AWS's own library makes it.
func TestByCurl(t *testing.T) {
	role := aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "c2VjcmV0/+of=role", SessionToken: "session/+token=="}
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const token = "AQAEAtoken=="
		if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "" {
			fmt.Fprint(w, token)
			return
		}
		if r.Header.Get("X-aws-ec2-metadata-token") != token {
			http.Error(w, "IMDSv2 only", http.StatusUnauthorized)
			return
		}
		switch strings.TrimPrefix(r.URL.Path, "/latest/meta-data/") {
		case "placement/region":
			fmt.Fprint(w, "eu-west-1")
		case "iam/security-credentials/":
			fmt.Fprint(w, "node-role")
		case "iam/security-credentials/node-role":
			fmt.Fprintf(w, "{\n  \"Code\" : \"Success\",\n  \"AccessKeyId\" : %q,\n  \"SecretAccessKey\" : %q,\n  \"Token\" : %q,\n  \"Expiration\" : \"2030-01-01T00:00:00Z\"\n}", role.AccessKeyID, role.SecretAccessKey, role.SessionToken)
		default:
			http.NotFound(w, r)
		}
	}))
	defer metadata.Close()

	var refused []string
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := signedRight(r, string(body), role); err != nil {
			refused = append(refused, err.Error())
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		// Escapes as AWS makes them: \n, and \u003d for what HTML could mistake.
		text, _ := json.Marshal(key + "=<&>\\ \"quoted\"")
		switch {
		case r.Header.Get("X-Amz-Target") == "AmazonSSM.GetParameter" && string(body) == `{"Name":"/a/\"key\"","WithDecryption":true}`:
			fmt.Fprintf(w, `{"Parameter":{"ARN":"arn","Name":"/a/key","Type":"SecureString","Value":%s,"Version":1}}`, text)
		case r.Header.Get("X-Amz-Target") == "secretsmanager.GetSecretValue" && string(body) == `{"SecretId":"arn:aws:secretsmanager:eu-west-1:1:secret:k"}`:
			fmt.Fprintf(w, `{"ARN":"arn","SecretString":%s,"VersionStages":["AWSCURRENT"]}`, text)
		case r.Method == http.MethodGet && r.URL.Path == "/bucket/a/key":
			fmt.Fprint(w, key+"=<&>\\ \"quoted\"")
		default:
			http.NotFound(w, r)
		}
	}))
	defer cloud.Close()

	for _, source := range []string{`ssm:/a/"key"`, "secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:k", "s3://bucket/a/key"} {
		m := newMachine(t)
		m.env = append(m.env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadata.URL, "AWS_ENDPOINT_URL="+cloud.URL, "no_proxy=*")
		code, out := m.bootstrap("--wait", "no", "--key-from", source)
		if code != 0 {
			t.Errorf("%s: exit %d\n%s\nrefused: %q", source, code, out, refused)
			continue
		}
		if got := m.read(filepath.Join(m.etc, "git-key")); got != key+"=<&>\\ \"quoted\"\n" {
			t.Errorf("%s: the key file holds %q", source, got)
		}
	}
	m := newMachine(t)
	m.env = append(m.env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadata.URL, "AWS_ENDPOINT_URL="+cloud.URL, "no_proxy=*", "ADD_TRIES=1")
	if code, out := m.bootstrap("--key-from", "ssm:other"); code != 1 || !strings.Contains(out, "could not be read from ssm") {
		t.Errorf("a parameter that is not there: exit %d\n%s", code, out)
	}
}

// signedRight signs the request again, and compares.
func signedRight(r *http.Request, body string, role aws.Credentials) error {
	given := r.Header.Get("Authorization")
	_, rest, _ := strings.Cut(given, "Credential=")
	scope := strings.Split(rest, "/")
	_, list, _ := strings.Cut(given, "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || len(scope) < 4 {
		return fmt.Errorf("not signed: %q", given)
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return err
	}
	for _, name := range strings.Split(list, ";") {
		if name != "host" && name != "x-amz-date" && name != "x-amz-security-token" {
			again.Header.Set(name, r.Header.Get(name))
		}
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	}
	service := scope[3]
	if err := v4.NewSigner().SignHTTP(r.Context(), role, again, hash, service, scope[2], at); err != nil {
		return err
	}
	if want := again.Header.Get("Authorization"); want != strings.ReplaceAll(given, ",Signed", ", Signed") {
		return fmt.Errorf("signed %q, want %q", given, want)
	}
	return nil
}
