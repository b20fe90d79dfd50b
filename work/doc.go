// Package work finds the work scripts of a repository, decides which of them are due, and runs them once.
//
// It has two halves. The deciding half is values in, values out: Find reads the items from a tree, Fingerprints looks up what they watch, Recall reads what is
// remembered of them, Judge gives the verdict, Stand says whether it is due now. The running half does it: TryLock, Start, Wait, and Sweep for what a crash left.
// Between them stands the memory of an item, a few small files in <clone>/.temp/add/<item>/, of which work.sh_RESULT.json is described at Result.
//
// The package does not know what a node is: it gets the names of two folders.
package work
