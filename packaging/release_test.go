package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// release is a server with the files of a release for this machine.
type release struct {
	files map[string][]byte
	url   string
}

// newRelease starts one, after its files were changed.
func newRelease(t *testing.T, change ...func(*release)) *release {
	t.Helper()
	name := "addagent_1.0_" + runtime.GOOS + "_" + runtime.GOARCH
	var archive bytes.Buffer
	packed := gzip.NewWriter(&archive)
	tree := tar.NewWriter(packed)
	for _, program := range []string{"addagent", "addctl"} {
		script := "#!/bin/sh\necho " + program + " 1.0\n"
		testkit.Must(t, tree.WriteHeader(&tar.Header{Name: name + "/" + program, Mode: 0o755, Size: int64(len(script))}))
		_, err := tree.Write([]byte(script))
		testkit.Must(t, err)
	}
	testkit.Must(t, tree.Close())
	testkit.Must(t, packed.Close())
	r := &release{files: map[string][]byte{name + ".tar.gz": archive.Bytes(), "addagent_1.0_plan9_mips.tar.gz": []byte("x")}}
	for name, data := range r.files {
		r.files["SHA256SUMS"] = fmt.Appendf(r.files["SHA256SUMS"], "%x  %s\n", sha256.Sum256(data), name)
	}
	for _, change := range change {
		change(r)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		data, ok := r.files[strings.TrimPrefix(q.URL.Path, "/")]
		if !ok {
			http.NotFound(w, q)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// archive is the name of this machine's.
func (r *release) archive() string {
	return "addagent_1.0_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
}

// install runs the script, and says what it said.
func install(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"install.sh"}, args...)...)
	cmd.Env = append(os.Environ(), "no_proxy=*", "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(strings.TrimPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR=")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestInstall(t *testing.T) {
	r := newRelease(t)
	dir := filepath.Join(t.TempDir(), "bin")
	for range 2 { // the second time over programs that are there
		if code, out := install(t, "--from", r.url, "--dir", dir); code != 0 {
			t.Fatalf("exit %d\n%s", code, out)
		}
	}
	for _, program := range []string{"addagent", "addctl"} {
		if out, err := exec.Command(filepath.Join(dir, program)).Output(); err != nil || string(out) != program+" 1.0\n" {
			t.Errorf("%s: %q %v", program, out, err)
		}
	}
}

// TestInstallRefuses what is not exactly what SHA256SUMS says, and then leaves nothing behind.
func TestInstallRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(r *release)
		says  string
	}{
		"a changed byte": {func(r *release) { r.files[r.archive()][40] ^= 1 }, "is not what SHA256SUMS says"},
		"a cut archive":  {func(r *release) { r.files[r.archive()] = r.files[r.archive()][:100] }, "is not what SHA256SUMS says"},
		"no sums":        {func(r *release) { delete(r.files, "SHA256SUMS") }, "SHA256SUMS cannot be downloaded"},
		"no archive":     {func(r *release) { delete(r.files, r.archive()) }, "cannot be downloaded"},
		"no line":        {func(r *release) { r.files["SHA256SUMS"] = []byte("<html>\n") }, "has no file for this machine"},
		"two lines":      {func(r *release) { r.files["SHA256SUMS"] = append(r.files["SHA256SUMS"], r.files["SHA256SUMS"]...) }, "several files"},
		"a path as a name": {func(r *release) {
			r.files["SHA256SUMS"] = bytes.ReplaceAll(r.files["SHA256SUMS"], []byte("  addagent"), []byte("  ../addagent"))
		}, "has no file for this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelease(t, c.spoil)
			dir := filepath.Join(t.TempDir(), "bin")
			if code, out := install(t, "--from", r.url, "--dir", dir); code != 1 || !strings.Contains(out, c.says) {
				t.Errorf("exit %d\n%s", code, out)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was installed")
			}
		})
	}
	for _, args := range [][]string{{"--from", "http://example.org"}, {"--from", "ftp://127.0.0.1:1/"}, {"--from"}, {"--nonsense"}, {"--dir", ""}} {
		if code, out := install(t, args...); code != 2 {
			t.Errorf("%q: exit %d\n%s", args, code, out)
		}
	}
}

