// Package service is what one node runs for others: what a repository says of it, whether it works, and what is to be
// done about it. It knows no disk, no network and no clock.
//
// Begin with Next in next.go, which decides; description.go reads service.yaml, health.go judges checks.
package service
