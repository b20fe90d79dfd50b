// Package proc looks at other processes of this machine through /proc, as far as this account may.
package proc
