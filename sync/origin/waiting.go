package origin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/scanedge/scanedge"
)

// secretsEvery is how often an origin looks again for the secrets that issuers wait for. Tests are quicker.
var secretsEvery = 3 * time.Second

// wait keeps the place of an issuer that has no writer yet: a file which one of its secrets is read from is not there, or is not what it
// was. The other issuers are served.
func (o *Origin) wait(id string, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if was := o.waiting[id]; was == nil || was.Error() != why.Error() {
		o.cfg.Logger.Error("an issuer waits for its secret; the others are served", "issuer", id, "err", why, "again in", secretsEvery)
	}
	o.waiting[id] = why
}

// waits says why an issuer waits, nil if it does not.
func (o *Origin) waits(id string) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.waiting[id]
}

// waitProblem is what is answered about an issuer that waits, nil if it does not.
func (o *Origin) waitProblem(id string) *scanedge.Problem {
	if why := o.waits(id); why != nil {
		return scanedge.NewProblem(scanedge.SecretMissing, why.Error())
	}
	return nil
}

// allWaiting names the issuers that wait, in order.
func (o *Origin) allWaiting() []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Sorted(maps.Keys(o.waiting))
}

// ailing says of each issuer that waits for what.
func (o *Origin) ailing() (why []string) {
	for _, id := range o.allWaiting() {
		if err := o.waits(id); err != nil {
			why = append(why, fmt.Sprintf("issuer %s is not served, it waits for a secret: %v", id, err))
		}
	}
	return why
}

// keepLooking serves the issuers that wait once their secrets are there, until none waits or ctx ends.
func (o *Origin) keepLooking(ctx context.Context) {
	tick := time.NewTicker(secretsEvery)
	defer tick.Stop()
	for len(o.allWaiting()) > 0 {
		select {
		case <-tick.C:
			o.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look tries each issuer that waits. It never waits for adding: Close holds that while it waits for keepLooking.
func (o *Origin) look(ctx context.Context) {
	if !o.adding.TryLock() {
		return
	}
	defer o.adding.Unlock()
	for _, id := range o.allWaiting() {
		switch _, err := o.add(ctx, id, o.cfg.MaxStale); {
		case ctx.Err() != nil:
			return
		case err != nil:
			o.wait(id, err)
		default:
			o.cfg.Logger.Warn("an issuer's secret is there, it is served", "issuer", id)
		}
	}
}
