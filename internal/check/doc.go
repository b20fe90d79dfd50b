// Package check tests what one node needs: its config, and on request each credential and service that the config
// names.
//
// Everything is tried once, side by side, and comes back as a Finding with a suggestion; nothing is changed. Begin with
// Checker in check.go. It prints nothing.
package check
