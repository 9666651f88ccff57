package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// successor is a process that has taken this edge over.
type successor struct {
	pid  int
	id   string // its incarnation
	c    *handoverConn
	gone <-chan struct{} // closed when it has died; not when it was told to stop
}

// offering is the offer to hand this edge over. A nil one was not possible.
type offering struct {
	l    *net.UnixListener
	stop context.CancelFunc
	done sync.WaitGroup
}

// offer lets another process take this edge over, until end or until one has.
func (p *edgeProcess) offer(ctx context.Context) (*offering, error) {
	l, err := listenForSuccessors(p.f.dir)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	o := &offering{l: l, stop: stop}
	o.done.Go(func() {
		for busy := new(sync.Mutex); ; {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			conn := &handoverConn{UnixConn: c}
			if !busy.TryLock() {
				_ = conn.say(handoverWord{Refused: "another process is taking over already"})
				_ = c.Close()
				continue
			}
			o.done.Go(func() {
				defer busy.Unlock()
				p.handOver(ctx, conn)
			})
		}
	})
	return o, nil
}

func (o *offering) end() {
	if o == nil {
		return
	}
	o.stop()
	_ = o.l.Close()
	o.done.Wait()
}

// handOver hands this edge over to the process at the other end, or goes on as before if that dies or makes no sense.
func (p *edgeProcess) handOver(ctx context.Context, c *handoverConn) {
	unlink := context.AfterFunc(ctx, func() { _ = c.Close() })
	s, err := p.meetSuccessor(c)
	if err == nil {
		err = p.handOverTo(ctx, s)
	}
	stopping := !unlink() // from here on the connection says that this process lives: the end of the offer must not close it
	if err != nil || stopping {
		_ = c.Close()
		if !stopping {
			p.logger.Warn("another process was to take over and did not; going on", "err", err)
		}
		return
	}
	s.gone = goneOf(c)
	select {
	case p.successors <- s:
	case <-ctx.Done():
		_ = c.Close()
	}
}

// meetSuccessor hears who it is.
func (p *edgeProcess) meetSuccessor(c *handoverConn) (*successor, error) {
	hello, err := c.hearNoFiles()
	if err != nil {
		return nil, err
	}
	if hello.Version != handoverVersion || hello.Incarnation == "" {
		err := fmt.Errorf("it speaks version %d, this process %d: stop this one and start the other", hello.Version, handoverVersion)
		_ = c.say(handoverWord{Refused: err.Error()})
		return nil, err
	}
	p.logger.Info("another process takes over", "pid", hello.PID)
	return &successor{pid: hello.PID, id: hello.Incarnation, c: c}, nil
}

// handOverTo returns when the successor serves. After an error this process is in charge as before.
func (p *edgeProcess) handOverTo(ctx context.Context, s *successor) (err error) {
	p.stopRenewing()
	p.keeper.Yield(ctx)
	defer func() {
		if err != nil {
			p.takeBack(s)
		}
	}()
	at := p.listening()
	err = s.c.say(handoverWord{
		Version: handoverVersion, Incarnation: p.f.incarnation, Since: p.keeper.Since().UnixMicro(), Asked: p.f.asked(), At: &at,
	}, p.dir.lock)
	if err != nil {
		return err
	}
	word, err := s.c.hearNoFiles()
	if err != nil {
		return err
	}
	p.keeper.Beside(s.id, true)
	if err := p.give(s.c, word.Take); err != nil {
		return err
	}
	word, err = s.c.hearNoFiles()
	if err == nil && !word.Serving {
		err = errors.New("it does not say that it serves")
	}
	return err
}

// takeBack puts this process in charge again.
func (p *edgeProcess) takeBack(s *successor) {
	p.keeper.Resume()
	p.keeper.InCharge(time.Now())
	p.keeper.Beside(s.id, false)
	p.renew()
}

// give gives the doors of those names, and says what is shown at them.
func (p *edgeProcess) give(c *handoverConn, wanted []string) error {
	names, files, err := p.at.files(wanted)
	defer closeAll(files)
	if err != nil {
		return err
	}
	return c.say(handoverWord{Doors: names, Shows: p.shows()}, files...)
}

// shows is which offset scans see of each issuer.
func (p *edgeProcess) shows() map[string]uint64 {
	shown := map[string]uint64{}
	for _, r := range p.keeper.Report() {
		shown[r.Issuer] = r.Offset
	}
	return shown
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// goneOf is closed when the process at the other end has died, without having said that it was to stop.
func goneOf(c *handoverConn) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		if word, err := c.hearNoFiles(); err != nil || !word.Stop {
			close(gone)
		}
	}()
	return gone
}

// retire finishes what this process has under way, while its successor answers what is new. It reports false if the successor died
// meanwhile: then the doors, which this process has kept, are its own again. The end of ctx makes it quick.
func (p *edgeProcess) retire(ctx context.Context, s *successor) (ended bool) {
	p.logger.Info("another process serves now; finishing what is under way here", "pid", s.pid)
	p.dir.lent = true
	p.server.Drain(true)
	p.shutScans()
	var webs sync.WaitGroup
	webs.Go(p.closeWebs) // at once: who asks whether this edge is ready is to ask the other
	cameBack := p.drained(ctx.Done(), s.gone)
	if !cameBack {
		p.finish()
	}
	webs.Wait()
	return !cameBack
}

// comeBack answers again at the doors that a successor had, which died.
func (p *edgeProcess) comeBack(s *successor) error {
	p.logger.Error("the process that took over has died; this one serves again", "pid", s.pid)
	_ = s.c.Close()
	p.server.Drain(false)
	p.takeBack(s)
	return p.open()
}

// startsSuccessors makes SIGUSR2 start another process of this edge, by the same command as this one, that takes over: the binary may be
// another by then. What is returned ends that.
func (p *edgeProcess) startsSuccessors() (end func()) {
	asked, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, syscall.SIGUSR2)
	go func() {
		for {
			select {
			case <-asked:
				if err := startSuccessor(p.logger); err != nil {
					p.logger.Error("no process was started that could take over", "err", err)
				}
			case <-ended:
				return
			}
		}
	}()
	return func() { signal.Stop(asked); close(ended) }
}

func startSuccessor(logger *slog.Logger) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	if !slices.Contains(cmd.Args, "--take-over") {
		cmd.Args = append(cmd.Args, "--take-over")
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	logger.Info("started a process to take over", "pid", cmd.Process.Pid, "exe", exe)
	go func() {
		if err := cmd.Wait(); err != nil {
			logger.Error("the process that was to take over has ended", "pid", cmd.Process.Pid, "err", err)
		}
	}()
	return nil
}
