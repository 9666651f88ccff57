package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const request = "GET /v1/scan/demo:g HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer k\r\n\r\n"

// outcomes are what came of the scans that were due after the first ones.
type outcomes struct {
	mu                             sync.Mutex
	served, refused, missed, other int
	took                           *hdrhistogram.Histogram // of the served ones, in microseconds
	busy                           time.Duration           // that the edge had a processor, the first ones included
}

func newOutcomes() *outcomes {
	return &outcomes{took: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)}
}

// count counts the outcome of a scan: an HTTP status, 0 for none.
func (o *outcomes) count(status int, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch status {
	case 200:
		o.served++
		_ = o.took.RecordValue(max(1, took.Microseconds()))
	case 503:
		o.refused++
	default:
		o.other++
	}
}

func (o *outcomes) print(w io.Writer, name string, peak *outcomes, p plan) {
	s := p.lasts.Seconds()
	perCPU := func(o *outcomes) float64 { return float64(o.served) / max(o.busy.Seconds(), 1e-9) }
	fmt.Fprintf(w, "%-20s %8.0f %8.0f %9.0f %8.0f %7.1f%% %7.1f%% %6.1f%% %8v %8v", name, float64(o.served+o.refused+o.missed+o.other)/s,
		float64(o.served)/s, float64(o.refused)/s, float64(o.missed)/s, 100*float64(o.served)/float64(peak.served), 100*perCPU(o)/perCPU(peak),
		100*o.busy.Seconds()/(p.warm+p.lasts).Seconds(), at(o.took, 50), at(o.took, 99))
	if o.other > 0 {
		fmt.Fprintf(w, "; %d got no such answer", o.other)
	}
	fmt.Fprintln(w)
}

func at(h *hdrhistogram.Histogram, q float64) time.Duration {
	return (time.Duration(h.ValueAtQuantile(q)) * time.Microsecond).Round(10 * time.Microsecond)
}

// line is a connection, and what it reads into.
type line struct {
	net.Conn
	buf [4096]byte
}

func dial(addr string) (*line, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &line{Conn: c}, nil
}

// scan asks once and returns the answer's status, 0 if none came whole.
func (l *line) scan() (status int) {
	if _, err := io.WriteString(l.Conn, request); err != nil {
		return 0
	}
	for n := 0; n < len(l.buf); {
		m, err := l.Read(l.buf[n:])
		if n += m; err != nil {
			return 0
		}
		if whole(l.buf[:n]) {
			return int(l.buf[9]-'0')*100 + int(l.buf[10]-'0')*10 + int(l.buf[11]-'0')
		}
	}
	return 0
}

// whole reports whether an answer with a Content-Length is all there.
func whole(b []byte) bool {
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return false
	}
	_, length, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	n := 0
	for i := 0; ok && i < len(length) && length[i] >= '0' && length[i] <= '9'; i++ {
		n = 10*n + int(length[i]-'0')
	}
	return len(body) >= n
}

// closed has so many connections ask again as soon as they are answered.
func closed(addr string, conns int, warm, d time.Duration) *outcomes {
	o := newOutcomes()
	began := time.Now()
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			l, err := dial(addr)
			if err != nil {
				return
			}
			defer l.Close()
			for asked := time.Now(); asked.Sub(began) < warm+d; asked = time.Now() {
				status := l.scan()
				if asked.Sub(began) >= warm {
					o.count(status, time.Since(asked))
				}
				if status == 0 {
					return
				}
			}
		})
	}
	all.Wait()
	return o
}

// open has scans come at random at a rate, whatever becomes of them. Each goes over a connection on which nothing is asked; one for which
// there is none is missed.
func open(addr string, conns int, rate float64, warm, d time.Duration) *outcomes {
	o := newOutcomes()
	began := time.Now()
	free := make(chan chan time.Time, conns)
	var all sync.WaitGroup
	for range conns {
		due := make(chan time.Time, 1)
		l, err := dial(addr)
		if err != nil {
			o.other++
			continue
		}
		free <- due
		all.Go(func() {
			defer l.Close()
			for at := range due {
				status := l.scan()
				if at.Sub(began) >= warm {
					o.count(status, time.Since(at))
				}
				if status == 0 {
					_ = l.Close()
					if l, err = dial(addr); err != nil {
						return
					}
				}
				free <- due
			}
		})
	}
	began = time.Now()
	for next := time.Duration(0); next < warm+d; next += time.Duration(rand.ExpFloat64() / rate * float64(time.Second)) {
		if wait := next - time.Since(began); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case due := <-free:
			due <- began.Add(next)
		default:
			if next >= warm {
				o.mu.Lock()
				o.missed++
				o.mu.Unlock()
			}
		}
	}
	for range conns { // as each is free again, it ends
		select {
		case due := <-free:
			close(due)
		case <-time.After(10 * time.Second):
		}
	}
	all.Wait()
	return o
}
