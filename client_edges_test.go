package scanedge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// script is an edge in a bubble: what it does to the n-th request, 0 the first.
type script struct {
	does  func(n int, req *http.Request) reaction
	asked atomic.Int64
	cut   atomic.Int64 // requests that were given up
}

// reaction is an answer after a while, or an error.
type reaction struct {
	after  time.Duration
	err    error
	status int // 0: 200
	body   string
	header string // of Retry-After
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	r := s.does(int(s.asked.Add(1))-1, req)
	select {
	case <-time.After(r.after):
	case <-req.Context().Done():
		s.cut.Add(1)
		return nil, req.Context().Err()
	}
	if r.err != nil {
		return nil, r.err
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if r.status == 0 {
		r.status = http.StatusOK
	} else {
		h = http.Header{"Content-Type": {"application/problem+json"}}
	}
	if r.header != "" {
		h.Set("Retry-After", r.header)
	}
	return &http.Response{StatusCode: r.status, Status: http.StatusText(r.status), Header: h, Body: io.NopCloser(strings.NewReader(r.body))}, nil
}

func verdictAt(offset int) reaction {
	return reaction{body: fmt.Sprintf(`{"issuer":"a","status":"green","offset":%d}`, offset)}
}

func refusing(t ProblemType, retryAfter string) reaction {
	return reaction{status: t.Status(), body: string(NewProblem(t, "").JSON()), header: retryAfter}
}

func (r reaction) in(d time.Duration) reaction { r.after = d; return r }

func always(r reaction) *script {
	return &script{does: func(int, *http.Request) reaction { return r }}
}

// scripted makes a client of edges that follow scripts.
func scripted(scripts ...*script) *Edges {
	var edges []*Edge
	for i, s := range scripts {
		one := NewEdge(fmt.Sprintf("http://edge-%d", i), "key")
		one.server.http.Transport = s
		edges = append(edges, one)
	}
	return NewEdges(edges...)
}

var errRefused = errors.New("connection refused")

// What one scan does to two edges, and how long it takes.
func TestEdgesScan(t *testing.T) {
	const ms = time.Millisecond
	dead := reaction{err: errRefused}
	for name, c := range map[string]struct {
		near, far reaction
		want      ProblemType // "": a verdict
		asked     [2]int64
		took      time.Duration
	}{
		"the near one answers":             {verdictAt(1).in(49 * ms), verdictAt(2), "", [2]int64{1, 0}, 49 * ms},
		"it is late":                       {verdictAt(1).in(time.Second), verdictAt(2).in(10 * ms), "", [2]int64{1, 1}, 60 * ms},
		"it is late, the other one later":  {verdictAt(1).in(70 * ms), verdictAt(2).in(time.Second), "", [2]int64{1, 1}, 70 * ms},
		"it is away":                       {dead.in(3 * ms), verdictAt(2).in(10 * ms), "", [2]int64{1, 1}, 13 * ms},
		"it is late and then away":         {dead.in(60 * ms), verdictAt(2).in(100 * ms), "", [2]int64{1, 1}, 150 * ms},
		"the other one is away":            {verdictAt(1).in(200 * ms), dead, "", [2]int64{1, 1}, 200 * ms},
		"the other one knows no key":       {verdictAt(1).in(200 * ms), refusing(NoKey, ""), "", [2]int64{1, 1}, 200 * ms},
		"the other one is at its limit":    {verdictAt(1).in(200 * ms), refusing(TooFast, "9"), "", [2]int64{1, 1}, 200 * ms},
		"it is behind":                     {refusing(Behind, "1"), verdictAt(2).in(10 * ms), "", [2]int64{1, 1}, 10 * ms},
		"it is not ready":                  {refusing(NotReady, "1"), verdictAt(2), "", [2]int64{1, 1}, 0},
		"it is overloaded":                 {refusing(Overloaded, "1"), verdictAt(2), "", [2]int64{1, 1}, 0},
		"a proxy does not reach it":        {reaction{status: 502, body: "<html>"}, verdictAt(2), "", [2]int64{1, 1}, 0},
		"both are behind":                  {refusing(Behind, "1"), refusing(Behind, "1"), Behind, [2]int64{1, 1}, 0},
		"the code is forged":               {refusing(ForgedCode, ""), verdictAt(2), ForgedCode, [2]int64{1, 0}, 0},
		"the subject is unknown":           {refusing(UnknownSubject, ""), verdictAt(2), UnknownSubject, [2]int64{1, 0}, 0},
		"the other one says so first":      {verdictAt(1).in(time.Second), refusing(UnknownSubject, ""), UnknownSubject, [2]int64{1, 1}, 50 * ms},
		"the key is not known":             {refusing(NoKey, ""), verdictAt(2), NoKey, [2]int64{1, 0}, 0},
		"the rate is used up":              {refusing(TooFast, "3"), verdictAt(2), TooFast, [2]int64{1, 0}, 0},
		"somebody else is at that address": {reaction{body: "<html>"}, verdictAt(2), "none", [2]int64{1, 0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := always(c.near), always(c.far)
				began := time.Now()
				v, err := scripted(near, far).Scan(t.Context(), "a:x")
				took := time.Since(began)
				p := (*Problem)(nil)
				switch errors.As(err, &p); {
				case c.want == "" && (err != nil || v.Status != Green):
					t.Errorf("%+v, %v", v, err)
				case c.want == "none" && (err == nil || p != nil), c.want != "" && c.want != "none" && (p == nil || p.Type != c.want):
					t.Errorf("%v, not %s", err, c.want)
				}
				if asked := [2]int64{near.asked.Load(), far.asked.Load()}; asked != c.asked || took != c.took {
					t.Errorf("asked %v times in %v, not %v in %v", asked, took, c.asked, c.took)
				}
				synctest.Wait() // nobody goes on
				if open := near.asked.Load() + far.asked.Load() - near.cut.Load() - far.cut.Load(); open > 2 || c.took == 60*ms && near.cut.Load() != 1 {
					t.Errorf("%d requests are not given up", open)
				}
			})
		})
	}
}

