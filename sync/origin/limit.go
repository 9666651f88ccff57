package origin

import (
	"time"

	"github.com/scanedge/scanedge"
)

// maxChange is the issuer's.
func (w *writer) maxChange() scanedge.MaxChange {
	return scanedge.MaxChange(w.secret.Policy().MaxChange)
}

// What counts together for max_change, beside each push by itself.
const (
	windowOf = time.Minute    // what one token changed in the last one to two of these
	runFor   = 24 * time.Hour // the pieces of one file, which name the run that they are of, up to so long after its first
	runsKept = 1000           // of an issuer; the oldest goes first
)

// account is what was changed by pushes that count together, and how many subjects there were before the first of them.
type account struct {
	began  time.Time
	before int
	sum    weight
}

// exceeded says why a change more would be too much.
func (a account) exceeded(limit scanedge.MaxChange, more weight) string {
	sum := a.sum.plus(more)
	return limit.Exceeded(sum.bad, sum.all, a.before)
}

// accounts are those of an issuer. They are its writer's alone, and in memory: an origin that starts again counts from nothing.
type accounts struct {
	windows map[string][2]account // by the pusher's token: the window before and this one
	runs    map[runID]account
}

// runID names the pushing of one file. It is the token's own: nobody can spoil another's.
type runID struct{ token, run string }

func (a *accounts) window(p *push, now time.Time, before int) [2]account {
	w := a.windows[p.from.id]
	age := now.Sub(w[1].began)
	if age < 0 || age >= 2*windowOf { // the clock was set back, or nothing was pushed for long
		fresh := account{began: now, before: before}
		return [2]account{fresh, fresh}
	}
	if age >= windowOf {
		return [2]account{w[1], {began: w[1].began.Add(windowOf), before: before}}
	}
	return w
}

func (a *accounts) run(p *push, now time.Time, before int) account {
	r, ok := a.runs[runID{p.from.id, p.run}]
	if age := now.Sub(r.began); !ok || age < 0 || age >= runFor {
		return account{began: now, before: before}
	}
	return r
}

// charge adds a push's weight, unless that is too much: then it says why, and adds nothing.
func (a *accounts) charge(p *push, t tally, limit scanedge.MaxChange, now time.Time) (why string) {
	own := t.weight()
	window := a.window(p, now, t.before)
	if why := limit.Exceeded(own.bad, own.all, t.before); why != "" {
		return why
	}
	recent := window[0]
	recent.sum = recent.sum.plus(window[1].sum)
	if why := recent.exceeded(limit, own); why != "" {
		return "with what the same token pushed in the last minute or two, " + why
	}
	if p.run != "" {
		run := a.run(p, now, t.before)
		if why := run.exceeded(limit, own); why != "" {
			return "with the pieces of the same file before it, " + why
		}
		run.sum = run.sum.plus(own)
		a.keepRun(runID{p.from.id, p.run}, run)
	}
	window[1].sum = window[1].sum.plus(own)
	a.keepWindow(p.from.id, window)
	return ""
}

// refund takes back what was charged for a push that was not stored.
func (a *accounts) refund(p *push, t tally) {
	own := t.weight()
	if window, ok := a.windows[p.from.id]; ok {
		window[1].sum = window[1].sum.minus(own)
		a.windows[p.from.id] = window
	}
	if run, ok := a.runs[runID{p.from.id, p.run}]; ok {
		run.sum = run.sum.minus(own)
		a.runs[runID{p.from.id, p.run}] = run
	}
}

// forgive begins the accounts of a push anew: somebody has approved it, and with it has seen what was before.
func (a *accounts) forgive(p *push) {
	delete(a.windows, p.from.id)
	delete(a.runs, runID{p.from.id, p.run})
}

func (a *accounts) keepWindow(token string, w [2]account) {
	if a.windows == nil {
		a.windows = map[string][2]account{}
	}
	a.windows[token] = w
}

func (a *accounts) keepRun(id runID, r account) {
	if a.runs == nil {
		a.runs = map[runID]account{}
	}
	if _, known := a.runs[id]; !known && len(a.runs) >= runsKept {
		oldest := id
		for other, r := range a.runs {
			if oldest == id || r.began.Before(a.runs[oldest].began) {
				oldest = other
			}
		}
		delete(a.runs, oldest)
	}
	a.runs[id] = r
}
