// Package work finds the work scripts of a repository and decides which of them are due.
//
// Values go in and values come out: Find reads the items from a tree, Fingerprints looks up what they watch, Peek reads
// what is remembered of them, Judge gives the verdict, and PlanRun says whether to run now. Survey does all of that for
// the repositories of a node. The memory of an item is a few small files in <clone>/.temp/add/<item>/; Result describes
// the one for other programs, work.sh_RESULT.json. Package work/run runs what is due and writes those files.
//
// The init of a node is one item like the others, found by FindInit and named "init"; its scripts are sourced in one
// bash, it is done once, and its memory lies outside of the clones.
//
// The package does not know what a node is: it gets the names of two folders, and of the repository that holds the
// init.
package work