// TestReleaseNeedsATag, and a section of the changelog with its notes.
func TestReleaseNeedsATag(t *testing.T) {
	for version, says := range map[string]string{"": "has no tag", "1.0": "has no tag", "v9.9.9": "has no section"} {
		cmd := exec.Command("sh", "release.sh")
		cmd.Env = append(os.Environ(), "VERSION="+version, "OUT="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if tagged := exec.Command("git", "describe", "--tags", "--exact-match").Run() == nil; version == "" && tagged {
			continue
		}
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("VERSION=%s: %v\n%s", version, err, out)
		}
	}
}

// TestReleaseIsTheSameAnywhere makes one twice: in another folder, under another umask, zone and language. TestPackages
// of test/boot does so with the packages.
func TestReleaseIsTheSameAnywhere(t *testing.T) {
	testkit.Long(t)
	copied := filepath.Join(t.TempDir(), "elsewhere")
	testkit.Must(t, os.Mkdir(copied, 0o755))
	sh := func(script string, args ...string) {
		t.Helper()
		if out, err := exec.Command("sh", append([]string{"-euc", script, "sh"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	here, err := filepath.Abs("..")
	testkit.Must(t, err)
	sh(`cd "$1" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x --no-same-owner -C "$2"
		cd "$2" && printf '# Changelog\n\n## Unreleased\n\n- later\n\n## 1.2.3 (a day)\n\n- **Notes.** Of it.\n\n## 1.2.2\n\n- before\n' >CHANGELOG.md`, here, copied)
	built := func(from, umask string, env ...string) string {
		out := filepath.Join(t.TempDir(), "dist")
		cmd := exec.Command("sh", "-c", "umask "+umask+" && exec sh packaging/release.sh")
		cmd.Dir = from
		cmd.Env = append(os.Environ(), append(env, "VERSION=v1.2.3", "OUT="+out, "SOURCE_DATE_EPOCH=1700000000", "ARCHES=", "FORMATS=", "ARCHIVES=linux/amd64 darwin/arm64")...)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("release.sh: %v\n%s", err, said)
		}
		return out
	}
	again := filepath.Join(t.TempDir(), "a second place")
	sh(`cp -R "$1" "$2"`, copied, again)
	one, two := built(copied, "022", "TZ=UTC"), built(again, "077", "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8")
	var names []string
	entries, err := os.ReadDir(one)
	testkit.Must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
		first, err := os.ReadFile(filepath.Join(one, e.Name()))
		testkit.Must(t, err)
		second, err := os.ReadFile(filepath.Join(two, e.Name()))
		testkit.Must(t, err)
		if !bytes.Equal(first, second) {
			t.Errorf("%s: not the same bytes a second time", e.Name())
		}
	}
	want := []string{"NOTES.md", "SHA256SUMS", "addagent_1.2.3_darwin_arm64.spdx.json", "addagent_1.2.3_darwin_arm64.tar.gz",
		"addagent_1.2.3_linux_amd64.spdx.json", "addagent_1.2.3_linux_amd64.tar.gz", "install.sh"}
	if !slices.Equal(names, want) {
		t.Errorf("a release is %q, want %q", names, want)
	}
	notes, err := os.ReadFile(filepath.Join(one, "NOTES.md"))
	testkit.Must(t, err)
	if string(notes) != "- **Notes.** Of it.\n" {
		t.Errorf("notes %q", notes)
	}
	sh(`cd "$1" && sha256sum -c --quiet SHA256SUMS`, one)
}

// TestManualsNameWhatIsThere: the package has docs/, and the manual pages name no other file of the repository.
func TestManualsNameWhatIsThere(t *testing.T) {
	pages, err := filepath.Glob("../docs/man/*")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range append(pages, "addagent-bootstrap") {
		data, err := os.ReadFile(page)
		testkit.Must(t, err)
		text := strings.ReplaceAll(string(data), `\-`, "-")
		for _, name := range regexp.MustCompile(`\bdocs/[A-Za-z0-9_-]+\.[a-z.]*[a-z]`).FindAllString(text, -1) {
			if _, err := os.Stat("../" + name); err != nil {
				t.Errorf("%s names %s: %v", page, name, err)
			}
		}
		for _, name := range regexp.MustCompile(`\b(?:packer|systemd|packaging|cloudformation|vagrant)/[a-z.-]*[a-z]`).FindAllString(text, -1) {
			written := strings.HasPrefix(name, "packer/") && strings.HasPrefix(filepath.Base(page), "addctl-packer-")
			if !written && !strings.Contains(text, "/"+name) { // a part of a path in the file system
				t.Errorf("%s names %s, which is not in the package", page, name)
			}
		}
	}
}
