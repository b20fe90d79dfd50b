package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// listed is a node in the list: the record's value and the age. The keys are sorted, and age comes between addresses
// and agent, so the fields of the record stand around it.
type listed struct {
	Addresses []string `json:"addresses"`
	Age       Age      `json:"age"`
	Record
	Since time.Time `json:"since,omitzero"`
}

func (n Node) listed(now time.Time) listed {
	r := n.Record
	// Lists that are empty are [] and never null, as in a record that was told.
	r.Repos, r.Services = append([]Repo{}, r.Repos...), append([]Service{}, r.Services...)
	return listed{append([]string{}, r.Addresses...), n.Age(now), r, WholeSecond(n.Since)}
}

// EncodeNode gives one node as in the list of EncodeNodes, without white space.
func EncodeNode(n Node, now time.Time) ([]byte, error) {
	data, err := json.Marshal(n.listed(now))
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return data, nil
}

// EncodeNodes gives a fleet as a JSON list, the form of nodeinfo/nodes.json and of `addctl nodes --json`: for each
// node, sorted by id, the value of its presence record with all its keys and two more,
//
//	"age": "present" | "late" | "missing" | "gone"
//	"since": when it went into its state, where the fold knows that
//
// Keys sorted, four spaces of indent, a newline at the end, times in UTC; no node is []. Readers must ignore keys that
// they do not know.
func EncodeNodes(f Fleet, now time.Time) ([]byte, error) {
	list := make([]listed, 0, len(f.Nodes))
	for _, n := range f.Nodes {
		list = append(list, n.listed(now))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // as in the record itself: people read this
	e.SetIndent("", "    ")
	if err := e.Encode(list); err != nil {
		return nil, fmt.Errorf("list of nodes: %w", err)
	}
	return b.Bytes(), nil
}
