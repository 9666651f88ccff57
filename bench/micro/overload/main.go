// Command overload measures what an edge does when more scans come than it can answer. The edge is a real one over real sockets, in a process
// of its own on one processor, but that each scan costs it a stated work of that processor: no client on the same machine could ask for five times
// what an edge can answer otherwise. A refusal does not cost it.
//
// The load is open: each scan is due at a time that the answers do not change, and its latency counts from there; it says how many of those
// it could send. All loads are played in turn, a second each, round after round; a line a load says the medians of the rounds. The peak is the
// best goodput (what is served) at any open load. Linux only.
//
//	go run ./bench/micro/overload --cost 200us --seconds 10
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	cost := flag.Duration("cost", 200*time.Microsecond, "what a scan costs the edge's processor, beside HTTP")
	seconds := flag.Int("seconds", 10, "how long each load lasts in all, in rounds of a second")
	conns := flag.Int("connections", 10_000, "connections of the open loads")
	loads := flag.String("loads", "0.5,0.8,1,1.2,2,5", "loads, as shares of the capacity, which is measured first")
	rude := flag.String("rude", "100,1000", "also: closed loads of so many connections that ask again at once")
	beTheEdge()
	flag.Parse()
	p := plan{cost: *cost, connections: *conns, warm: time.Second / 2, lasts: time.Second, rounds: *seconds}
	var err error
	if p.loads, err = numbers(*loads); err == nil {
		p.rude, err = numbers(*rude)
	}
	if err == nil {
		_, err = p.measure(os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func numbers(list string) (all []float64, err error) {
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// plan is what is measured.
type plan struct {
	cost        time.Duration
	connections int
	loads       []float64     // open ones, as shares of the capacity
	rude        []float64     // closed ones, of so many connections
	warm, lasts time.Duration // of a load in a round: the time before it counts, and that for which it does
	rounds      int
}

// measure plays all loads against one edge. It prints what came of each, and returns it.
func (p plan) measure(w io.Writer) ([]*result, error) {
	pin(0)
	e, err := startEdge(p.cost)
	if err != nil {
		return nil, err
	}
	defer e.end()
	pin(1)
	l, err := connect(e.addr, p.connections)
	if err != nil {
		return nil, err
	}
	defer l.close()
	at, err := p.play(e, func(d time.Duration) (*outcomes, error) { return l.closed(16, d) })
	if err != nil {
		return nil, err
	}
	capacity := float64(at.served) / at.d.Seconds()
	fmt.Fprintf(w, "a scan costs %v; 16 connections that ask again at once are served %.0f scans/s, which is the capacity; medians of %d rounds of %v\n",
		p.cost, capacity, p.rounds, p.lasts)
	var all []*result
	for _, share := range p.loads {
		all = append(all, &result{name: fmt.Sprintf("%v x capacity", share), share: share})
	}
	for _, n := range p.rude {
		all = append(all, &result{name: fmt.Sprintf("%.0f that ask at once", n)})
	}
	for range p.rounds {
		for i, r := range all {
			o, err := p.play(e, func(d time.Duration) (*outcomes, error) {
				if r.share > 0 {
					return l.open(r.share*capacity, d)
				}
				return l.closed(int(p.rude[i-len(p.loads)]), d)
			})
			if err != nil {
				return nil, err
			}
			r.rounds = append(r.rounds, o)
		}
	}
	if err := l.rest(); err != nil {
		return nil, err
	}
	write(w, all)
	return all, nil
}

// play plays a load until it counts, and then for as long as it does.
func (p plan) play(e *edgeProcess, load func(time.Duration) (*outcomes, error)) (*outcomes, error) {
	if _, err := load(p.warm); err != nil {
		return nil, err
	}
	before := e.used()
	o, err := load(p.lasts)
	if err == nil {
		o.busy, o.d = e.used()-before, p.lasts
	}
	return o, err
}
