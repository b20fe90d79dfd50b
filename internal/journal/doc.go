// Package journal holds what the agent writes down about its beats, and reads it again: the record of a beat
// (nodeinfo/beat.json for the newest, a line of log/beats.jsonl for each), the words for it, and log/addagent.log,
// which people read. Commands that explain a node (status, why, log) read nothing else.
package journal
