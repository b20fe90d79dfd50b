// Package status is described below.
package status
