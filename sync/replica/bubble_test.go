package replica

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
)

// pipes is a listener in memory, so that what is served on it may stand in a bubble of synctest, where real sockets would keep time
// from passing.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bubbled serves h in memory, and returns a client of it.
func bubbled(t *testing.T, h http.Handler) (*httptest.Server, *http.Client) {
	t.Helper()
	p := newPipes()
	s := &httptest.Server{Listener: p, Config: &http.Server{Handler: h}}
	s.Start()
	client := &http.Client{Transport: &http.Transport{DialContext: p.dial}}
	t.Cleanup(func() { client.CloseIdleConnections(); s.Close() })
	return s, client
}

// bubbledEdge is an edge and its origin, both in memory.
func bubbledEdge(t *testing.T) (*fleet, *edge) {
	t.Helper()
	f := newFleetNowhere(t)
	var client *http.Client
	f.origin, client = bubbled(t, f)
	return f, f.edge(t, func(c *Config) { c.Client, c.Sources = client, client })
}

// beats has the issuer beat each second by its own clock, which is off by what it says, until the test ends or stop is called.
func (f *fleet) beats(t *testing.T) (off func(time.Duration), stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var by time.Duration
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(ctx, time.Second) {
			mu.Lock()
			f.time = time.Now().Add(by)
			mu.Unlock()
			f.keep(t, f.beat())
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return func(d time.Duration) { mu.Lock(); defer mu.Unlock(); by = d }, stop
}

// age is how old what is published is.
func (e *edge) age(t *testing.T) time.Duration {
	t.Helper()
	synctest.Wait()
	v, any := e.last("demo-a")
	if !any {
		t.Fatal("nothing is published")
	}
	return time.Since(v.Beat)
}

// A log that says nothing for five seconds is given up, before its answer begins or in it, whatever else is well; one that comes slowly
// is not, nor is the time counted that a record takes to be applied.
func TestSilence(t *testing.T) {
	flush := func(rw http.ResponseWriter) { _ = http.NewResponseController(rw).Flush() }
	for name, tc := range map[string]struct {
		answer func(rw http.ResponseWriter, record []byte, gone <-chan struct{})
		takes  time.Duration // each record
		is     error
		after  time.Duration
	}{
		"from the start": {func(_ http.ResponseWriter, _ []byte, gone <-chan struct{}) { <-gone }, 0, ErrSilent, silence},
		"once its answer has begun": {func(rw http.ResponseWriter, _ []byte, gone <-chan struct{}) {
			time.Sleep(silence - time.Second)
			flush(rw)
			<-gone
		}, 0, ErrSilent, silence},
		"after a record": {func(rw http.ResponseWriter, record []byte, gone <-chan struct{}) {
			time.Sleep(time.Second)
			_ = issuer.WriteFrame(rw, record)
			flush(rw)
			<-gone
		}, 0, ErrSilent, time.Second + silence},
		"after one that takes a minute": {func(rw http.ResponseWriter, record []byte, gone <-chan struct{}) {
			_ = issuer.WriteFrame(rw, record)
			flush(rw)
			<-gone
		}, time.Minute, ErrSilent, time.Minute + silence},
		"slowly": {func(rw http.ResponseWriter, _ []byte, _ <-chan struct{}) {
			for i := range 4 {
				time.Sleep(silence - time.Millisecond)
				_, _ = rw.Write([]byte{200, 0, 0, 0}[i : i+1])
				flush(rw)
			}
		}, 0, io.ErrUnexpectedEOF, 4 * (silence - time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				record := newChain(t).reign().Record
				s, client := bubbled(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
					rw.Header().Set("Scanedge-Log-Last", "9")
					tc.answer(rw, record, req.Context().Done())
				}))
				began := time.Now()
				o := &origin{url: s.URL, client: client}
				err := o.follow(t.Context(), "demo-a", 7, func(uint64) {}, func(entry) error { time.Sleep(tc.takes); return nil })
				if took := time.Since(began); !errors.Is(err, tc.is) || took != tc.after {
					t.Errorf("after %v, not %v: %v", took, tc.after, err)
				}
			})
		})
	}
}

// An origin that has nothing new to say says so: one that says nothing is asked anew, five seconds after it was asked or fifteen after
// it last said something.
func TestASilentControlIsAskedAnew(t *testing.T) {
	for _, lines := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			s, client := bubbled(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				for i := range lines {
					time.Sleep(time.Duration(min(i, 1)) * (controlSilence - time.Second))
					_, _ = io.WriteString(rw, `{"version":1}`+"\n")
					_ = http.NewResponseController(rw).Flush()
				}
				<-req.Context().Done()
			}))
			want := askWithin
			if lines > 0 {
				want = time.Duration(lines-1)*(controlSilence-time.Second) + controlSilence
			}
			k := New(Config{Client: client, Sources: client, Origin: s.URL, Learned: func(access.Control) {}})
			for range 2 {
				heard, began := 0, time.Now()
				err := k.learn(t.Context(), func() { heard++ })
				if took := time.Since(began); !strings.Contains(err.Error(), "silent") || heard != lines || took != want {
					t.Errorf("heard %d of %d times, and after %v, not %v: %v", heard, lines, took, want, err)
				}
			}
		})
	}
}

