package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// Offer is what an origin tells of an issuer's newest snapshot.
type Offer struct {
	Manifest []byte   `json:"manifest"`
	Sources  []string `json:"sources"` // base URLs to fetch it from, best first: peer edges, then the origin

	// The snapshot before it, for who is fetching that one still.
	Before *Before `json:"before,omitempty"`
}

// Before is a snapshot that a newer one has replaced, and the peer edges that have it.
type Before struct {
	ID      string   `json:"id"`
	Sources []string `json:"sources"`
}

// How a fetch behaves. Tests are quicker, and have smaller chunks.
var (
	chunk       = 256 << 10              // bytes that are read, and sent, at a time
	chunkWithin = 10 * time.Second       // a source gives a chunk in that time, or is given up
	turn        = 10 * time.Second       // in which a source gives the least that is worth staying for while there are others,
	turnLeast   = int64(10 << 20)        // or the next one has its turn: where the way to all is slower they take turns, a request each
	leaveAlone  = 30 * time.Second       // a source that gave wrong bytes
	waitFirst   = 100 * time.Millisecond // between two rounds; doubles up to
	waitMost    = time.Second
)

// patience is after how many rounds in which peers were busy the origin, too, is asked: a busy peer is a living one, and there
// will be more of them.
const patience = 16

// ErrOlder is the error of an offer that goes back behind the floor: an old manifest was sent again, or the origin was restored
// from an older copy.
var ErrOlder = errors.New("the snapshot on offer is older than what is held already")

// Fetch downloads a snapshot that an issuer signed into the store, and returns it as soon as it is whole and on disk. One that
// is in the store already is not downloaded again.
//
// offer is asked first, and again whenever none of the sources that it named will serve. An offer that was begun before the
// offset floor is an ErrOlder; a floor of 0 takes any. client must have no Timeout: what is too slow is
// noticed here.
//
// No source is trusted. Each part is checked as soon as it is whole, a wrong one is cut off again, and who gave it is left alone
// for a while. What came stays across any cut, the process's end included, and is fetched once. Fetch ends
// with an error when the first offer can't be had, when the disk fails or is full, and when ctx ends; it does not give up
// otherwise. A second Fetch at the same time is an error.
func (s *Store) Fetch(ctx context.Context, offer func(context.Context) (Offer, error), floor uint64, client *http.Client,
	logger *slog.Logger) (File, error) {
	if !s.fetching.TryLock() {
		return File{}, fmt.Errorf("fetch a snapshot of %s: another fetch is under way", s.pub.ID)
	}
	defer s.fetching.Unlock()
	f := &fetch{store: s, offer: offer, floor: floor, client: direct(client), logger: logger, avoid: map[string]time.Time{}}
	defer f.close()
	file, err := f.run(ctx)
	if err != nil {
		return File{}, fmt.Errorf("fetch a snapshot of %s: %w", s.pub.ID, err)
	}
	return file, nil
}

// direct is client without redirects: a source must not send who trusts none of them on errands to other places.
func direct(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// fetch is one call of Fetch.
type fetch struct {
	store  *Store
	offer  func(context.Context) (Offer, error)
	floor  uint64
	client *http.Client
	logger *slog.Logger

	*download // what is on its way in, nil before the first offer
	sources   []string
	avoid     map[string]time.Time // sources that gave wrong bytes, until when
	rounds    int
	alive     bool // in the last round somebody had it
}

func (f *fetch) run(ctx context.Context) (File, error) {
	began := time.Now()
	for wait := waitFirst; ; wait = min(2*wait, waitMost) {
		held, found, err := f.ask(ctx)
		if err != nil || found {
			return held, err
		}
		received := f.received
		err = f.round(ctx)
		switch {
		case err != nil:
			return File{}, err
		case f.whole():
			f.logger.Info("snapshot fetched", "id", f.file.ID, "bytes", f.size, "received", f.received, "took", time.Since(began))
			return f.finish()
		case f.received > received:
			wait = waitFirst
		}
		select {
		case <-ctx.Done():
			return File{}, ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

// ask takes what is on offer: first a snapshot, then more sources of it, and another snapshot only if nobody has the first any
// more, or a slow download would be begun anew for ever. It returns the snapshot if the store holds it.
func (f *fetch) ask(ctx context.Context) (held File, found bool, err error) {
	o, err := f.offer(ctx)
	var next File
	if err == nil {
		next, err = f.store.verify(o.Manifest)
	}
	if err != nil {
		if f.download == nil || ctx.Err() != nil {
			return File{}, false, err
		}
		f.logger.Warn("no offer of a snapshot; going on with the sources that are known", "err", err)
		return File{}, false, nil
	}
	if next.Began.Offset < f.floor {
		return File{}, false, fmt.Errorf("%w: it was begun at %s, before offset %d", ErrOlder, next.Began, f.floor)
	}
	if held, found := f.store.find(next.ID); found {
		return held, true, nil
	}
	switch {
	case f.download != nil && f.file.ID == next.ID:
		f.sources = o.Sources
	case f.download != nil && o.Before != nil && f.file.ID == o.Before.ID:
		f.sources = append(o.Before.Sources, o.Sources...)
	case f.download != nil && f.alive:
		f.sources = append(slices.DeleteFunc(f.sources, func(s string) bool { return slices.Contains(o.Sources, s) }), o.Sources...)
	default:
		f.close()
		f.sources = o.Sources
		f.download, err = f.store.begin(next)
	}
	return File{}, false, err
}

func (f *fetch) close() {
	if f.download != nil {
		_ = f.out.Close()
	}
}

// round asks the sources, one after another, until the snapshot is whole. Its errors are the disk's and ctx's.
func (f *fetch) round(ctx context.Context) error {
	f.rounds++
	f.alive = false
	busy := false
	for i, source := range f.sources {
		last := i == len(f.sources)-1 // the origin
		if f.whole() || last && busy && f.rounds%patience != 0 {
			break
		}
		if time.Now().Before(f.avoid[source]) {
			continue
		}
		err := f.drain(ctx, source)
		var disk diskError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &disk):
			return err
		case errors.Is(err, errPart):
			f.avoid[source] = time.Now().Add(leaveAlone)
			f.logger.Warn("a source of a snapshot gave wrong bytes; leaving it alone for a while", "source", source, "for", leaveAlone)
		case errors.Is(err, errBusy):
			busy, f.alive = true, true
		case errors.Is(err, errSlow):
			f.logger.Info("a source of a snapshot is slow; the next one has its turn", "source", source, "err", err)
		case err != nil:
			f.logger.Debug("a source of a snapshot does not serve", "source", source, "err", err)
		}
	}
	return nil
}

// drain takes from a source all that it gives: after a cut it is asked again, as long as it gives anything worth it.
func (f *fetch) drain(ctx context.Context, source string) error {
	for {
		received := f.received
		err := f.receive(ctx, source)
		gave := f.received - received
		f.alive = f.alive || gave > 0
		again := errors.Is(err, errMixed) || errors.Is(err, errCut) && !errors.Is(err, errSlow) && gave >= int64(chunk)
		if !again || ctx.Err() != nil {
			return err
		}
	}
}
