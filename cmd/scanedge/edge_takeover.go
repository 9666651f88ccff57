package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"
)

// toldWithin is how long a process that takes over waits for the origin to know that there are two of it.
const toldWithin = 2 * time.Second

// predecessor is the process that this one takes over from. A nil one is none.
type predecessor struct {
	c     *handoverConn
	lock  *os.File // of the data folder
	hello handoverWord
	given chan given    // receives once, unless it dies before
	gone  chan struct{} // closed when it has ended
}

// given is what a predecessor gives when it is asked for its doors.
type given struct {
	at    doors
	shows map[string]uint64 // offsets, by issuer
}

// meetPredecessor asks the process that runs in the folder to hand over; nil if there is none.
func meetPredecessor(ctx context.Context, f edgeFlags, logger *slog.Logger) (*predecessor, error) {
	c, err := callPredecessor(f.dir)
	if c == nil || err != nil {
		return nil, err
	}
	logger.Info("taking over: waiting for the process that serves to keep its tables")
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	var files []*os.File
	b := &predecessor{c: c, given: make(chan given, 1), gone: make(chan struct{})}
	if err = c.say(handoverWord{Version: handoverVersion, PID: os.Getpid(), Incarnation: f.incarnation}); err == nil {
		b.hello, files, err = c.hear()
	}
	if err == nil && (len(files) != 1 || b.hello.Version != handoverVersion || b.hello.At == nil) {
		err = fmt.Errorf("it speaks version %d, this process %d: stop it, and start this one", b.hello.Version, handoverVersion)
	}
	if err != nil {
		closeAll(files)
		_ = c.Close()
		return nil, fmt.Errorf("take over from the process in %q: %w", f.dir, err)
	}
	b.lock = files[0]
	go b.listen()
	return b, nil
}

// edgeDir is the data folder, and the process that this one takes over from, nil if there is none or --take-over is not given.
func edgeDir(ctx context.Context, f edgeFlags, logger *slog.Logger) (*dataDir, *predecessor, error) {
	if f.takeOver {
		before, err := meetPredecessor(ctx, f, logger)
		if err != nil {
			return nil, nil, err
		}
		if before != nil {
			dir := &dataDir{path: f.dir, lock: before.lock, lent: true}
			return dir, before, dir.mark("edge")
		}
		logger.Info("no process to take over from; starting as usual")
	}
	dir, err := openDataDir(ctx, f.dir, "edge")
	return dir, nil, err
}

// listen hears what the predecessor says, until it has ended.
func (b *predecessor) listen() {
	defer close(b.gone)
	for {
		word, files, err := b.c.hear()
		if err != nil {
			return
		}
		at := doors{}
		for i, f := range files {
			if d, err := doorOf(f); err == nil && i < len(word.Doors) {
				at[word.Doors[i]] = d
			}
		}
		b.given <- given{at, word.Shows}
	}
}

// take asks for doors, and returns what it gave; nothing if it died.
func (b *predecessor) take(names []string) (g given) {
	_ = b.c.say(handoverWord{Take: names}) // if that fails it is gone
	select {
	case g = <-b.given:
	case <-b.gone:
		select {
		case g = <-b.given:
		default:
		}
	}
	return g
}

// since is later than when the predecessor came to be in charge, by whatever clock.
func (b *predecessor) since() time.Time {
	return time.UnixMicro(max(time.Now().UnixMicro(), b.hello.Since+1))
}

// tellStop tells it that this process was told to stop: it is not to come back.
func (b *predecessor) tellStop() {
	if b != nil {
		_ = b.c.say(handoverWord{Stop: true}) // it may have ended
	}
}

func (b *predecessor) close() { _ = b.c.Close() }

// has reports whether it listens where this process is to: as it was told to, or as that came out.
func (b *predecessor) has(name, addr string) bool {
	if b == nil {
		return false
	}
	_, at, _ := strings.Cut(b.hello.At.urls()[name], "://")
	return addr != "" && (b.hello.Asked[name] == addr || at == addr)
}

// takeOver makes this process the edge that the one before is, once it is as good. serving is false if it was told to stop meanwhile, or
// failed. If the one before dies at any moment, this process goes on with what it has.
func (p *edgeProcess) takeOver(ctx context.Context) (serving bool, err error) {
	before := p.before
	p.awaitReady(ctx)
	if ctx.Err() != nil {
		return false, nil
	}
	p.keeper.InCharge(before.since())
	select {
	case <-p.keeper.Beside(before.hello.Incarnation, true):
	case <-before.gone:
	case <-time.After(toldWithin): // there is no origin, so nobody who asks it what this edge shows
	}
	var missing []string
	for name, addr := range p.f.asked() {
		if p.at[name] == nil && before.has(name, addr) {
			missing = append(missing, name)
		}
	}
	g := before.take(missing)
	maps.Copy(p.at, g.at)
	p.awaitOffsets(g.shows)
	if err := p.listenWhatIsMissing(ctx); err != nil {
		return false, err
	}
	if err := p.open(); err != nil {
		return false, err
	}
	if err := before.c.say(handoverWord{Serving: true}); err == nil {
		p.logger.Info("taken over", "from", before.hello.At.PID)
	}
	go func() {
		<-before.gone
		p.keeper.Beside(before.hello.Incarnation, false)
	}()
	return true, nil
}

// awaitReady returns when this process could answer scans as well as the one before, or when that is gone.
func (p *edgeProcess) awaitReady(ctx context.Context) {
	look, tell := time.NewTicker(10*time.Millisecond), time.NewTicker(10*time.Second)
	defer look.Stop()
	defer tell.Stop()
	for {
		why := p.server.Unready()
		if why == "" {
			why = p.keeper.Refused()
		}
		if why == "" {
			return
		}
		select {
		case <-look.C:
		case <-tell.C:
			p.logger.Info("taking over: the process before serves until this one is ready", "waiting", why)
		case <-p.before.gone:
			p.logger.Warn("the process that was to hand over has ended; starting without it")
			return
		case <-ctx.Done():
			return
		}
	}
}

// awaitOffsets waits until scans would see here what they saw before, so that none goes back in time. Both follow one log, so that is soon.
func (p *edgeProcess) awaitOffsets(want map[string]uint64) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		reached := true
		for issuer, at := range p.shows() {
			reached = reached && at >= want[issuer]
		}
		if reached {
			return
		}
	}
}

// listenWhatIsMissing makes the doors that were not given. Those of a process that is just ending may be taken for a moment.
func (p *edgeProcess) listenWhatIsMissing(ctx context.Context) (err error) {
	for deadline := time.Now().Add(lockWithin); ; {
		if err = p.at.listen(p.f, nil); err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
