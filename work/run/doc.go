// Package run runs the work that package work found due.
//
// Runner is what an agent uses: Acquire takes the work lock and clears up what a crash left, Start records the attempt
// and starts a shim, which inherits the lock. The shim (Supervise) runs the script in a session of its own, bounds its
// log, enforces its deadline, and records how it ended. It lives on when the agent ends; the next agent finds it
// through the lock (adopt).
//
// The package knows files and processes of one node, and neither git nor the network.
package run
