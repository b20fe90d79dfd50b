package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
)

// Unfit is something on this machine that must not be in an image of it.
type Unfit struct {
	// Kind is "home" for the parent of nodeinfo/ and log/, "folder" for the agent's memory, "file" for a file that
	// holds a secret, and "value" for a secret in a file of other things.
	Kind  string `json:"kind"`
	Where string `json:"where"` // a path; of a value FILE:LINE
	Key   string `json:"key"`   // of the config, or the name of a variable
}

// Image lists what must not be in an image of this machine: its memory, the files of secrets that exist, and the
// values that Lines masks, in the config and in etc/default/addagent beside it. A file that the config names may be
// missing. Any other mistake in the config is an error, since what it means is not known.
//
// It asks nothing of the network, and does not find out who this node is: packer/seal calls it in images.
func Image(l daemon.ConfigLoader) ([]Unfit, error) {
	cfg, err := l.Read()
	var problems config.Problems
	if errors.As(err, &problems) {
		problems = slices.DeleteFunc(problems, func(p config.Problem) bool {
			return strings.Contains(p.Text, " does not exist: ") || strings.Contains(p.Text, " is not set in the agent's environment")
		})
		if err = problems; len(problems) == 0 {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	all := []Unfit{{"home", cfg.Home, "home"}, {"folder", cfg.StateDir, "state_dir"}}
	for _, path := range secretFiles(cfg) {
		if _, err := os.Lstat(path); err == nil {
			all = append(all, Unfit{"file", path, "the config"})
		}
	}
	all = append(all, maskedValues(cfg)...)
	path := filepath.Join(filepath.Dir(l.Path()), "..", "default", "addagent")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for i, line := range strings.Split(string(data), "\n") {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		variable := &config.Config{Work: config.Work{Env: map[string]string{name: value}}}
		if ok && value != "" && !strings.HasPrefix(name, "#") && len(maskedValues(variable)) > 0 {
			all = append(all, Unfit{"value", fmt.Sprintf("%s:%d", path, i+1), name})
		}
	}
	return all, nil
}

// secretFiles are the files that hold nothing but a secret.
func secretFiles(cfg *config.Config) []string {
	all := []string{cfg.Network.ClientKeyFile}
	of := func(a config.Auth) { all = append(all, append(a.SSHKeyFiles, a.TokenFile, a.PasswordFile)...) }
	of(cfg.Presence.Auth)
	for _, r := range cfg.Repos {
		of(r.Auth)
	}
	for _, r := range cfg.Chat {
		all = append(all, r.URLFile)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" || strings.HasPrefix(s, config.SecretInEnv) })
}

// maskedValues are the values of which Lines shows only a part.
func maskedValues(cfg *config.Config) (all []Unfit) {
	for _, l := range cfg.Lines() {
		if strings.Contains(l.Value, "********") {
			all = append(all, Unfit{"value", l.From, l.Key})
		}
	}
	return all
}
