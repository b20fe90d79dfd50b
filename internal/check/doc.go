// Package check checks.
package check
