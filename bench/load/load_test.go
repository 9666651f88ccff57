package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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

func same(string, *fasthttp.RequestCtx) {}

func path(i uint64) string { return fmt.Sprintf("/%d", i) }

// plan visits the edges in turn, over each kind of connection in turn; an answer is right when it is the visit's own path.
func plan(s Schedule, kinds []Kind, edges ...Edge) Plan {
	return Plan{
		Edges:    edges,
		Schedule: s,
		Kinds:    kinds,
		Route: func(i uint64) Route {
			n := uint64(len(edges))
			return Route{int(i % n), kinds[i/n%uint64(len(kinds))]}
		},
		Visit: func(i uint64, v *Visit) {
			v.Path, v.Weight = fmt.Appendf(v.Path[:0], "/%d", i), 1
		},
		Judge: func(v *Visit, a *Answer) Judgement {
			if got := string(a.Body); got != path(v.Number) || a.At.IsZero() {
				return Judgement{"other", &Example{Code: path(v.Number), Got: got}}
			}
			return Judgement{Outcome: "right"}
		},
	}
}

// plain are the kinds of connections without TLS.
var plain = []Kind{Pipelined, Kept, New}

func run(t *testing.T, ctx context.Context, p Plan) *Result {
	t.Helper()
	r, err := Run(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Accounts.Check(); err != nil {
		t.Error(err)
	}
	return r
}

// Every visit is sent once, to its edge, and judged by its own number, although answers overtake each other.
func TestRunJudgesEveryVisitByItsNumber(t *testing.T) {
	const visits = 3000
	var mu sync.Mutex
	seen := map[string]int{}
	note := func(edge string) fasthttp.RequestHandler {
		return echo(func(path string, ctx *fasthttp.RequestCtx) {
			mu.Lock()
			seen[edge+path]++
			n := len(seen)
			mu.Unlock()
			time.Sleep(time.Duration(n%7) * 100 * time.Microsecond)
		})
	}
	a, b := serve(t, "a", note("a")), serve(t, "b", note("b"))
	r := run(t, t.Context(), plan(Constant{visits, 500 * time.Millisecond}, plain, a, b))
	if r.Wrong > 0 || r.Accounts.Outcomes["right"] != visits || len(r.Accounts.Outcomes) != 1 || r.Visits != visits {
		t.Errorf("accounts %+v, wrong %d %v; %s", r.Accounts, r.Wrong, r.Examples, r.Failure)
	}
	for i := range uint64(visits) {
		if name := "ab"[i%2 : i%2+1]; seen[name+path(i)] != 1 {
			t.Errorf("visit %d reached %s %d times", i, name, seen[name+path(i)])
		}
	}
	for name, timer := range map[string]*Timer{"latency": r.Latency, "service": r.Service, "lateness": r.Lateness} {
		if n := timer.Count(); n != visits {
			t.Errorf("%s of %d visits", name, n)
		}
	}
	if len(r.Kinds) != 3 || r.Kinds[0].Sent != visits/3 || r.Kinds[2].Dialled != visits/3 || r.Kinds[0].Dialled != 2*pipes {
		t.Errorf("%+v", r.Kinds)
	}
}

// Failures, refusals and wrong answers each have their place in the accounts, over whatever connection they come.
func TestRunAccountsForEveryOutcome(t *testing.T) {
	const visits = 400
	for _, kind := range plain {
		edge := serve(t, "a", echo(func(path string, ctx *fasthttp.RequestCtx) {
			switch {
			case strings.HasSuffix(path, "1"):
				ctx.SetStatusCode(http.StatusTooManyRequests)
			case strings.HasSuffix(path, "2"):
				ctx.SetStatusCode(http.StatusServiceUnavailable)
			case strings.HasSuffix(path, "3") && kind != Pipelined: // takes all that are under way with it
				ctx.HijackSetNoResponse(true)
				ctx.Hijack(func(net.Conn) {})
			case strings.HasSuffix(path, "4"):
				ctx.SetBodyString("/another")
			}
		}))
		r := run(t, t.Context(), plan(Constant{visits, 200 * time.Millisecond}, []Kind{kind}, edge))
		want := map[Outcome]uint64{"right": visits * 6 / 10, Refused: visits * 2 / 10, Failed: visits / 10, "other": visits / 10}
		if kind == Pipelined {
			want["right"] += want[Failed]
			delete(want, Failed)
		}
		if fmt.Sprint(r.Accounts.Outcomes) != fmt.Sprint(want) {
			t.Errorf("%v: outcomes %v, want %v", kind, r.Accounts.Outcomes, want)
		}
		if r.Wrong != visits/10 || len(r.Examples) != MaxExamples {
			t.Errorf("%v: %d wrong with %d examples", kind, r.Wrong, len(r.Examples))
		}
		if kind != Pipelined && !strings.HasPrefix(r.Failure, "a: ") {
			t.Errorf("%v: failure %q does not begin with the edge", kind, r.Failure)
		}
	}
}

// A connection that the edge ends with requests on it fails those, and the ones after it go over another.
func TestAPipeThatIsCut(t *testing.T) {
	const visits = 2000
	var n atomic.Int32
	edge := serve(t, "a", echo(func(path string, ctx *fasthttp.RequestCtx) {
		if n.Add(1)%500 == 0 {
			ctx.SetConnectionClose()
		}
	}))
	r := run(t, t.Context(), plan(Constant{visits, 400 * time.Millisecond}, []Kind{Pipelined}, edge))
	failed := r.Accounts.Outcomes[Failed]
	if r.Wrong > 0 || failed > 4*window || r.Accounts.Outcomes["right"]+failed != visits || r.Kinds[0].Dialled < pipes+2 {
		t.Errorf("%+v, wrong %d, %d dialled, last failure %s", r.Accounts, r.Wrong, r.Kinds[0].Dialled, r.Failure)
	}
}

// An edge that is paused for two seconds shows as two seconds: those who were to come in the pause have waited for it.
func TestAPauseShowsAsLongAsItIs(t *testing.T) {
	t.Parallel()
	const visits, pause = 3000, 2 * time.Second
	for _, kind := range []Kind{Pipelined, Kept} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			edge := serve(t, "a", echo(func(string, *fasthttp.RequestCtx) {
				if s := time.Since(begun); s > 500*time.Millisecond && s < 500*time.Millisecond+pause {
					time.Sleep(500*time.Millisecond + pause - s)
				}
			}))
			r := run(t, t.Context(), plan(Constant{visits, 3 * time.Second}, []Kind{kind}, edge))
			// Two thirds of the visits are due in the pause and wait for its end: a second at the mean, two at most.
			if l := r.Latency.Summary(); l.Max < 1900 || l.P99 < 1700 || l.P50 < 250 || r.Accounts.Outcomes["right"] != visits {
				t.Errorf("%+v, %v", l, r.Accounts.Outcomes)
			}
		})
	}
}

