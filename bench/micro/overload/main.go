// Command overload measures what an edge does when more scans come than it can answer. The edge is a real one over real sockets, in a process
// of its own on one processor, but that each scan costs it a stated time of that processor: no client on the same machine could ask for five times
// what an edge can answer otherwise. The load is open: each scan is due at a time that the answers do not change, and its latency counts from
// there. Prints a line a load. Goodput is what is served, as a share of the capacity; the same of each second that the edge had the processor is
// what to look at on a machine where others run too.
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
	seconds := flag.Int("seconds", 10, "how long each load lasts, after two that are not counted")
	conns := flag.Int("connections", 2000, "connections of the open load")
	loads := flag.String("loads", "0.5,1,2,5", "loads, as shares of the capacity, which is measured first")
	rude := flag.String("rude", "100,1000", "also: closed loads of so many connections that ask again at once")
	beTheEdge()
	flag.Parse()
	p := plan{cost: *cost, connections: *conns, warm: 2 * time.Second, lasts: time.Duration(*seconds) * time.Second}
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
	connections int       // of the open loads
	loads       []float64 // open ones, as shares of the capacity
	rude        []float64 // closed ones, of so many connections
	warm, lasts time.Duration
}

// measure plays all loads one after the other against one edge. It prints what came of each, and returns it.
func (p plan) measure(w io.Writer) (all []*outcomes, err error) {
	pin(0)
	e, err := startEdge(p.cost)
	if err != nil {
		return nil, err
	}
	defer e.end()
	pin(1)
	peak := e.under(func() *outcomes { return closed(e.addr, 16, p.warm, p.lasts) })
	fmt.Fprintf(w, "a scan costs %v; 16 connections that ask again at once are served %.0f scans/s, which is the capacity, by %.0f%% of a processor\n",
		p.cost, float64(peak.served)/p.lasts.Seconds(), 100*peak.busy.Seconds()/(p.warm+p.lasts).Seconds())
	fmt.Fprintf(w, "%-20s %8s %8s %9s %8s %8s %8s %7s %8s %8s\n", "load", "due/s", "served/s", "refused/s", "missed/s", "goodput", "a cpu-s", "cpu", "p50", "p99")
	capacity := float64(peak.served) / p.lasts.Seconds()
	for _, share := range p.loads {
		o := e.under(func() *outcomes { return open(e.addr, p.connections, share*capacity, p.warm, p.lasts) })
		o.print(w, fmt.Sprintf("%v x capacity", share), peak, p)
		all = append(all, o)
	}
	for _, n := range p.rude {
		o := e.under(func() *outcomes { return closed(e.addr, int(n), p.warm, p.lasts) })
		o.print(w, fmt.Sprintf("%.0f that ask at once", n), peak, p)
		all = append(all, o)
	}
	return all, nil
}
