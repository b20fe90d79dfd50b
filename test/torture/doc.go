// Package torture is tests alone: the real binary as processes, real git servers, and bad luck of every kind that can
// be made. Processes are killed with -9 at random moments, servers hang, cut and lie, disks are full, state files are
// garbage, trees are hostile. Each test names the invariant that it holds the agent to.
//
// The kills come from a seeded generator. A failing test prints its seed; ADD_TORTURE_SEED=N repeats it (the machine's
// own timing is not repeated), ADD_TORTURE_ROUNDS=N makes rounds of the random tests more (or fewer), -short makes them
// few. Kills between two writes are at some points of each series; FAULTS=all is for all of them. docs/faults.md lists
// it all.
package torture
