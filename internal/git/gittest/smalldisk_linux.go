package gittest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// OnSmallDisk runs the test once more in a mount namespace of its own, which goes with its process, and there on a
// tmpfs with these options. An ordinary user needs a user namespace for that. Where nothing can be mounted the test
// fails.
func OnSmallDisk(t *testing.T, options string, run func(t *testing.T, dir string)) {
	const where = "ADD_TEST_DISK"
	if dir := os.Getenv(where); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			t.Fatalf("mount: %v: this test needs root with CAP_SYS_ADMIN, or user namespaces (user.max_user_namespaces)", err)
		}
		run(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), where+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}
