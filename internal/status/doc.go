// Package status tells how this node is from the files that the agent leaves: the newest record, what people said
// (brakes), and who holds the locks. When no beat came for too long it looks for other signs of why.
package status
