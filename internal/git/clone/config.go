package clone

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/go-git/go-git/v5/config"
	gitconfig "github.com/go-git/go-git/v5/plumbing/format/config"
)

// In .git/config: addagent.clone of a clone that the agent made, addagent.adopted of one that it took over from a
// person.
const ourSection = "addagent"

// cloneConfig is what .git/config says.
type cloneConfig struct {
	origin  string // URL of remote origin; "" = none
	made    bool   // by the agent
	adopted bool
	partial bool   // without all objects: git fetches them when it needs them
	foreign string // what of its format is not read here; "" = nothing
	text    []byte
	raw     *gitconfig.Config
}

func readConfig(gitDir string) (cloneConfig, error) {
	b, err := transport.ReadSmall(filepath.Join(gitDir, "config"))
	if err != nil {
		return cloneConfig{}, err
	}
	c := config.NewConfig()
	if err := c.Unmarshal(b); err != nil {
		return cloneConfig{}, fmt.Errorf("%s: %w", filepath.Join(gitDir, "config"), err)
	}
	ours := c.Raw.Section(ourSection)
	found := cloneConfig{made: ours.Option("clone") != "", adopted: ours.Option("adopted") != "", text: b, raw: c.Raw}
	if o := c.Remotes["origin"]; o != nil && len(o.URLs) > 0 {
		found.origin = o.URLs[0]
	}
	found.partial = c.Raw.Section("remote").Subsection("origin").Option("promisor") != ""
	extensions := c.Raw.Section("extensions")
	if f := extensions.Option("objectformat"); f != "" && f != "sha1" {
		found.foreign = "it names objects by " + f + ", and the agent reads sha1"
	} else if f = extensions.Option("refstorage"); f != "" && f != "files" {
		found.foreign = "it keeps its refs as " + f + ", and the agent reads files"
	}
	return found, nil
}

// writeConfig writes the config of a new clone. It holds no secret.
func writeConfig(gitDir string, s remote.Source, branch string) error {
	c := gitconfig.New()
	c.Section("core").
		AddOption("repositoryformatversion", "0").
		AddOption("filemode", "true").
		AddOption("bare", "false").
		AddOption("logallrefupdates", "false")
	c.Section("gc").AddOption("auto", "0")
	c.Section(ourSection).AddOption("clone", "true")
	return writeOrigin(gitDir, c, s, branch)
}

// repairConfig makes the config of a clone of ours name its remote and branch again, and leaves the rest as it is.
func repairConfig(gitDir string, s remote.Source, branch string) error {
	c, err := readConfig(gitDir)
	if err != nil {
		return err
	}
	return writeOrigin(gitDir, c.raw, s, branch)
}

func writeOrigin(gitDir string, c *gitconfig.Config, s remote.Source, branch string) error {
	c.Section("remote").Subsection("origin").
		SetOption("url", s.Redacted()).
		SetOption("fetch", "+refs/heads/"+branch+":refs/remotes/origin/"+branch)
	var text bytes.Buffer
	if err := gitconfig.NewEncoder(&text).Encode(c); err != nil {
		return err
	}
	return objects.WriteFile(gitDir, "config", text.Bytes())
}

// adopt notes in the config of a person's clone that its tree is now moved by the agent.
func adopt(gitDir string) error {
	c, err := readConfig(gitDir)
	if err != nil || c.made || c.adopted {
		return err
	}
	text := append(bytes.TrimRight(c.text, "\n"), "\n["+ourSection+"]\n\tadopted = true\n"...)
	return objects.WriteFile(gitDir, "config", text)
}

// exclude ensures that git does not show the agent's own folder, and keeps what else is excluded.
func exclude(gitDir string) error {
	path := filepath.Join(gitDir, "info", "exclude")
	b, err := transport.ReadSmall(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if strings.Trim(strings.TrimSpace(line), "/") == worktree.OwnFolder {
			return nil
		}
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	return objects.WriteFile(gitDir, "info/exclude", append(b, "/"+worktree.OwnFolder+"/\n"...))
}

// made says whether the agent made a clone, and not a person. Where the config cannot be read it is known by what each
// clone of git has, and ours do not.
func made(gitDir string) bool {
	c, err := readConfig(gitDir)
	if err == nil {
		return c.made
	}
	return !marked(gitDir, "/logs", "/hooks", "/description")
}

// configCheck remembers which config file was found to be right, so that a quiet look only stats it.
type configCheck struct {
	size  int64
	mtime time.Time
	fine  bool
	other string // the remote that a clone of ours names, when it is not the one it should
}

// differs returns why a clone cannot be used for a source; "" when it can. What we can repair is not a reason.
func (o *configCheck) differs(gitDir string, s remote.Source) string {
	info, err := os.Stat(filepath.Join(gitDir, "config"))
	if err != nil {
		return "it has no config"
	}
	if o.fine && o.size == info.Size() && o.mtime.Equal(info.ModTime()) {
		return ""
	}
	*o = configCheck{}
	c, err := readConfig(gitDir)
	if err != nil {
		return "its config cannot be read"
	}
	switch right := trimURL(c.origin) == trimURL(s.URL); {
	case !right && !c.made:
		return "its remote was " + protocol.Redact(c.origin)
	case !right:
		o.other = "its remote was " + protocol.Redact(c.origin)
	case c.foreign != "":
		return c.foreign
	case c.partial:
		return "it is a partial clone that the agent did not make"
	}
	o.size, o.mtime, o.fine = info.Size(), info.ModTime(), true
	return ""
}

// trimURL makes equal what names the same repository for every server.
func trimURL(raw string) string {
	u := strings.TrimSuffix(strings.TrimRight(protocol.Redact(raw), "/"), ".git")
	return strings.TrimRight(u, "/")
}
