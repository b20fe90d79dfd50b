//go:build images

package packer_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/git/gittest"
)

// These tests want root, packer, moto_server and sshd: make test-images. They build an AMI as people would, with two
// things exchanged: AWS is moto, and the instance is an sshd in a root file system that is this machine's under an
// overlay in memory. What is installed and sealed there is gone with it.

const region = "eu-west-1"

// recorder is moto with a memory of what it was asked.
type recorder struct {
	url   string
	mu    sync.Mutex
	calls []url.Values
}

func record(t *testing.T, moto string) *recorder {
	t.Helper()
	target, err := url.Parse(moto)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if form, err := url.ParseQuery(string(body)); err == nil {
			r.mu.Lock()
			r.calls = append(r.calls, form)
			r.mu.Unlock()
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// asked are the actions, each once; of is all calls of one.
func (r *recorder) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, c := range r.calls {
		all = append(all, "ec2:"+c.Get("Action"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *recorder) of(action string) []url.Values {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []url.Values
	for _, c := range r.calls {
		if c.Get("Action") == action {
			all = append(all, c)
		}
	}
	return all
}

// ask puts a question of the test itself.
func ask(t *testing.T, moto, action string, form url.Values, answer any) {
	t.Helper()
	form.Set("Action", action)
	form.Set("Version", "2016-11-15")
	req, err := http.NewRequest(http.MethodPost, moto, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/"+region+"/ec2/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("moto: %s: %s %v: %.500s", action, resp.Status, err, body)
	}
	if err := xml.Unmarshal(body, answer); err != nil {
		t.Fatalf("moto: %s: %v", action, err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// instance is the machine that is baked: an sshd whose root is an overlay.
type instance struct {
	port string
	root string // its files, as seen from here
}

const enter = `set -eu
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
for folder in tmp root home etc/addagent; do # what people have there is not this test's
	mkdir -p "$1/root/$folder"
	mount -t tmpfs none "$1/root/$folder"
done
mkdir -p "$1/root/run/sshd" "$1/root/root/nodeinfo" "$1/root/root/.ssh"
cp "$2/host" "$1/root/run/sshd/host"
cp "$2/key.pub" "$1/root/root/.ssh/authorized_keys"
chmod -R go-rwx "$1/root/root/.ssh" "$1/root/run/sshd/host"
# cloud-init is installed and did not begin with the boot: a wait for it never ends.
rm -rf "$1/root/run/cloud-init"
printf '#!/bin/sh\ntouch /run/waited\n' >"$1/root/usr/bin/cloud-init.new"
chmod 755 "$1/root/usr/bin/cloud-init.new"
mv "$1/root/usr/bin/cloud-init.new" "$1/root/usr/bin/cloud-init"
# As if a person had tried the package here before.
echo i-of-the-bake >"$1/root/root/nodeinfo/instance-id.txt"
echo a-token >"$1/root/etc/addagent/git-token"
exec chroot "$1/root" /usr/sbin/sshd -D -e -f /dev/null -p "$3" -h /run/sshd/host -o ListenAddress=127.0.0.1 \
	-o PermitRootLogin=yes -o StrictModes=no -o UsePAM=no -o Subsystem='sftp internal-sftp' -o PidFile=none
`

func boot(t *testing.T, keys string) instance {
	t.Helper()
	addr := gittest.Port(t, "127.0.0.1")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	i := instance{port: port}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", enter, "boot", t.TempDir(), keys, i.port)
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	i.root = fmt.Sprintf("/proc/%d/root", cmd.Process.Pid)
	deadline := time.After(3 * time.Minute)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return i
		}
		select {
		case <-ended:
			t.Fatalf("no machine to bake (needs root and overlayfs): %s", words.String())
		case <-deadline:
			t.Fatalf("sshd does not listen: %s", words.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pack makes a .deb that has what bake looks for.
func pack(t *testing.T) string {
	t.Helper()
	root := tree(t, map[string]string{
		"DEBIAN/control":              "Package: addagent-bake-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: for a test\n",
		"usr/bin/addagent":            "#!/bin/sh\necho addagent for a test\n",
		"usr/sbin/addagent-bootstrap": "#!/bin/sh\n",
		"etc/addagent/addagent.yaml":  "home: /root\n",
	})
	for _, p := range []string{"usr/bin/addagent", "usr/sbin/addagent-bootstrap"} {
		if err := os.Chmod(filepath.Join(root, p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(t.TempDir(), "addagent_1_all.deb")
	run(t, "dpkg-deb", "--root-owner-group", "-b", root, deb)
	return deb
}

func TestAMI(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test makes a file system of its own: run it as root")
	}
	var moto cloudtest.Moto
	t.Cleanup(moto.Stop)
	aws := record(t, moto.URL(t))
	keys := t.TempDir()
	run(t, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", keys+"/key")
	run(t, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", keys+"/host")
	machine := boot(t, keys)
	ask(t, moto.URL(t), "CreateKeyPair", url.Values{"KeyName": {"bake"}}, &struct{}{})

	out := t.TempDir()
	cmd := exec.Command("packer", "build", "-color=false", "-only=amazon-ebs.ami", "-var", "package="+pack(t), "-var", "tools=",
		"-var", "region="+region, "-var", "source_name=amzn-ami-hvm-*", "-var", "source_owner=137112412989", "-var", "instance_type=t2.micro",
		"-var", "ec2_endpoint="+aws.url, "-var", "emulated=true", "-var", "ssh_host=127.0.0.1", "-var", "ssh_port="+machine.port,
		"-var", "ssh_username=root", "-var", "ssh_keypair_name=bake", "-var", "ssh_private_key_file="+keys+"/key",
		"-var", "manifest="+out+"/images.json", "packer/addagent.pkr.hcl")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"PACKER_CONFIG_DIR="+out, "NO_PROXY=127.0.0.1")
	words, err := cmd.CombinedOutput()
	t.Logf("%s", words)
	if err != nil {
		t.Fatal(err)
	}

	var images struct {
		Images []struct {
			ID   string `xml:"imageId"`
			Name string `xml:"name"`
			Tags []struct {
				Key   string `xml:"key"`
				Value string `xml:"value"`
			} `xml:"tagSet>item"`
			Public bool `xml:"isPublic"`
		} `xml:"imagesSet>item"`
	}
	ask(t, moto.URL(t), "DescribeImages", url.Values{"Filter.1.Name": {"name"}, "Filter.1.Value.1": {"addagent-*"}}, &images)
	if len(images.Images) != 1 || len(images.Images[0].Tags) != 2 || images.Images[0].Public {
		t.Errorf("images %+v", images.Images)
	}
	var left struct {
		States []string `xml:"reservationSet>item>instancesSet>item>instanceState>name"`
	}
	ask(t, moto.URL(t), "DescribeInstances", url.Values{}, &left)
	if !slices.Equal(left.States, []string{"terminated"}) {
		t.Errorf("instances are left: %v", left.States)
	}

	// What would have been in the image.
	for p, want := range map[string]string{"root/nodeinfo/state.txt": "presetup\n", "etc/machine-id": "", "usr/bin/addagent": "#!/bin/sh\necho addagent for a test\n"} {
		got, err := os.ReadFile(filepath.Join(machine.root, p))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", p, got, err)
		}
	}
	for _, p := range []string{"root/nodeinfo/instance-id.txt", "etc/addagent/git-token", "root/.ssh/authorized_keys", "tmp/addagent_1_all.deb", "tmp/seal", "run/waited"} {
		if _, err := os.Lstat(filepath.Join(machine.root, p)); !os.IsNotExist(err) {
			t.Errorf("%s is in the image: %v", p, err)
		}
	}
	if keys, _ := filepath.Glob(filepath.Join(machine.root, "etc/ssh/ssh_host_*")); len(keys) != 0 {
		t.Errorf("host keys are in the image: %v", keys)
	}

	// What packer asks for is what its policy allows; a key pair and a security group are for those who bring none.
	data, err := os.ReadFile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal(data, &policy); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, s := range policy.Statement {
		allowed = append(allowed, s.Action...)
	}
	asked := aws.asked()
	t.Logf("asked: %v", asked)
	for _, a := range asked {
		if !slices.Contains(allowed, a) {
			t.Errorf("policy.json does not allow %s", a)
		}
	}

	// It may end only what carries the tag from its launch, and may not give the tag to an instance later: else it
	// could end any.
	launches := aws.of("RunInstances")
	if len(launches) != 1 || !strings.Contains(launches[0].Encode(), url.QueryEscape("addagent:bake")) {
		t.Errorf("launched without the tag: %v", launches)
	}
	for _, c := range aws.of("CreateTags") {
		for k, v := range c {
			if strings.HasPrefix(k, "ResourceId.") && !strings.HasPrefix(v[0], "ami-") && !strings.HasPrefix(v[0], "snap-") {
				t.Errorf("policy.json does not allow to tag %s", v[0])
			}
		}
	}
}
