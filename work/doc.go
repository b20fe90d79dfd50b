// Package work finds the work scripts of a repository, decides which of them are due, and runs them once.
//
// It has two halves. The deciding half is values in, values out: Find reads the items from a tree, Fingerprints looks up what they watch, Recall reads what is
// remembered of them, Judge gives the verdict, Stand says whether it is due now. The running half does it: TryLock, Start, Wait, and Sweep for what a crash left.
// Between them stands the memory of an item, a few small files in <clone>/.temp/add/<item>/, of which work.sh_RESULT.json is described at Result.
//
// The init of a node is one item like the others, found by FindInit and named "init"; its scripts are sourced in one bash, it is done once, and its memory lies
// outside of the clones.
//
// The package does not know what a node is: it gets the names of two folders, and of the repository that holds the init.
package work
