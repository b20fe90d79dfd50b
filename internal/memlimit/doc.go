// Package memlimit bounds.
package memlimit
