// Package daemon makes an agent out of a config.
package daemon
