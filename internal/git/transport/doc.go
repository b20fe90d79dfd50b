// Package transport is how a server of git is reached: what we show to it (tokens, passwords, keys, a certificate),
// by what we know it (authorities, known host keys), and which way (a proxy, TLS, SSH, git://). It makes the
// connections and says what a person can do when one is refused; what is spoken over them is package protocol.
//
// Files that hold secrets are read when they are used, and a connection that was made with one that has changed since
// is given up. No secret is in an error.
package transport