// When the near edge is slow for all, a tenth of the scans asks a second one, and the first ten; so a fleet that has too much to do gets
// little more. But the one that answers is soon asked first.
func TestEdgesHedgeATenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, silent := always(verdictAt(1).in(time.Second)), always(reaction{err: errRefused, after: time.Hour})
		e := scripted(slow, silent)
		for range 1000 {
			if _, err := e.Scan(t.Context(), "a:x"); err != nil {
				t.Fatal(err)
			}
		}
		if n := silent.asked.Load(); n != 109 { // 1,000 tenths, and ten that were there but for what they could not grow by
			t.Errorf("%d of 1000 scans asked a second edge", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		busy, other := always(refusing(Overloaded, "1")), always(refusing(Overloaded, "1"))
		e := scripted(busy, other)
		for range 1000 {
			if _, err := e.Scan(t.Context(), "a:x"); err == nil {
				t.Fatal("no error")
			}
		}
		if n := other.asked.Load(); n != 109 {
			t.Errorf("%d of 1000 scans were brought to another edge that is overloaded", n)
		}
	})
}

// An edge that answers in another's place is asked first for half a minute; then the nearest has its chance again.
func TestEdgesLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs, good := always(reaction{after: time.Hour}), always(verdictAt(1))
		e := scripted(hangs, good)
		for range 100 {
			if _, err := e.Scan(t.Context(), "a:x"); err != nil {
				t.Fatal(err)
			}
		}
		if hangs.asked.Load() != 1 || good.asked.Load() != 100 {
			t.Errorf("%d, %d", hangs.asked.Load(), good.asked.Load())
		}
		time.Sleep(leadFor + 1)
		if _, err := e.Scan(t.Context(), "a:x"); err != nil || hangs.asked.Load() != 2 {
			t.Errorf("the nearest is given up for good: %v, %d", err, hangs.asked.Load())
		}
	})
}

