package run

import "path/filepath"

// Swept is one thing that Sweep put in order.
type Swept struct {
	RepoDir string // the clone; "" of the init, which belongs to the node
	Item    string
	RunID   string
	Detail  string // one line for people
}

func (s Swept) String() string {
	if s.RepoDir == "" {
		return s.Item + ": " + s.Detail
	}
	return filepath.Base(s.RepoDir) + ":" + s.Item + " " + s.Detail
}
