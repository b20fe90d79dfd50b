package cli

import (
	"os/user"

	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/gitrepo"
)

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

// AuthOf is what the config says of how to prove who asks, as internal/gitrepo takes it.
func AuthOf(a config.Auth) gitrepo.Auth {
	return gitrepo.Auth{
		TokenFile: a.TokenFile, Username: a.Username, PasswordFile: a.PasswordFile,
		SSHKeyFiles: a.SSHKeyFiles, KnownHostsFile: a.KnownHostsFile, Command: a.Command,
	}
}

// NetworkOf is how the config says that servers are reached, as internal/gitrepo takes it.
func NetworkOf(n config.Network) gitrepo.Network {
	return gitrepo.Network{Proxy: n.Proxy, NoProxy: n.NoProxy, CAFile: n.CAFile, ClientCertFile: n.ClientCertFile, ClientKeyFile: n.ClientKeyFile}
}
