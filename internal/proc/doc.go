// Package proc looks at other processes of this machine through /proc, as far as this account may.
//
// What cannot be read is the zero value, not an error: the callers ask for signs, and proceed without them.
package proc
