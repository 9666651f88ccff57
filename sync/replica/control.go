package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/scanedge/scanedge/sync/access"
)

// controlSilence is how long the origin may say nothing new, though it says what it said again every five seconds.
const controlSilence = 15 * time.Second

// following is a replica on its way; stop returns when it has stopped.
type following struct {
	replica *Replica
	stop    func()
}

// learn takes over what the origin says of issuers and keys, as it says it, until ctx ends or the origin is silent or gone; it always
// returns an error. heard is called whenever it said something. The logs are followed all the while, whatever becomes of this.
func (k *Keeper) learn(ctx context.Context, heard func()) error {
	asking, end := context.WithCancelCause(ctx)
	defer end(nil)
	quiet := time.AfterFunc(askWithin, func() { end(errors.New("it is silent")) })
	defer quiet.Stop()
	err := k.origin.control(asking, func(c access.Control) {
		quiet.Reset(controlSilence)
		heard()
		k.take(ctx, c)
	})
	if asking.Err() != nil {
		err = context.Cause(asking)
		k.origin.client.CloseIdleConnections() // they may lead nowhere either
	}
	return fmt.Errorf("ask the origin %s for issuers and keys: %w", k.origin.url, err)
}

// control calls each with what the origin says, until it says no more.
func (o *origin) control(ctx context.Context, each func(access.Control)) error {
	res, err := o.stream(ctx, "/v1/control")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var c access.Control
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("a line of its answer is not what was asked for: %w", err)
		}
		if c.Version != access.ControlVersion {
			return fmt.Errorf("it speaks version %d, this scanedge %d; run the same release on both", c.Version, access.ControlVersion)
		}
		each(c)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errEnded
}

// take takes over what the origin says. A replica of which nothing is new does not notice. An issuer that the origin no longer names
// is held on to: its table ages.
func (k *Keeper) take(ctx context.Context, c access.Control) {
	if !reflect.DeepEqual(c, k.known) {
		k.cfg.Learned(c)
		k.known = c
	}
	for _, pub := range c.Issuers {
		if !k.wants(pub.ID) {
			continue
		}
		f, under := k.following[pub.ID]
		if under && !f.replica.sameKeys(pub) {
			f.stop()
			under = false
		}
		r, err := k.replica(ctx, pub)
		if err != nil {
			k.cfg.Logger.Error("this issuer can't be held; trying again", "issuer", pub.ID, "err", err)
			continue
		}
		if !under {
			k.following[pub.ID] = follow(ctx, r)
		}
	}
}

func follow(ctx context.Context, r *Replica) following {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.keep(ctx)
	}()
	return following{r, func() { stop(); <-done }}
}
