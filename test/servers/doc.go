// Package servers is tests alone: the real programs against each kind of git server that runs here, and what they say
// where a server cannot be used. docs/servers.md is made from it.
package servers
