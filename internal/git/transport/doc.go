// Package transport makes the connections to a git server: credentials, certificates, host keys, proxies, TLS, SSH and
// git://.
//
// HTTP, SSH, Daemon and Program are the four ways. When a server refuses one, the error suggests what a person can do.
// Files that hold secrets are read when they are used, and a connection made with one that has changed is given up. No
// secret is in an error. What is spoken over a connection is package protocol.
package transport
