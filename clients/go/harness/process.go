package harness

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a server's process. It never outlives the program that started it.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

func launch(bin string, args []string, log *os.File) (*process, error) {
	command := exec.Command(bin, args...)
	command.Stdout = log
	command.Stderr = log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	launched := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the *thread* that forked ends, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
			close(launched.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return launched, nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill is `kill -9`: nothing is flushed, no connection is closed in good order.
func (p *process) kill() {
	_ = p.command.Process.Signal(syscall.SIGKILL)
	<-p.ended
}
