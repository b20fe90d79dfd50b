package cli

import "os/user"

// DefaultConfig is where the config is when nobody says otherwise.
const DefaultConfig = "/etc/addagent/addagent.yaml"

// Account is who runs this process.
func (p *Process) Account() (home, name string) {
	u, err := user.Current()
	if err != nil {
		return p.Env("HOME"), p.Env("USER")
	}
	return u.HomeDir, u.Username
}