func TestRunReportsOnceASecond(t *testing.T) {
	p := plan(Constant{110, 1100 * time.Millisecond}, plain, serve(t, "a", echo(same)))
	var lines []Progress
	p.Progress = func(now time.Duration, at Progress) { lines = append(lines, at) }
	run(t, t.Context(), p)
	if len(lines) < 1 || lines[0].Planned < 100 || lines[0].Sent < lines[0].Answered || lines[0].Answered == 0 || lines[0].P99 <= 0 {
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
	r := run(t, ctx, plan(Constant{1_000_000, 1000 * time.Second}, plain, edge))
	if r.Accounts.Sent < 51 || r.Accounts.Unsent < 900_000 {
		t.Errorf("accounts %+v", r.Accounts)
	}
	if why := Reasons(r); len(why) < 2 || why[0] != "the run was interrupted" {
		t.Errorf("reasons %q", why)
	}
}

func TestRunNamesAnOddEdge(t *testing.T) {
	for _, edge := range []Edge{
		{Name: "edge-9"}, {"edge-9", "nowhere", ""}, {"edge-9", "127.0.0.1:80", ""}, {"edge-9", "https://127.0.0.1:80", ""},
		{"edge-9", "http://127.0.0.1", ""}, {"edge-9", "http://%zz:1", ""}, {"edge-9", "http://127.0.0.1:80", "http://127.0.0.1:80"},
	} {
		if _, err := Run(t.Context(), plan(Constant{1, time.Second}, plain, edge)); err == nil || !strings.Contains(err.Error(), "edge-9") {
			t.Errorf("%+v was accepted, or not named: %v", edge, err)
		}
	}
	if _, err := Run(t.Context(), plan(Constant{1, time.Second}, []Kind{NewTLS}, Edge{"edge-8", "http://127.0.0.1:80", ""})); err == nil ||
		!strings.Contains(err.Error(), "edge-8") {
		t.Errorf("an edge without TLS was accepted for visits over TLS: %v", err)
	}
}

// Nothing that a visit needs is made anew for each: the run's memory does not grow with it.
func TestAHitAllocatesLittle(t *testing.T) {
	e, err := newEngine(plan(Constant{1, time.Second}, plain, Edge{"a", "http://127.0.0.1:1", ""}))
	if err != nil {
		t.Fatal(err)
	}
	e.begin()
	e.Judge = func(*Visit, *Answer) Judgement { return Judgement{Outcome: "right"} }
	f, a := &flight{visit: Visit{Number: 1}}, &Answer{Code: 200, At: time.Now()}
	e.shards[0].every = 2
	e.conclude(e.shards[0], f, a, nil)
	if n := testing.AllocsPerRun(100, func() { e.conclude(e.shards[0], f, a, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	out := e.edges[0].request(nil, &f.visit, false)
	if n := testing.AllocsPerRun(100, func() { out = e.edges[0].request(out[:0], &f.visit, false) }); n > 0 {
		t.Errorf("%v allocations of a request", n)
	}
}
