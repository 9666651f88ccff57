package replica

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
)

// The origin is told at once what scans see, and each second.
func TestTheOriginIsTold(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t, func(c *Config) {
		c.Version, c.Scans, c.Issuers = "v1", func() uint64 { return 7 }, []string{"demo-a", "other"}
		c.Used = func(map[string]int64, int) map[string]int64 { return map[string]int64{"gate": 1} }
	})
	e.agrees(f)
	for range 3 {
		f.push(t, "x", red)
		want := f.at.Offset
		e.until("told", func() bool {
			last := f.reported()[len(f.reported())-1]
			s := last.Issuers[0]
			return last.Version == "v1" && last.Scans == 7 && slices.Equal(last.Holds, e.cfg.Issuers) && len(last.Issuers) == 2 &&
				s.Issuer == "demo-a" && s.Offset == want && s.Vouching && s.Agrees && s.Ready && s.Why == "" &&
				!last.Issuers[1].Ready && last.Issuers[1].Why != ""
		})
	}
	if !slices.ContainsFunc(f.reported(), func(r access.Report) bool { return r.Used["gate"] == 1 }) {
		t.Error("uses of keys were not told")
	}
	// An origin that answers no report is asked anew; one that is back is told all.
	f.mu.Lock()
	f.deaf = true
	f.mu.Unlock()
	n := len(f.reported())
	e.until("told again", func() bool {
		return len(f.reported()) >= n+2 && strings.Contains(e.said.String(), "it takes no report")
	})
	f.mu.Lock()
	f.deaf = false
	n = len(f.reports)
	f.mu.Unlock()
	e.until("told again", func() bool { return len(f.reported()) >= n+3 })
}

// No report is sent before the one before was taken, and then one for all that was new.
func TestReportsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTestKeeper(t, nil)
		taken, lines := make(chan struct{}, 1), 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		in, out := io.Pipe()
		go func() {
			for b := make([]byte, 64<<10); ; lines++ {
				if _, err := in.Read(b); err != nil {
					return
				}
			}
		}()
		go func() { out.CloseWithError((&telling{k: k}).run(ctx, out, taken, func() {})) }()
		synctest.Wait()
		for range 1000 {
			moved(k.news)
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if lines != 1 {
			t.Errorf("%d lines, though none was taken", lines)
		}
		moved(taken)
		time.Sleep(tellApart)
		synctest.Wait()
		if lines != 2 {
			t.Errorf("%d lines once the first was taken", lines)
		}
		began := lines
		for range 5 {
			moved(taken)
			time.Sleep(tellEvery)
		}
		synctest.Wait()
		if got := lines - began; got < 4 || got > 6 {
			t.Errorf("%d lines in five seconds", got)
		}
		cancel()
		synctest.Wait()
	})
}

// The rate is that of the time between two lines that count.
func TestRateOfScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tell telling
		tell.count(1000, time.Now())
		if tell.rate != 0 {
			t.Error(tell.rate)
		}
		time.Sleep(2 * time.Second)
		tell.count(1500, time.Now())
		time.Sleep(time.Millisecond) // a new stream
		tell.count(1600, time.Now())
		if tell.rate != 250 {
			t.Error(tell.rate)
		}
	})
}

// What is doubted is told so.
func TestDoubtIsTold(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t)
	v := e.agrees(f)
	v.Table.Put(cache.Key{Hi: 9}, red)
	f.keep(t, f.beat())
	e.until("told", func() bool {
		return slices.ContainsFunc(f.reported(), func(r access.Report) bool {
			if len(r.Issuers) == 0 {
				return false // it had just begun
			}
			s := r.Issuers[0]
			return s.Ready && !s.Agrees && !s.Vouching && strings.Contains(s.Why, "differs")
		})
	})
	e.until("told of the rebuild", func() bool { r := f.reported(); return r[len(r)-1].Issuers[0].Rebuilds == 1 })
}
