package main

import (
	"fmt"
	"os"
	"strings"
)

// script is what a repository would deploy with: it prints what it knows.
const script = `#!/bin/bash
set -eu
echo "deploying version $(cat app/version.txt) on $ADD_NODE_ID ($ADD_NODEPART), verdict $ADD_VERDICT"
echo "from ${ADD_PREVIOUS_VERSION:-nothing} to $ADD_VERSION"
sleep 3 # longer than a beat: the agent goes on ticking meanwhile
echo deployed
`

// oneNode is the story of one node: the four verdicts, a broken script and its repair.
func oneNode(d *demo) (hints string) {
	for field, value := range map[string]string{"instance-id": "i-demo1", "nodepart": "app1", "stacktype": "lad1", "deployment": "fed1"} {
		d.write("node/nodeinfo/"+field+".txt", value+"\n")
	}
	d.write("node/addagent.yaml", fmt.Sprintf(`# made by make demo
home: %[1]q
run_dir: "%[1]s/run"
state_dir: "%[1]s/lib"
beat: { schedule: "@every 2s", spread: 0s }
repos:
  - { name: ops, url: %[2]q }
work: { retry_first: 4s }
`, d.path("node"), d.server+"/ops.git"))
	d.say("first push: a script for part app1 that watches app/")
	d.write("people/ops/README.md", "# Operations of the demo grid\n")
	d.write("people/ops/app/version.txt", "1\n")
	d.write("people/ops/nodework/part/app1/work.yaml", "watch: [ app/ ]\ntimeout: 1m\n")
	d.write("people/ops/nodework/part/app1/work.sh", script)
	d.push("the application and its work script")
	d.say("the agent starts: node i-demo1, part app1, a beat every 2 s (its log, as tail -F shows it)")
	d.start("the agent", d.out, "addagent", "run", "--config", d.path("node", "addagent.yaml"))

	const memory = "node/gitrepo/ops/.temp/add/part.app1/work.sh_VERSION"
	quiet := func(b beat) bool { return len(b.Started)+len(b.Ended) == 0 }
	same := func(b beat) bool { return quiet(b) && d.judges(b, "same") }
	unaffected := func(b beat) bool { return quiet(b) && d.judges(b, "unaffected") }
	failing := func(b beat) bool { return b.State == "failing" }
	done := func(b beat) bool {
		worked, _ := os.ReadFile(d.path(memory))
		return b.State == "idle" && b.InHand == nil && strings.TrimSpace(string(worked)) == d.last
	}
	is := func(what string, so func(beat) bool) { d.until(what, func() bool { return so(d.beatOf("node")) }) }

	is("the first push is worked", done)
	d.say("nothing new: the verdict is `same`")
	is("the verdict is same", same)
	for _, step := range []struct {
		say, path, text, message, what string
		until                          func(beat) bool
	}{
		{"a push that touches nothing this node watches: `unaffected`", "README.md", "# Operations, explained\n", "explain", "the verdict is unaffected", unaffected},
		{"a push below app/: `changed`, and the work runs", "app/version.txt", "2\n", "version 2", "version 2 is worked", done},
		{"a broken push: the script fails, and the node says so; it would try again after 4 s", "nodework/part/app1/work.sh",
			"#!/bin/bash\necho no such database; exit 3\n", "a new script", "the node is failing", failing},
		{"the repair is a push as well: tried at once, and the node is well again", "nodework/part/app1/work.sh", script, "fix the script", "the repair is worked", done},
	} {
		d.say("%s", step.say)
		d.write("people/ops/"+step.path, step.text)
		d.push(step.message)
		is(step.what, step.until)
	}
	is("the verdict is same", same)

	d.say("the state files, one bare value each")
	for _, name := range []string{"instance-id.txt", "state.txt", "statelog.txt"} {
		d.print("   nodeinfo/%-16s %s", name, d.read("node", "nodeinfo", name))
	}
	d.print("   work.sh_VERSION           %s", d.read(memory))
	d.say("the script's own output: log/work/ops_part.app1/latest.log")
	d.print("%s", indented(d.read("node/log/work/ops_part.app1/latest.log")))
	d.say("addagent why")
	d.print("%s", d.output("", d.program("addagent"), "why", "--config", d.path("node", "addagent.yaml")))

	return fmt.Sprintf(`   tail -F %[1]s/node/log/addagent.log
   (cd %[1]s/people/ops && date > app/version.txt && git commit -qam "my push" && git push)
   %[2]s --config %[1]s/node/addagent.yaml why
   %[2]s --config %[1]s/node/addagent.yaml status
`, d.show(d.dir), d.show(d.program("addagent")))
}
