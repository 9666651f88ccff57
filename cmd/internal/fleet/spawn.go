//go:build unix

package fleet

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes from one operating system thread, which lives as long as the fleet: Linux sends a child its
// parent-death signal when the thread that made it ends, and Go ends idle threads as it likes.
type spawner struct {
	jobs chan func()
	done sync.WaitGroup
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	s.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range s.jobs {
			job()
		}
	})
	return s
}

// start starts cmd in a process group of its own, so that Ctrl-C on a terminal reaches the fleet alone, which then stops
// the children in order.
func (s *spawner) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = childAttr()
	result := make(chan error)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread. All children must have ended.
func (s *spawner) close() {
	close(s.jobs)
	s.done.Wait()
}
