// Package load plays visits against edges on an open schedule and accounts for every one of them.
//
// A closed loop asks the next question when the last was answered, so a system that stalls is asked less and looks fine.
// Here visit i is due at a time that only the [Schedule] knows, and the latency of its answer counts from there, however late
// it was sent. vegeta drives the schedule; fasthttp carries the requests, since its client takes less of the processor than
// net/http's and can send a path exactly as it stands, also one that is no valid URL.
//
// What holds of every run:
//   - A visit is known by its number from the schedule to the judgement, also when its request fails: [Transport] makes the
//     request that the number stands for, and the result carries the number back.
//   - planned = sent + unsent and sent = the sum of the outcomes, each of them counted at another place: by the pacer, by the
//     transport, by the tally. [Accounts.Check] compares.
//   - Every answer is judged. Memory does not grow with the number of visits.
//   - A result that should not be believed says why ([Reasons]).
//
// The stages can be used alone: [Schedule] is a vegeta.Pacer, [Transport] an http.RoundTripper, [Timer] a histogram, and
// [Run] joins them.
package load

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Workers bound how many requests are under way at once. The first start with the run; more join while all wait for answers.
// 128 carry 20,000 visits/s as long as an answer takes 6 ms; with more of them, a short stall on a machine that also runs the
// fleet grows into hundreds of connections that fight over it (on two cores 512 doubled the p99).
const (
	firstWorkers = 64
	maxWorkers   = 128
)

// Plan is what a run plays.
type Plan struct {
	Edges    []Edge
	Roots    *x509.CertPool // verify edges over TLS
	Key      string         // the scanner key that every request carries
	Schedule Schedule       // at least one visit
	Seed     uint64
	Ops      []string                             // names of operations, by Visit.Op
	Sources  int                                  // loopback addresses that connections come from, spread over 127.1.0.0/16; 0: the system's choice
	Route    func(i uint64) Route                 // where visit i goes, and how; pure
	Visit    func(i uint64, v *Visit)             // fills v for visit i: every field but Number and Route, which are set; from many goroutines
	Judge    func(v *Visit, a *Answer) Judgement  // what the answer to v is worth; from many goroutines
	Each     func(s *Second)                      // may add to a second before it is logged; nil: nothing
	Progress func(now time.Duration, at Progress) // called once a second if not nil; must return soon
	Dir      string                               // folder in which [SecondsFile] grows as the run goes; "" for none
}

// visit is visit i, made anew.
func (p *Plan) visit(i uint64) *Visit {
	v := &Visit{Number: i, Route: p.Route(i)}
	p.Visit(i, v)
	return v
}

// Run plays the plan until every visit has its outcome and returns what came of it. When ctx is cancelled no further visit is
// sent once the next one's time has come; those on their way are waited for, and the result says that it was interrupted. The
// error is that of an edge whose address makes no sense, or of a folder that takes no log.
func Run(ctx context.Context, p Plan) (*Result, error) {
	transport, err := NewTransport(p.Edges, p.Key, p.visit)
	if err != nil {
		return nil, err
	}
	defer transport.Close()
	seconds, err := openSeconds(p.Dir)
	if err != nil {
		return nil, err
	}
	if seconds != nil {
		seconds.each = p.Each
	}
	attacker := vegeta.NewAttacker(vegeta.Client(&http.Client{Transport: transport}),
		vegeta.Workers(firstWorkers), vegeta.MaxWorkers(maxWorkers))
	pace := &pacer{Schedule: p.Schedule, stop: ctx.Done()}
	tally := newTally(p)
	tally.seconds = seconds
	collect(tally, transport, attacker.Attack(number, pace, 0, ""))

	tally.end(transport.Sent())

	r := tally.result
	r.Accounts.Sent = transport.Sent()
	r.Accounts.Unsent = p.Schedule.Visits() - pace.sent
	r.Interrupted = ctx.Err() != nil
	return r, nil
}

// number is vegeta's targeter. The target says nothing: the transport reads the visit's number from the header that vegeta
// sets, and makes the request from it.
func number(t *vegeta.Target) error {
	t.Method, t.URL = http.MethodGet, blankURL
	return nil
}

// blankURL stands in every target, and so before every error.
const (
	blankURL    = "http://edge/"
	errorPrefix = `Get "` + blankURL + `": `
)

// collect tallies until the attack is over. It is the only reader of the results.
func collect(t *tally, transport *Transport, results <-chan *vegeta.Result) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case r, more := <-results:
			if !more {
				return
			}
			t.add(r)
		case <-second.C:
			t.report(transport.Sent())
		}
	}
}
