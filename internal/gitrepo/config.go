package gitrepo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/config"
	gitconfig "github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/addagent/addagent/internal/gitwire"
)

// In .git/config: addagent.clone of a clone that the agent made, addagent.adopted of one that it took over from a person.
const ourSection = "addagent"

// cloneConfig is what .git/config says.
type cloneConfig struct {
	origin  string // URL of remote origin; "" = none
	made    bool   // by the agent
	adopted bool
}

func readConfig(gitDir string) (cloneConfig, error) {
	b, err := readSmall(filepath.Join(gitDir, "config"))
	if err != nil {
		return cloneConfig{}, err
	}
	c := config.NewConfig()
	if err := c.Unmarshal(b); err != nil {
		return cloneConfig{}, fmt.Errorf("%s: %w", filepath.Join(gitDir, "config"), err)
	}
	ours := c.Raw.Section(ourSection)
	found := cloneConfig{made: ours.Option("clone") != "", adopted: ours.Option("adopted") != ""}
	if o := c.Remotes["origin"]; o != nil && len(o.URLs) > 0 {
		found.origin = o.URLs[0]
	}
	return found, nil
}

// writeConfig writes the config of a new clone. It holds no secret.
func writeConfig(gitDir string, s Source, branch string) error {
	c := gitconfig.New()
	c.Section("core").
		AddOption("repositoryformatversion", "0").
		AddOption("filemode", "true").
		AddOption("bare", "false").
		AddOption("logallrefupdates", "false")
	c.Section("gc").AddOption("auto", "0")
	c.Section(ourSection).AddOption("clone", "true")
	c.Section("remote").Subsection("origin").
		AddOption("url", s.Redacted()).
		AddOption("fetch", "+refs/heads/"+branch+":refs/remotes/origin/"+branch)
	var text strings.Builder
	if err := gitconfig.NewEncoder(&text).Encode(c); err != nil {
		return err
	}
	return writeDurable(filepath.Join(gitDir, "config"), []byte(text.String()))
}

// adopt notes in the config of a person's clone that its tree is now moved by the agent.
func adopt(gitDir string) error {
	c, err := readConfig(gitDir)
	if err != nil || c.made || c.adopted {
		return err
	}
	b, err := readSmall(filepath.Join(gitDir, "config"))
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(b), "\n") + "\n[" + ourSection + "]\n\tadopted = true\n"
	return writeDurable(filepath.Join(gitDir, "config"), []byte(text))
}

// made says whether the agent made a clone, and not a person.
func made(gitDir string) bool {
	c, err := readConfig(gitDir)
	return err == nil && c.made
}

// configCheck remembers which config file was found to be right, so that a quiet look only stats it.
type configCheck struct {
	size  int64
	mtime time.Time
	fine  bool
}

// differs returns why a clone cannot be used for a source; "" when it can.
func (o *configCheck) differs(gitDir string, s Source) string {
	info, err := os.Stat(filepath.Join(gitDir, "config"))
	if err != nil {
		return "it has no config"
	}
	if o.fine && o.size == info.Size() && o.mtime.Equal(info.ModTime()) {
		return ""
	}
	o.fine = false
	c, err := readConfig(gitDir)
	if err != nil {
		return "its config cannot be read"
	}
	if trimURL(c.origin) != trimURL(s.URL) {
		return "its remote was " + gitwire.Redact(c.origin)
	}
	if !c.made && !c.adopted {
		// Its other branches end at borders of their own, which our one border would turn into damage.
		if border, err := os.Stat(filepath.Join(gitDir, "shallow")); err == nil && border.Size() > 0 {
			return "it is a shallow clone that the agent did not make"
		}
	}
	o.size, o.mtime, o.fine = info.Size(), info.ModTime(), true
	return ""
}

// trimURL makes equal what names the same repository for every server.
func trimURL(raw string) string {
	u := strings.TrimSuffix(strings.TrimRight(gitwire.Redact(raw), "/"), ".git")
	return strings.TrimRight(u, "/")
}
