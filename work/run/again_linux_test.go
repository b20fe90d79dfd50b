package run

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// again runs the calling test once more in a child with other rights. It is true when that has been done, well or not:
// the caller returns then. In the child it is false.
func again(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	const mark = "WORK_TEST_AGAIN"
	if os.Getenv(mark) != "" {
		return false
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with other rights: %v\n%s", err, out)
	}
	return true
}

// ownNamespace gives a user without rights the right to mount.
func ownNamespace() *syscall.SysProcAttr {
	id := func(host int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: host, Size: 1}}
	}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: id(os.Getuid()), GidMappings: id(os.Getgid())}
}
