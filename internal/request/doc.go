// Package request holds requests.
package request
