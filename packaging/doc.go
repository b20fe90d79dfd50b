// Package packaging holds what bakes addagent into machines: packages, the bootstrap, cron and cloud-init, with their
// tests.
package packaging
