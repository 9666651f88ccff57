package load

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// lumps is a schedule that says what it does not do: its visits are due one by one, and come ten times a second.
type lumps struct{ Constant }

func (l lumps) DueBy(elapsed time.Duration) uint64 {
	return l.Constant.DueBy(elapsed - elapsed%(100*time.Millisecond))
}

func reasonsWith(t *testing.T, r *Result, word string) {
	t.Helper()
	if why := Reasons(r); !slices.ContainsFunc(why, func(w string) bool { return strings.Contains(w, word) }) {
		t.Errorf("reasons %q, none with %q", why, word)
	}
}

// A generator that gets no processor time: each tenth of a second it stands still.
func TestAStarvedGenerator(t *testing.T) {
	p := plan(Constant{2200, 2200 * time.Millisecond}, []Kind{Kept}, serve(t, "a", echo(same)))
	route := p.Route
	p.Route = func(i uint64) Route {
		if i%100 == 50 {
			time.Sleep(50 * time.Millisecond)
		}
		return route(i)
	}
	r := run(t, t.Context(), p)
	reasonsWith(t, r, "sent late")
	reasonsWith(t, r, "in bursts")
}

// A clock that is set while the run goes on.
func TestASteppedClock(t *testing.T) {
	c := newClock(time.Now())
	c.look()
	if c.worst > MaxStep {
		t.Errorf("a step of %v, where nobody set the clock", c.worst)
	}
	for _, step := range []time.Duration{-time.Hour, 150 * time.Millisecond} {
		c := newClock(time.Now())
		c.wall = func() time.Time { return time.Now().Add(step) }
		c.look()
		if d := max(step, -step); c.worst < d-MaxStep/2 || c.worst > d+MaxStep/2 {
			t.Errorf("a step of %v was taken for one of %v", step, c.worst)
		}
		r := valid()
		r.step = c.worst
		r.judge()
		reasonsWith(t, r, "clock was set")
	}
}

// An answer that never comes: the edge takes a request and says nothing.
func TestALostAnswer(t *testing.T) {
	t.Parallel()
	const visits = 300
	release := make(chan struct{})
	defer close(release)
	edge := serve(t, "a", echo(func(path string, _ *fasthttp.RequestCtx) {
		if path == "/7" {
			<-release
		}
	}))
	r := run(t, t.Context(), plan(Constant{visits, 300 * time.Millisecond}, []Kind{Kept}, edge))
	if r.Accounts.Outcomes[Failed] != 1 || r.Accounts.Outcomes["right"] != visits-1 || !strings.Contains(r.Failure, "no answer within 5s") {
		t.Errorf("%v, %s", r.Accounts.Outcomes, r.Failure)
	}
	reasonsWith(t, r, "1 got no answer")
}

// A visit that is counted as sent and whose outcome nobody counts: neither accounts nor Little's law close.
func TestAVisitThatIsLost(t *testing.T) {
	var l little
	for i := range 1000 {
		l.look(time.Duration(i+1)*time.Millisecond, 15)
	}
	r := valid()
	r.Accounts.Outcomes["green"]--
	r.under, r.underOff = l.mean()
	r.judge()
	reasonsWith(t, r, "do not add up")
	reasonsWith(t, r, "Little's law")
}

// A dispatcher that sends in lumps what was planned one by one.
func TestABurstySchedule(t *testing.T) {
	s := Constant{500, 500 * time.Millisecond}
	e := &engine{Plan: Plan{Schedule: lumps{s}}}
	e.bursts.schedule = s
	for now := time.Millisecond; now <= 600*time.Millisecond; now += time.Millisecond {
		e.bursts.add(now, e.Schedule.DueBy(now)-e.Schedule.DueBy(now-time.Millisecond))
	}
	e.bursts.compare(time.Second)
	r := valid()
	r.bursts = e.bursts.distance()
	r.judge()
	if r.bursts < 0.8 {
		t.Errorf("distance %v of ten lumps a second", r.bursts)
	}
	reasonsWith(t, r, "in bursts")

	var even bursts
	even.schedule = s
	for i := range s.N {
		even.add(s.Due(i), 1)
	}
	even.compare(time.Second)
	if d := even.distance(); d != 0 {
		t.Errorf("distance %v of what kept to the plan", d)
	}
}

// What is under way while nobody can look counts for as long as that was.
func TestLooksCountByTheirTime(t *testing.T) {
	var l little
	now := time.Duration(0)
	for range 500 {
		now += 2 * time.Millisecond
		l.look(now, 4)
		now += 8 * time.Millisecond // all at once, for want of a processor
		l.look(now, 16)
	}
	if mean, off := l.mean(); mean < 9.9 || mean > 10.1 || off > 1 {
		t.Errorf("%v under way, give or take %v, where it was 10", mean, off)
	}
}
