// Package journal holds what the agent writes down about its beats, and reads it again.
//
// Beat in record.go is the record of one: nodeinfo/beat.json has the newest, log/beats.jsonl a line for each, and
// Writer writes both. HumanLog writes log/addagent.log, which people read. describe.go has the words for a record.
// Commands that explain a node (status, why, log) read nothing else. It decides nothing.
package journal
