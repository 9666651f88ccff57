package replica

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// Report is what is known of a replica at a moment. Beside a running push its numbers may be of different moments.
type Report struct {
	Issuer   string
	Offset   uint64       // the table that is published holds every batch up to here
	Subjects int          // in it
	Digest   cache.Digest // of it
	Beat     time.Time    // when the last beat was made that it agreed with; zero: nothing is published yet
	Suspect  bool         // it is known to be wrong, or is being replaced in place
	Why      string       // what keeps the replica from following; empty if nothing is known
	At       uint64       // the table that follows the log is here; it may be another one, on its way

	Rebuilds  uint64        // how often the table was given up and made anew
	ScrubAge  time.Duration // since all of the table was read again, or since it is shown
	Scrubbed  time.Time     // when all of the table had been read again; zero: not yet
	ScrubTook time.Duration // and how long that took

	Kept       time.Time // when the table was kept for the next start; zero: not yet
	KeptOffset uint64    // and where it was
}

// Report returns a report of each replica, and of each chosen issuer that the origin does not have, by issuer.
func (k *Keeper) Report() []Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Report, 0, len(k.replicas))
	for _, r := range k.replicas {
		all = append(all, r.report())
	}
	for _, id := range k.cfg.Issuers {
		if k.replicas[id] == nil {
			all = append(all, Report{Issuer: id, Why: "the origin has not named this issuer yet"})
		}
	}
	slices.SortFunc(all, func(a, b Report) int { return cmp.Compare(a.Issuer, b.Issuer) })
	return all
}

func (r *Replica) report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Report{
		Issuer: r.pub.ID, Offset: r.view.Offset, Beat: r.view.Beat, Suspect: r.view.Suspect, Why: r.why, At: r.offset,
		Rebuilds: r.rebuilt, ScrubAge: r.scrubs.age(), Scrubbed: r.scrubs.last, ScrubTook: r.scrubs.took, Kept: r.kept.time, KeptOffset: r.kept.offset,
	}
	if r.shown != nil {
		p.Subjects, p.Digest = r.shown.table.Len(), r.shown.table.Digest()
	}
	return p
}

// gauges shows a replica in the metrics, whichever it is by then.
func (k *Keeper) gauges(id string) {
	gauge := func(name string, value func(*Replica) float64) {
		k.cfg.Metrics.GetOrCreateGauge(fmt.Sprintf("%s{issuer=%q}", name, id), func() float64 {
			k.mu.Lock()
			r := k.replicas[id]
			k.mu.Unlock()
			r.mu.Lock()
			defer r.mu.Unlock()
			return value(r)
		})
	}
	gauge("scanedge_scrub_age_seconds", func(r *Replica) float64 { return r.scrubs.age().Seconds() })
	gauge("scanedge_kept_offset", func(r *Replica) float64 { return float64(r.kept.offset) })
	gauge("scanedge_suspect", func(r *Replica) float64 {
		if r.view.Suspect {
			return 1
		}
		return 0
	})
}

// age is the time since the last full pass, or since the table is shown if there was none.
func (s *scrubs) age() time.Duration {
	switch {
	case s.table == nil:
		return 0
	case s.last.IsZero():
		return time.Since(s.began)
	}
	return time.Since(s.last)
}
