// Package proc is described below.
package proc
