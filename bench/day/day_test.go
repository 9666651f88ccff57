package day

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/bench/load"
)

func play(t *testing.T, ctx context.Context, c Config) *Result {
	t.Helper()
	r, err := Play(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A fleet that is right gets through, twice with the same seed: the second run finds nothing of the first.
func TestHonestFleetIsValidTwice(t *testing.T) {
	f := newFleet(t, 1001, nil)
	before := maps.Clone(f.records)
	var first map[load.Outcome]uint64
	for range 2 {
		r := play(t, t.Context(), f.config)
		if r.Wrong > 0 || len(timeless(r.Reasons)) > 0 {
			t.Fatalf("wrong %d %v, reasons %q", r.Wrong, r.Examples, r.Reasons)
		}
		if r.Accounts.Sent != visits || r.Accounts.Check() != nil {
			t.Errorf("accounts %+v: %v", r.Accounts, r.Accounts.Check())
		}
		for _, want := range []load.Outcome{"green", "yellow", "red", "void", "lapsed", "unknown-subject", "malformed-code", Upload} {
			if r.Accounts.Outcomes[want] == 0 {
				t.Errorf("no %s among %v", want, r.Accounts.Outcomes)
			}
		}
		if first != nil && !maps.Equal(first, r.Accounts.Outcomes) {
			t.Errorf("the same seed gave %v, then %v", first, r.Accounts.Outcomes)
		}
		first = r.Accounts.Outcomes
		if r.Visible.Count < 1 {
			t.Error("no turn was timed")
		}
	}
	if !reflect.DeepEqual(f.records, before) {
		t.Error("the runs left something behind, or changed the population")
	}
	for code := range f.pushed {
		if _, name, _ := strings.Cut(code, ":"); !strings.HasPrefix(name, "day-1-") {
			t.Errorf("%s was pushed, which is not of this run", code)
		}
	}
}

// Every red answer to a visit comes out green, and every 404 as 503. Each wrong one is found, by a count made from the
// population alone, and being wrong does not hide that the run is invalid, nor the other way round.
func TestSwappedVerdictsAreFound(t *testing.T) {
	f := newFleet(t, 1000, func(_ uint64, ctx *fasthttp.RequestCtx) {
		if bytes.Contains(ctx.RequestURI(), []byte("canary")) {
			return
		}
		ctx.SetBody(bytes.ReplaceAll(ctx.Response.Body(), []byte(`"red"`), []byte(`"green"`)))
		if ctx.Response.StatusCode() == fasthttp.StatusNotFound {
			ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		}
	})
	script := NewScript(f.config.Seed, f.config.Edges, f.config.Population)
	reds := uint64(0)
	for i := range uint64(visits) {
		v, _ := made(script, i)
		for code := range strings.Lines(strings.TrimPrefix(string(v.Path), "/v1/scan/") + "\n" + string(v.Body)) {
			if f.records[strings.TrimSpace(strings.Replace(code, "%3A", ":", 1))].Status == "red" {
				reds++
				break
			}
		}
	}
	r := play(t, t.Context(), f.config)
	if r.Wrong != reds || reds == 0 || r.Accounts.Outcomes[load.Refused] == 0 || len(timeless(r.Reasons)) != 1 {
		t.Fatalf("wrong %d of %d, outcomes %v, reasons %q", r.Wrong, reds, r.Accounts.Outcomes, r.Reasons)
	}
	for _, e := range r.Examples {
		if !strings.Contains(e.Expected, "red of demo-") || !strings.Contains(e.Got, `status "green"`) ||
			!strings.Contains(e.Code, "13") || !strings.HasPrefix(e.Edge, "edge-") {
			t.Errorf("example %+v", e)
		}
	}
}

// One lie in ten thousand answers is found, and nothing else.
func TestOneLieInTenThousandIsFound(t *testing.T) {
	var lied atomic.Bool
	f := newFleet(t, 1000, func(n uint64, ctx *fasthttp.RequestCtx) {
		truth, green := ctx.Response.Body(), []byte(`"green"`)
		if n > 5000 && !bytes.Contains(ctx.RequestURI(), []byte("canary")) && bytes.Contains(truth, green) && lied.CompareAndSwap(false, true) {
			ctx.SetBody(bytes.Replace(truth, green, []byte(`"yellow"`), 1))
		}
	})
	f.config.Schedule = load.Constant{N: 10_000, For: 2 * time.Second}
	r := play(t, t.Context(), f.config)
	if r.Wrong != 1 || !lied.Load() || len(r.Examples) != 1 || !strings.Contains(r.Examples[0].Expected, "green") {
		t.Errorf("wrong %d: %+v, reasons %q", r.Wrong, r.Examples, r.Reasons)
	}
}

// timeless leaves out the reasons that a busy machine can give to any run.
func timeless(reasons []string) []string {
	return slices.DeleteFunc(slices.Clone(reasons), func(why string) bool {
		return slices.ContainsFunc(ofTheMachine, func(prefix string) bool { return strings.HasPrefix(why, prefix) })
	})
}

var ofTheMachine = []string{"visits were sent late", "visits were sent in bursts", "what was sent is not what was planned", "Little's law"}

// An edge that shows a canary's old status at the offset of the new one is wrong as any other.
func TestWrongCanaryCounts(t *testing.T) {
	var lies atomic.Int32
	f := newFleet(t, 1000, func(_ uint64, ctx *fasthttp.RequestCtx) {
		truth, old := ctx.Response.Body(), []byte(`"green"`)
		lie := bytes.ReplaceAll(truth, []byte(`"yellow"`), old)
		if bytes.Contains(ctx.RequestURI(), []byte("canary-1")) && !bytes.Equal(lie, truth) && lies.Add(1) == 1 {
			ctx.SetBody(lie)
		}
	})
	r := play(t, t.Context(), f.config)
	if r.Wrong != 1 || len(timeless(r.Reasons)) > 0 {
		t.Fatalf("wrong %d, reasons %q", r.Wrong, r.Reasons)
	}
	if e := r.Examples[0]; e.Code != "demo-b:day-1-canary-1" || !strings.HasPrefix(e.Expected, "yellow of demo-b from offset ") {
		t.Errorf("example %+v", e)
	}
}

func TestStallingFleetIsInvalid(t *testing.T) {
	f := newFleet(t, 1000, func(_ uint64, ctx *fasthttp.RequestCtx) {
		if !bytes.Contains(ctx.RequestURI(), []byte("canary")) {
			time.Sleep(400 * time.Millisecond)
		}
	})
	f.config.Schedule = load.Constant{N: 1800, For: 3 * time.Second}
	r := play(t, t.Context(), f.config)
	if r.Wrong > 0 || !strings.Contains(strings.Join(r.Reasons, ";"), "sent late") {
		t.Errorf("wrong %d, reasons %q", r.Wrong, r.Reasons)
	}
}

func TestWithoutAnOriginNothingIsSent(t *testing.T) {
	f := newFleet(t, 1000, nil)
	f.config.PushToken = "another"
	r := play(t, t.Context(), f.config)
	why := strings.Join(r.Reasons, "; ")
	if r.Accounts.Sent != 0 || r.Accounts.Unsent != visits || r.Accounts.Check() != nil {
		t.Errorf("accounts %+v", r.Accounts)
	}
	if !strings.Contains(why, fmt.Sprintf("%d of %d visits not at all", visits, visits)) || !strings.Contains(why, "a canary could not be set: ") {
		t.Errorf("reasons %q", why)
	}
}

func TestInterruptedDayIsInvalidAndCleansUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := newFleet(t, 1000, func(n uint64, _ *fasthttp.RequestCtx) {
		if n == 200 {
			cancel()
		}
	})
	f.config.Schedule = load.Constant{N: 1_000_000, For: 1000 * time.Second}
	r := play(t, ctx, f.config)
	if len(r.Reasons) == 0 || r.Reasons[0] != "the run was interrupted" || r.Accounts.Check() != nil {
		t.Errorf("reasons %q, accounts %+v", r.Reasons, r.Accounts)
	}
	if len(f.records) != 1000 {
		t.Errorf("%d records are left of 1000", len(f.records))
	}
}