// Retry waits for what the edges ask for, the shorter of the two, and no longer than it may.
func TestEdgesRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near := &script{does: func(n int, _ *http.Request) reaction {
			if n < 2 {
				return refusing(TooStale, "7")
			}
			return verdictAt(1)
		}}
		e := scripted(near, always(refusing(Behind, "2")))
		var waits []time.Duration
		e.Retry = Retry{For: time.Minute, Waiting: func(_ error, pause time.Duration) { waits = append(waits, pause) }}
		if v, err := e.Scan(t.Context(), "a:x"); err != nil || v.Status != Green || len(waits) != 2 {
			t.Fatalf("%+v, %v after %v", v, err, waits)
		}
		for _, w := range waits {
			if w < 2*time.Second || w > 2*time.Second+firstPause*2 {
				t.Errorf("waited %v", w)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e := scripted(always(refusing(TooFast, "90")), always(verdictAt(1)))
		e.Retry.For = time.Minute
		began, p := time.Now(), (*Problem)(nil)
		if _, err := e.Scan(t.Context(), "a:x"); !errors.As(err, &p) || p.Type != TooFast || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Who has little time left has the second edge asked after half of it, and gives up at its end.
func TestEdgesDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs, good := always(reaction{after: time.Hour}), always(verdictAt(1).in(5*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := scripted(hangs, good).Scan(ctx, "a:x"); err != nil || time.Since(began) != 15*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		began = time.Now()
		e := scripted(hangs, hangs)
		e.Retry.For = time.Hour
		if _, err := e.Scan(ctx, "a:x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestEdgesWithoutHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, good := always(verdictAt(1).in(9*time.Second)), always(verdictAt(2))
		e := scripted(slow, good)
		e.HedgeAfter = -1
		if v, err := e.Scan(t.Context(), "a:x"); err != nil || v.Offset != 1 || good.asked.Load() != 0 {
			t.Errorf("%+v, %v, %d", v, err, good.asked.Load())
		}
		if v, err := scripted(slow).Scan(t.Context(), "a:x"); err != nil || v.Offset != 1 { // one edge has no other
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// What an edge was seen to know, all of them are asked for, of the issuer of the code alone.
func TestEdgesNeverBackInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		offset := 17
		near := &script{does: func(_ int, req *http.Request) reaction {
			said = append(said, req.Header.Get("Scanedge-Min-Offset"))
			return verdictAt(offset)
		}}
		far := &script{does: func(_ int, req *http.Request) reaction {
			said = append(said, "far "+req.Header.Get("Scanedge-Min-Offset"))
			return verdictAt(18)
		}}
		e := scripted(near, far)
		scan := func(code string, want int) {
			t.Helper()
			if v, err := e.Scan(t.Context(), code); err != nil || v.Offset != uint64(want) {
				t.Errorf("%s: %+v, %v", code, v, err)
			}
		}
		scan("a:x", 17)
		scan("a:y", 17)
		scan("SE1.A.XYZ", 17)
		scan("b:y", 17)
		offset = 16 // an older table, behind a proxy that drops headers: the client sees for itself
		scan("a:x", 18)
		scan("SS1.A.XYZ", 18) // the far one leads by now
		want := []string{"", "a=17", "a=17", "", "a=17", "far a=17", "far a=18"}
		if fmt.Sprint(said) != fmt.Sprint(want) {
			t.Errorf("%q, not %q", said, want)
		}
	})
}

// Each line of a batch that its edge can't judge now is asked for at the next one, and the rest is not.
func TestEdgesScanMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := func(say map[string]string) *script {
			return &script{does: func(_ int, req *http.Request) reaction {
				body, _ := io.ReadAll(req.Body)
				var out strings.Builder
				for line := range strings.Lines(string(body)) {
					out.WriteString(say[strings.TrimSpace(line)] + "\n")
				}
				return reaction{body: out.String()}
			}}
		}
		near := lines(map[string]string{
			"a:1": `{"issuer":"a","status":"green","offset":9}`, "a:2": `{"error":"behind"}`, "b:1": `{"error":"not-ready"}`,
			"b:2": `{"error":"clock-ahead","ahead_s":33}`, "b:3": `{"error":"too-stale"}`,
		})
		far := lines(map[string]string{"a:2": `{"issuer":"a","status":"red","offset":10}`, "b:1": `{"error":"unknown-subject"}`, "b:3": `{"error":"not-ready"}`})
		e := scripted(near, far)
		got, err := e.ScanMany(t.Context(), []string{"a:1", "", "a:2", "b:1", "b:2", "b:3"})
		if err != nil || got[0].Status != Green || got[1].Error != MalformedCode || got[2].Status != Red || got[3].Error != UnknownSubject ||
			got[4].Error != ClockAhead || got[4].AheadS != 33 || got[5].Error != NotReady {
			t.Errorf("%+v, %v", got, err)
		}
		if near.asked.Load() != 1 || far.asked.Load() != 1 {
			t.Errorf("%d, %d", near.asked.Load(), far.asked.Load())
		}
	})
}

// A batch names the issuers of which something was seen, up to 40 of them; further ones have a request of their own.
func TestBatchesNameFewIssuers(t *testing.T) {
	s := new(seen)
	var codes []string
	for i := range 100 {
		s.see(Verdict{Issuer: fmt.Sprintf("i%d", i), Offset: 7})
		codes = append(codes, fmt.Sprintf("i%d:x", i), fmt.Sprintf("stranger%d:x", i), fmt.Sprintf("i%d:y", i))
	}
	var sizes []int
	for b := range s.batches(codes, make([]Answer, len(codes))) {
		sizes = append(sizes, len(b.issuers))
		if h := s.least(b.issuers...).header(); strings.Count(h.Get("Scanedge-Min-Offset"), "=7") != len(b.issuers) {
			t.Error(h)
		}
	}
	if fmt.Sprint(sizes) != "[40 40 20]" {
		t.Errorf("%v", sizes)
	}
	for i := range 2 * maxSeen {
		s.see(Verdict{Issuer: fmt.Sprint("many", i), Offset: 1})
	}
	if len(s.of) != maxSeen {
		t.Errorf("%d issuers are remembered", len(s.of))
	}
}
