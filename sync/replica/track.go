package replica

import (
	"errors"
	"fmt"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

// track is a table on its way along the log. Its methods know no clock but the one that they are given, and touch nothing else.
type track struct {
	table  *cache.Table
	source string         // what the table was read from, for people
	drop   func() error   // drops that from the disk; nil: it was no file
	strict bool           // each record is verified, also far from the log's end
	at     cache.Position // the last record of the chain that it took
	sure   cache.Position // the last one that a signature speaks for; the table is what the issuer said if it is at
	seq    uint64         // the last record that it took, beats included
	epoch  uint64         // of that record
	last   uint64         // the log's last sequence when it was asked
	asked  time.Time      // when that was
	pace   pace           // of the beats since then
	live   bool           // it has been at the log's end, so that each record is verified from here on
	beat   time.Time      // when the last beat was made that it agreed with at the log's end; zero: never
	added  int            // deltas taken
	wrote  time.Time      // when the origin began to write the record at `at`, by its clock
}

const (
	// beatDue is the time between two beats.
	beatDue = time.Second
	// askedWithin is how soon after the log was asked for its end a first beat must come to say something of now. One that comes later
	// may have waited somewhere on the way, or for the table, as long as that.
	askedWithin = 3 * time.Second
	// lateAfter is by how much a beat may be out of pace. After that the log is asked again: the delay may be real, or a clock was set.
	lateAfter = time.Second
)

// The errors of a record that is not taken, beside those of package issuer. What was held before it is none the worse.
var (
	errReplayed   = errors.New("it was written before one that is known already")
	errUnreadable = errors.New("it can't be read")
	errBehind     = errors.New("records came late; looking where the log ends now")
	ErrDiverged   = errors.New("the table differs from the origin's") // the table is not what a beat says
)

// asks notes that the log was asked for what follows at a time, or after it, and ended at last then or later.
func (k *track) asks(last uint64, at time.Time) { k.last, k.asked, k.pace = last, at, pace{} }

// take checks a record that came at now and applies it. It agreed if the record is a beat that was made since the log was asked,
// and after newest, and says what the table holds.
func (k *track) take(e entry, pub issuer.Public, newest *mark, now time.Time) (agreed bool, err error) {
	head, body, hash, err := issuer.Open(e.Record)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	err = head.Follows(k.at, pub.ID, e.Seq)
	verified := err != nil || k.strict || k.live || e.CaughtUp || head.Kind == issuer.Beat
	if verified {
		// Before anything is concluded from a record that does not fit: only the issuer's own says something of the log.
		if bad := issuer.Verify(e.Record, hash, pub.Key); bad != nil {
			return false, bad
		}
	}
	beat := markOf(head)
	switch {
	case err != nil:
		return false, err
	case e.Seq <= k.seq, head.Epoch < k.epoch, e.CaughtUp && head.Kind == issuer.Beat && !beat.after(*newest):
		return false, fmt.Errorf("%w: epoch %d, offset %d, after epoch %d, offset %d", errReplayed, head.Epoch, head.Offset,
			max(k.epoch, newest.epoch), max(k.seq, newest.offset))
	}
	same, err := k.apply(head, body, hash)
	if err != nil {
		return false, err
	}
	k.seq, k.epoch = e.Seq, head.Epoch
	if verified {
		k.sure = k.at
		k.live = k.live || e.CaughtUp
	}
	if !e.CaughtUp || !same || e.Seq <= k.last {
		return false, nil
	}
	made, err := k.made(head.Time, now)
	if made.IsZero() {
		return false, err
	}
	if made.After(k.beat) {
		k.beat = made
	}
	*newest = beat
	return true, err
}

// made returns when a beat, signed at a time by the origin's clock, was made by the edge's own, at the earliest; zero if that can't be
// told. errBehind: the log is to be asked again.
func (k *track) made(signed, now time.Time) (made time.Time, err error) {
	if k.pace.came.IsZero() {
		if now.Sub(k.asked) > askedWithin {
			return made, errBehind
		}
		k.pace = pace{signed, earlier(now, k.asked.Add(beatDue))}
		return k.pace.came, nil
	}
	switch made = k.pace.came.Add(signed.Sub(k.pace.signed)); {
	case made.Sub(now) > lateAfter:
		return time.Time{}, errBehind
	case now.Sub(made) > lateAfter:
		err = errBehind
	case made.After(now):
		made, k.pace = now, pace{signed, now}
	}
	return made, err
}

// apply does what the record says. It is the same if the record is a beat and the table exactly what that says.
func (k *track) apply(head issuer.Head, body []byte, hash issuer.Hash) (same bool, err error) {
	at := cache.Position{Offset: head.Offset, Hash: hash}
	switch head.Kind {
	case issuer.Beat:
		return k.compare(body)
	case issuer.Reign:
		k.table.Begin(at)
		k.table.End()
	case issuer.Batch:
		batch, err := delta.ParseBatch(body)
		if err != nil {
			return false, fmt.Errorf("%w: %w", errUnreadable, err)
		}
		batch.Apply(k.table, at)
		k.added += batch.Len()
	default:
		return false, fmt.Errorf("%w: kind %d in a log", errUnreadable, head.Kind)
	}
	k.at, k.wrote = at, head.Time
	return false, nil
}

// compare holds the table to a beat. One that was read from a snapshot is held to none before it is exact.
func (k *track) compare(body []byte) (same bool, err error) {
	want, err := delta.ParseBeat(body)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if !k.table.Exact() {
		return false, nil
	}
	if have := delta.BeatOf(k.table); have != want {
		return false, fmt.Errorf("%w at %s: %d subjects with digest %s, not %d with %s; the shards that differ: %v",
			ErrDiverged, k.at, have.Count, have.Digest, want.Count, want.Digest, have.Differ(want))
	}
	return true, nil
}

// mark is when a beat was made, by what the issuer signed of it.
type mark struct {
	epoch, offset uint64
	time          time.Time
}

func markOf(h issuer.Head) mark { return mark{h.Epoch, h.Offset, h.Time} }

// after reports whether m was made after other. It is kept from one table to the next, so that an old log that is played again
// does not pass for now. An origin that was restored from an older copy has lower numbers but a later time, one whose clock was set
// back an earlier time but higher numbers.
func (m mark) after(other mark) bool {
	return m.epoch > other.epoch || m.epoch == other.epoch && m.offset > other.offset || m.time.After(other.time)
}

// pace is how beats follow one another: the one that came with the least delay is taken to have come with none, and each other one
// was made as long after it as the issuer signed. So a delay that grows, as when batches come faster than they can be applied,
// makes a table older and not only later.
type pace struct {
	signed, came time.Time // of the beat with the least delay; zero: none came since the log was asked
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
