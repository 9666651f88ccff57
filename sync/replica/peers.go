package replica

import (
	"context"
	"net/http"
	"time"
)

// announceEvery is how often the origin is told what this edge offers; it forgets that after three times as long. Tests tell oftener.
var announceEvery = 10 * time.Second

// Peers returns the handler for other edges that fetch a snapshot from this one. Who is one, and what it may read, is for the handler
// around it to say.
func (k *Keeper) Peers() http.Handler { return k.peers }

// announce tells the origin what this edge offers: at once when that is something new, for others may be waiting, and again and again.
func (k *Keeper) announce(ctx context.Context) {
	if k.cfg.PeerURL == "" {
		return
	}
	for {
		again := time.NewTimer(jitter(announceEvery, 0.1))
		select {
		case <-k.offers:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil {
			return
		}
		offered := k.peers.Offered()
		if len(offered) == 0 {
			continue
		}
		if err := k.origin.announce(ctx, k.cfg.PeerURL, offered); err != nil && ctx.Err() == nil {
			k.cfg.Logger.Warn("other edges are not told of this one's snapshots", "err", err)
		}
	}
}
