package replica

import (
	"context"
	"errors"
	"sync"
)

// errYielded is the error of what needs the data folder while it is another process's.
var errYielded = errors.New("the data folder is with the process that takes over")

// folder is whose the data folder is: this process's, or that of the one which takes over.
type folder struct {
	mu     sync.Mutex // guards
	mine   context.Context
	yield  context.CancelCauseFunc // ends mine; nil: never begun
	users  int                     // who write
	unused chan struct{}           // closed when there are none, once yielded
}

// use begins to write in the folder. What ctx is then ends also when the folder is yielded, upon which the writing is to end soon; done is to be
// called then.
func (f *folder) use(ctx context.Context) (using context.Context, done func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.yield == nil {
		f.mine, f.yield = context.WithCancelCause(context.Background())
	}
	if f.mine.Err() != nil {
		return nil, nil, errYielded
	}
	f.users++
	using, end := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(f.mine, func() { end(errYielded) })
	return using, func() { unlink(); end(nil); f.done() }, nil
}

func (f *folder) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users == 0 && f.unused != nil {
		close(f.unused)
		f.unused = nil
	}
}

// leave yields the folder and returns when nobody writes in it any more.
func (f *folder) leave() {
	f.mu.Lock()
	if f.yield == nil {
		f.mine, f.yield = context.WithCancelCause(context.Background())
	}
	f.yield(errYielded)
	var unused chan struct{}
	if f.users > 0 {
		f.unused = make(chan struct{})
		unused = f.unused
	}
	f.mu.Unlock()
	if unused != nil {
		<-unused
	}
}

func (f *folder) take() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mine, f.yield = context.WithCancelCause(context.Background())
}

// Yield keeps the tables once more, for another process to begin with, and then leaves the data folder to that: it returns when nothing
// is written any more. The log is followed on, and what is published stays true; an issuer that is new, or a table that must be made anew, waits for
// [Keeper.Resume], or for the other process. The end of ctx ends the keeping of tables, no more. One caller at a time.
func (k *Keeper) Yield(ctx context.Context) {
	k.mu.Lock()
	replicas := make([]*Replica, 0, len(k.replicas))
	for _, r := range k.replicas {
		replicas = append(replicas, r)
	}
	k.mu.Unlock()
	for _, r := range replicas {
		r.keepOnce(ctx)
	}
	k.folder.leave()
}

// Resume takes the data folder back.
func (k *Keeper) Resume() { k.folder.take() }