// While an origin is away what an edge shows grows older by the clock and is still shown; after a day it is asked no more often than
// after a minute, and when it is back all is well within three seconds, silence included.
func TestADayWithoutAnOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, e := bubbledEdge(t)
		_, stop := f.beats(t)
		time.Sleep(5 * time.Second)
		if age := e.age(t); age > time.Second {
			t.Fatalf("%v old though the issuer beats", age)
		}
		stop()
		f.cut(func() { f.down = true })
		before := e.age(t)
		asked := 0
		for _, d := range []time.Duration{10 * time.Minute, 24*time.Hour - 10*time.Minute} {
			time.Sleep(d)
			f.shelf.mu.Lock()
			n := len(f.asks) - asked
			asked += n
			f.shelf.mu.Unlock()
			if most := int(d/(pauseAgain.most*3/4)) + 10; n > most || n < most/2 {
				t.Fatalf("in %v the log was asked for %d times", d, n)
			}
		}
		if age := e.age(t); age != before+24*time.Hour {
			t.Errorf("%v old after a day, from %v on", age, before)
		}
		f.change(func() { f.down = false })
		f.beats(t)
		time.Sleep(pauseAgain.most*5/4 + beatDue)
		if age := e.age(t); age > beatDue {
			t.Errorf("%v old after the origin is back", age)
		}
	})
}

// A log that stands still while its connection is well costs the vouch after the lease, and no more than the silence until it is asked
// for over another.
func TestAFollowerThatGoesSilentComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, e := bubbledEdge(t)
		f.beats(t)
		time.Sleep(5 * time.Second)
		hung := make(chan struct{})
		f.cut(func() { f.late = func() { <-hung } }) // who asks now gets no answer
		time.Sleep(silence - time.Second)
		if age := e.age(t); age < silence-2*time.Second {
			t.Errorf("%v old while nothing comes", age)
		}
		f.change(func() { f.late = nil })
		time.Sleep(3*time.Second + beatDue)
		if age := e.age(t); age > beatDue {
			t.Errorf("%v old though the log is there again", age)
		}
		close(hung)
	})
}

// An issuer's clock that jumps an hour, either way and back, costs nothing but another look at the log's end: no table becomes younger
// than its beats, nor older than a lease.
func TestAClockThatJumpsAnHour(t *testing.T) {
	const lease = 3 * time.Second
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f, e := bubbledEdge(t)
			off, _ := f.beats(t)
			time.Sleep(5 * time.Second)
			for _, by := range []time.Duration{jump, 0} {
				off(by)
				for range 100 {
					time.Sleep(100 * time.Millisecond)
					if age := e.age(t); age < 0 || age > lease {
						t.Fatalf("%v old, with a clock that is off by %v", age, by)
					}
				}
				if age := e.age(t); age > beatDue {
					t.Errorf("%v old ten seconds after the clock was set by %v", age, by)
				}
			}
			if e.suspected("demo-a") || e.metric(`scanedge_rebuilds_total{issuer="demo-a",why="diverged"}`) != "" {
				t.Error("a table was doubted")
			}
		})
	}
}

// An edge that the origin does not let in any more says so once, knows it at once, asks but now and then, and comes back by itself.
func TestARevokedEdgeSaysItOnceAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, e := bubbledEdge(t)
		f.beats(t)
		time.Sleep(5 * time.Second)
		if e.Refused() != "" {
			t.Fatalf("let in, and says %q", e.Refused())
		}
		turn := func(out bool) {
			f.mu.Lock()
			f.out = out
			f.mu.Unlock()
			f.origin.CloseClientConnections() // as the origin cuts who is revoked
		}
		before := len(e.said.String())
		turn(true)
		time.Sleep(time.Second)
		if why := e.Refused(); !strings.Contains(why, "edge enrol NAME") || e.report("demo-a").Why != why {
			t.Errorf("revoked, and says %q; of its issuer %q", why, e.report("demo-a").Why)
		}
		time.Sleep(time.Hour)
		said := e.said.String()[before:]
		if n := strings.Count(said, "edge enrol NAME"); n != 1 || strings.Count(said, "\n") > 6 {
			t.Errorf("it said so %d times, in\n%s", n, said)
		}
		f.mu.Lock()
		turned := f.turned
		f.mu.Unlock()
		if turned < 45 || turned > 95 {
			t.Errorf("it asked %d times in an hour", turned)
		}
		turn(false)
		time.Sleep(pauseOut.most*5/4 + beatDue + time.Second)
		if age := e.age(t); e.Refused() != "" || age > beatDue {
			t.Errorf("let in again, and says %q; its table is %v old", e.Refused(), age)
		}
		if !strings.Contains(e.said.String(), "lets this edge in again") {
			t.Error("it does not say so")
		}
	})
}
