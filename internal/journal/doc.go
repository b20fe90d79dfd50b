// Package journal holds the records of beats.
package journal
