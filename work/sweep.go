package work

// Swept is one thing that Sweep put in order.
type Swept struct {
	RepoDir string // the clone
	Item    string
	RunID   string
	Detail  string // one line for people
}
