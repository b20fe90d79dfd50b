// Package daemon makes an agent out of a config: it claims the node, finds out who the node is, opens the logs and
// memories, builds the parts (clones, runner, sinks, metrics) and joins them. It is the only place where the concrete
// kinds meet. It also brings a changed config into an agent that runs.
package daemon
