package self

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/bench/day"
	"github.com/scanedge/scanedge/bench/load"
)

// connections is how many a generator has: as many as the suite's engine has workers.
const connections = 128

// order says what a process is to be: a generator, or, without Load, the server.
type order struct {
	Load  string
	Addr  string
	Slice time.Duration
}

// Child is a process of its own, which does what in says.
func Child(in io.Reader, out io.Writer) error {
	var o order
	orders := json.NewDecoder(in)
	if err := orders.Decode(&o); err != nil {
		return fmt.Errorf("reading what to be: %w", err)
	}
	if o.Load == "" {
		return serve(in, out)
	}
	script := newScript("http://" + o.Addr)
	before, began := processorTime(), time.Now()
	answers, err := o.play(script)
	if err != nil {
		return err
	}
	if answers == 0 {
		return errors.New("not one answer came")
	}
	used, took := processorTime()-before, time.Since(began)
	return json.NewEncoder(out).Encode(Round{float64(answers) / took.Seconds(), used.Seconds() * 1e6 / float64(answers)})
}

// issuer and answer are what the server is asked for, and the one verdict that it gives.
const (
	issuer = "demo-a"
	answer = `{"issuer":"demo-a","status":"green","offset":123456,"age_ms":500}` + "\n"
)

// serve is bare fasthttp, until its input ends.
func serve(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	server := fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("Cache-Control", "no-store")
		ctx.Response.Header.SetContentType("application/json")
		ctx.Response.SetBodyString(answer)
	}}
	go func() { _ = server.Serve(l) }()
	if err := json.NewEncoder(out).Encode(l.Addr().String()); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in)
	return nil
}

// play is a generator, and returns how many answers came.
func (o *order) play(script *script) (answers uint64, err error) {
	switch o.Load {
	case rowHTTP:
		var first load.Visit
		script.visit(0, &first)
		target := vegeta.Target{Method: http.MethodGet, URL: "http://" + o.Addr + string(first.Path)}
		return drain(vegeta.NewAttacker(vegeta.Workers(connections), vegeta.MaxWorkers(connections), vegeta.Connections(connections)),
			target, o.Slice)
	case rowCarry:
		carrier := &carrier{script: script, client: fasthttp.HostClient{Addr: o.Addr, MaxConns: connections, MaxIdemponentCallAttempts: 1}}
		defer carrier.client.CloseIdleConnections()
		attacker := vegeta.NewAttacker(vegeta.Client(&http.Client{Transport: carrier}), vegeta.Workers(connections), vegeta.MaxWorkers(connections))
		return drain(attacker, vegeta.Target{Method: http.MethodGet, URL: "http://edge/"}, o.Slice)
	case rowRecord:
		return script.run(o.Slice, load.Kept, func(*load.Visit, *load.Answer) load.Judgement { return load.Judgement{Outcome: "green"} })
	case rowCheck:
		return script.run(o.Slice, load.Kept, script.day.Judge)
	case rowPipe:
		return script.run(o.Slice, load.Pipelined, script.day.Judge)
	}
	return 0, fmt.Errorf("no generator %q", o.Load)
}

// carrier sends visits for vegeta by fasthttp's client, as a load suite would that has vegeta's attacker in it.
type carrier struct {
	script *script
	client fasthttp.HostClient
}

// RoundTrip sends the visit that vegeta has given a number, and brings back what came, for a judge elsewhere.
func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	i, err := strconv.ParseUint(r.Header.Get("X-Vegeta-Seq"), 10, 64)
	if err != nil {
		return nil, err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	var v load.Visit
	c.script.visit(i, &v)
	req.Header.SetHost(c.client.Addr)
	req.Header.SetRequestURIBytes(v.Path)
	if err := c.client.DoTimeout(req, resp, load.AnswerWithin); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: resp.StatusCode(), Body: io.NopCloser(bytes.NewReader(bytes.Clone(resp.Body()))), Request: r}, nil
}

// drain counts what comes back, until the attack is over; a failure ends the measurement.
func drain(a *vegeta.Attacker, target vegeta.Target, slice time.Duration) (answers uint64, err error) {
	for r := range a.Attack(vegeta.NewStaticTargeter(target), vegeta.ConstantPacer{}, slice, "") {
		if answers++; r.Code != http.StatusOK && err == nil {
			err = fmt.Errorf("an answer was none: %d %s", r.Code, r.Error)
		}
	}
	return answers, err
}

// script is the visits of a launch day of which the server's answer is the right one.
type script struct {
	edges  []load.Edge
	day    *day.Script
	visits []uint64
}

// kept is how many visits are asked for again and again.
const kept = 1 << 14

func newScript(url string) *script {
	edges := []load.Edge{{Name: "fasthttp", URL: url}}
	s := &script{edges: edges, day: day.NewScript(1, edges, day.Population{Issuers: []string{issuer}, Subjects: 1_000_000})}
	right := load.Answer{Code: http.StatusOK, Body: []byte(answer), At: time.Now(),
		ContentType: []byte("application/json"), CacheControl: []byte("no-store")}
	var v load.Visit
	for i := uint64(0); len(s.visits) < kept; i++ {
		if s.day.Visit(i, &v); s.day.Judge(&v, &right).Wrong == nil {
			s.visits = append(s.visits, i)
		}
	}
	return s
}

func (s *script) visit(i uint64, v *load.Visit) {
	s.day.Visit(s.visits[i%kept], v)
	v.Op = 0 // all are one operation
}

// tooFast is a rate that nothing carries: the schedule never waits.
const tooFast = 10_000_000

// run plays with the suite's engine for so long.
func (s *script) run(slice time.Duration, kind load.Kind, judge func(*load.Visit, *load.Answer) load.Judgement) (answers uint64, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := load.Run(ctx, load.Plan{
		Edges: s.edges, Schedule: load.Constant{N: uint64(tooFast * slice.Seconds()), For: slice}, Judge: judge,
		Kinds: []load.Kind{kind}, Visit: s.visit,
		Route: func(i uint64) load.Route {
			if i == 0 { // what is dialled before does not count
				time.AfterFunc(slice, cancel)
			}
			return load.Route{Kind: kind}
		},
	})
	if err != nil {
		return 0, err
	}
	if lost := r.Accounts.Outcomes[load.Failed]; r.Wrong > 0 || lost > 0 {
		return 0, fmt.Errorf("of %d answers %d were wrong and %d visits failed: %s %v", r.Accounts.Answers(), r.Wrong, lost, r.Failure, r.Examples)
	}
	return r.Accounts.Answers(), nil
}

// server is the server's process.
type server struct {
	addr string
	stop func()
}

func startServer(ctx context.Context, cmd *exec.Cmd) (*server, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startPinned(cmd, serverCore); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	s := &server{stop: func() { stop(); _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() }}
	err = json.NewEncoder(in).Encode(order{})
	if err == nil {
		err = json.NewDecoder(out).Decode(&s.addr)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the server ended before it served: %w", err)
	}
	return s, nil
}

// output runs a generator's process on a processor of its own and returns what it printed.
func output(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startPinned(cmd, loadCore); err != nil {
		return nil, fmt.Errorf("starting it: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	b, err := io.ReadAll(out)
	return b, errors.Join(err, cmd.Wait())
}
