// Package status tells how this node is, from the files that the agent leaves.
//
// Read puts together the newest record, what people said (brakes), and who holds the locks. When the last beat is too
// old, diagnosis.go looks for other signs of why. It asks no agent and changes nothing.
package status
