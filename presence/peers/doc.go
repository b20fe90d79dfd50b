// Package peers reads who else is there.
package peers
