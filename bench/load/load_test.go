package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// echo answers with the path, except where odd says something else.
func echo(odd func(path string, ctx *fasthttp.RequestCtx)) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetBody(ctx.Request.Header.RequestURI())
		odd(string(ctx.Request.Header.RequestURI()), ctx)
	}
}

func path(i uint64) string { return fmt.Sprintf("/%d", i) }

// plan visits the edges in turn; an answer is right when it is the visit's own path.
func plan(s Schedule, edges ...Edge) Plan {
	return Plan{
		Edges:    edges,
		Schedule: s,
		Route:    func(i uint64) Route { return Route{Edge: int(i % uint64(len(edges)))} },
		Visit:    func(i uint64, v *Visit) { v.Path = append(v.Path[:0], path(i)...) },
		Judge: func(v *Visit, a *Answer) Judgement {
			if got := string(a.Body); got != path(v.Number) || a.At.IsZero() {
				return Judgement{"other", &Example{Code: path(v.Number), Got: got}}
			}
			return Judgement{Outcome: "right"}
		},
	}
}

// Every visit is sent once, to its edge, and judged by its own number, although answers overtake each other.
func TestRunJudgesEveryVisitByItsNumber(t *testing.T) {
	const visits = 2000
	var mu sync.Mutex
	seen := map[string]int{}
	note := func(edge string) fasthttp.RequestHandler {
		return echo(func(path string, ctx *fasthttp.RequestCtx) {
			mu.Lock()
			seen[edge+path]++
			n := len(seen)
			mu.Unlock()
			time.Sleep(time.Duration(n%7) * time.Millisecond)
		})
	}
	a, b := serve(t, "a", note("a")), serve(t, "b", note("b"))
	r, err := Run(t.Context(), plan(Constant{visits, 500 * time.Millisecond}, a, b))
	if err != nil {
		t.Fatal(err)
	}
	if r.Wrong > 0 || r.Accounts.Outcomes["right"] != visits || len(r.Accounts.Outcomes) != 1 || r.Accounts.Check() != nil {
		t.Errorf("accounts %+v, wrong %d %v", r.Accounts, r.Wrong, r.Examples)
	}
	for i := range uint64(visits) {
		if name := "ab"[i%2 : i%2+1]; seen[name+path(i)] != 1 {
			t.Errorf("visit %d reached %s %d times", i, name, seen[name+path(i)])
		}
	}
	for name, timer := range map[string]*Timer{"latency": r.Latency, "service": r.Service, "lateness": r.Lateness} {
		if n := timer.Summary().Count; n != visits {
			t.Errorf("%s of %d visits", name, n)
		}
	}
}

// Failures, refusals and wrong answers each have their place in the accounts.
func TestRunAccountsForEveryOutcome(t *testing.T) {
	const visits = 400
	edge := serve(t, "a", echo(func(path string, ctx *fasthttp.RequestCtx) {
		switch {
		case strings.HasSuffix(path, "1"):
			ctx.SetStatusCode(http.StatusTooManyRequests)
		case strings.HasSuffix(path, "2"):
			ctx.SetStatusCode(http.StatusServiceUnavailable)
		case strings.HasSuffix(path, "3"):
			ctx.HijackSetNoResponse(true)
			ctx.Hijack(func(net.Conn) {})
		case strings.HasSuffix(path, "4"):
			ctx.SetBodyString("/another")
		}
	}))
	r, err := Run(t.Context(), plan(Constant{visits, 200 * time.Millisecond}, edge))
	if err != nil {
		t.Fatal(err)
	}
	want := map[Outcome]uint64{"right": visits * 6 / 10, Refused: visits * 2 / 10, Failed: visits / 10, "other": visits / 10}
	if fmt.Sprint(r.Accounts.Outcomes) != fmt.Sprint(want) || r.Accounts.Check() != nil {
		t.Errorf("outcomes %v, want %v (%v)", r.Accounts.Outcomes, want, r.Accounts.Check())
	}
	if r.Wrong != visits/10 || len(r.Examples) != MaxExamples {
		t.Errorf("%d wrong with %d examples", r.Wrong, len(r.Examples))
	}
	if !strings.HasPrefix(r.Failure, "a: ") {
		t.Errorf("failure %q does not begin with the edge", r.Failure)
	}
}

// Latency counts from the schedule: an edge that stalls once, with every worker waiting, makes all behind it late.
func TestLatencyCountsFromTheSchedule(t *testing.T) {
	const visits, stall = 1200, 400 * time.Millisecond
	begun := sync.OnceValue(time.Now)
	edge := serve(t, "a", echo(func(string, *fasthttp.RequestCtx) {
		time.Sleep(time.Until(begun().Add(stall))) // all wait for the same moment
	}))
	r, err := Run(t.Context(), plan(Constant{visits, 100 * time.Millisecond}, edge))
	if err != nil {
		t.Fatal(err)
	}
	// Visits behind the first maxWorkers were sent when the stall was over, and answered soon: without the wait before, half would look fast.
	if late, latency := r.Lateness.Summary(), r.Latency.Summary(); late.Max < 250 || latency.P50 < 250 {
		t.Errorf("lateness %+v, latency %+v", late, latency)
	}
	if why := Reasons(r); len(why) != 1 || !strings.Contains(why[0], "sent late") {
		t.Errorf("reasons %q", why)
	}
}

func TestRunReportsOnceASecond(t *testing.T) {
	p := plan(Constant{110, 1100 * time.Millisecond}, serve(t, "a", echo(func(string, *fasthttp.RequestCtx) {})))
	var lines []Progress
	p.Progress = func(now time.Duration, at Progress) { lines = append(lines, at) }
	if _, err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(lines) < 1 || lines[0].Planned < 100 || lines[0].Sent < lines[0].Answered || lines[0].Answered == 0 {
		t.Errorf("%+v", lines)
	}
}

func TestRunEndsEarlyWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	edge := serve(t, "a", echo(func(path string, _ *fasthttp.RequestCtx) {
		if path == "/50" {
			cancel()
		}
	}))
	r, err := Run(ctx, plan(Constant{1_000_000, 1000 * time.Second}, edge))
	if err != nil {
		t.Fatal(err)
	}
	if r.Accounts.Check() != nil || r.Accounts.Sent < 51 || r.Accounts.Unsent < 900_000 {
		t.Errorf("accounts %+v: %v", r.Accounts, r.Accounts.Check())
	}
	if why := Reasons(r); len(why) < 2 || why[0] != "the run was interrupted" {
		t.Errorf("reasons %q", why)
	}
}

func TestRunNamesAnOddEdge(t *testing.T) {
	if _, err := Run(t.Context(), plan(Constant{1, time.Second}, Edge{Name: "edge-9", URL: "nowhere"})); err == nil {
		t.Error("an edge without an address was accepted")
	}
}
