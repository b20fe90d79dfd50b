// Package check checks what one node needs: its config, and with --live every credential and service that the config
// names, each tried once, side by side, with a suggestion for what does not work. It changes nothing.
package check
