package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
)

const (
	tellEvery  = time.Second          // how often the origin is told how this edge is, if nothing is new
	tellApart  = 2 * time.Millisecond // by how much what is new is held back, so that a fast log does not cost a line a record
	tellWithin = 5 * time.Second      // in which the origin takes a line, or the stream is begun anew
	tellKeys   = 1000                 // uses of scanner keys in a line
)

// Peers returns the handler for other edges that fetch a snapshot from this one. Who is one, and what it may read, is for the handler
// around it to say.
func (k *Keeper) Peers() http.Handler { return k.peers }

// tell keeps the origin told how this edge is, until ctx ends.
func (k *Keeper) tell(ctx context.Context) {
	select {
	case <-k.voice.speak:
	case <-ctx.Done():
		return
	}
	t := &telling{k: k}
	for pause, said := new(backoff), false; ctx.Err() == nil; {
		err := k.origin.report(ctx, t, func() { pause.reset(); said = false; k.voice.heard() })
		if ctx.Err() != nil {
			return
		}
		if k.origin.standing.wait(ctx) {
			continue
		}
		if !said { // the stream of control says the same, again and again
			k.cfg.Logger.Warn("the origin is not told how this edge is; trying again", "err", err)
			said = true
		}
		pause.wait(ctx, pauseAgain)
	}
}

// moved is called when there is something that the origin is to be told at once. It never waits.
func moved(news chan<- struct{}) {
	select {
	case news <- struct{}{}:
	default: // there is a word under way already
	}
}

// report sends reports until the origin takes no more, or ctx ends; it always returns an error. A report is sent when the one before
// was taken, and says what is so then. heard is called whenever one was.
func (o *origin) report(ctx context.Context, t *telling, heard func()) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	quiet := time.AfterFunc(tellWithin, func() { end(errors.New("it takes no report")) })
	defer quiet.Stop()
	in, out := io.Pipe()
	taken, told := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(told)
		_ = out.CloseWithError(t.run(ctx, out, taken, func() { quiet.Reset(tellWithin) }))
	}()
	err := o.exchange(ctx, in, func() { quiet.Stop(); heard(); moved(taken) })
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		o.client.CloseIdleConnections() // they may lead nowhere either
	}
	end(nil)
	_ = in.CloseWithError(err)
	<-told
	return fmt.Errorf("tell the origin %s how this edge is: %w", o.url, err)
}

// exchange sends what is read from in, and calls taken for each line that the origin answers with.
func (o *origin) exchange(ctx context.Context, in io.Reader, taken func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+"/v1/edges/self/reports", in)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", scanedge.NDJSON)
	res, err := o.begun(o.client.Do(req))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answers := bufio.NewReader(res.Body)
	for {
		switch b, err := answers.ReadByte(); {
		case err == io.EOF:
			return errEnded
		case err != nil:
			return err
		case b == '\n':
			taken()
		}
	}
}

// telling is what an edge tells, from one stream to the next.
type telling struct {
	k *Keeper

	scans uint64 // as they were counted last
	at    time.Time
	rate  float64
	used  map[string]int64 // what was told on this stream
}

// run writes reports until that fails or ctx ends: one at once, one whenever there is something new, and each second, but none before
// the one before was taken. sending is called before each.
func (t *telling) run(ctx context.Context, out io.Writer, taken <-chan struct{}, sending func()) error {
	t.used = map[string]int64{}
	due := time.NewTicker(tellEvery)
	defer due.Stop()
	for full := true; ; {
		line, err := json.Marshal(t.report(full))
		if err != nil {
			return err
		}
		sending()
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
		select {
		case <-taken:
		case <-ctx.Done():
		}
		sleep(ctx, tellApart)
		select {
		case <-t.k.news:
			full = false
		case <-due.C:
			full = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// report says how the edge is now; a full one also how busy it is.
func (t *telling) report(full bool) access.Report {
	cfg := &t.k.cfg
	r := access.Report{Version: cfg.Version, Holds: cfg.Issuers, Issuers: t.k.status(time.Now())}
	t.k.voice.in(&r)
	if offered := t.k.peers.Offered(); cfg.PeerURL != "" && len(offered) > 0 {
		r.Offers = &access.Offers{URL: cfg.PeerURL, Snapshots: offered}
	}
	if cfg.Scans != nil {
		r.Scans = cfg.Scans()
	}
	if full {
		t.count(r.Scans, time.Now())
		if cfg.Used != nil {
			r.Used = cfg.Used(t.used, tellKeys)
		}
	}
	r.ScansPerSecond = t.rate
	return r
}

// count takes the rate of scans since it was taken last, unless that was just now.
func (t *telling) count(scans uint64, now time.Time) {
	took := now.Sub(t.at)
	if !t.at.IsZero() && took < tellEvery/2 {
		return
	}
	if !t.at.IsZero() {
		t.rate = float64(scans-t.scans) / took.Seconds()
	}
	t.scans, t.at = scans, now
}

// status is what people are told of each replica, by issuer.
func (k *Keeper) status(now time.Time) []scanedge.EdgeIssuerStatus {
	all := []scanedge.EdgeIssuerStatus{}
	for _, r := range k.Report() {
		s := scanedge.EdgeIssuerStatus{
			Issuer: r.Issuer, Ready: !r.Beat.IsZero(), Offset: r.Offset, Agrees: !r.Beat.IsZero() && !r.Suspect,
			ScrubAgeMS: r.ScrubAge.Milliseconds(), ScrubEveryMS: k.cfg.ScrubEvery.Milliseconds(), Rebuilds: r.Rebuilds,
		}
		if s.Ready {
			s.AgeMS = max(0, now.Sub(r.Beat).Milliseconds())
		}
		if s.Vouching = s.Agrees && s.AgeMS <= scanedge.Lease.Milliseconds(); !s.Vouching {
			s.Why = r.whyNot()
		}
		all = append(all, s)
	}
	return all
}

// whyNot says why nobody vouches for the table.
func (r *Report) whyNot() string {
	switch {
	case r.Why != "":
		return r.Why
	case r.Beat.IsZero():
		return "not caught up with the log yet"
	}
	return "no beat of the origin's for longer than the lease"
}
