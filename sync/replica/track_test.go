package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

func newTrack() *track { return trackOf(new(cache.Table), "nothing", nil) }

// feed takes records that must be taken, and reports whether the last one was a beat that agreed.
func feed(t *testing.T, k *track, c *chain, newest *mark, entries ...entry) (agreed bool) {
	t.Helper()
	for _, e := range entries {
		var err error
		if agreed, err = k.take(e, c.secret.Public(), newest, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return agreed
}

// abreast is a track that is at the log's end, with the chain that it follows.
func abreast(t *testing.T) (*chain, *track, *mark) {
	t.Helper()
	c, k, newest := newChain(t), newTrack(), new(mark)
	k.asks(0, time.Now())
	if !feed(t, k, c, newest, c.reign(), c.batch("x", green), caughtUp(c.beat())) {
		t.Fatal("no agreement")
	}
	return c, k, newest
}

func TestOnlyABeatAtTheLogsEndAgrees(t *testing.T) {
	c, k, newest := newChain(t), newTrack(), new(mark)
	entries := []entry{c.reign(), c.batch("x", green), c.beat(), c.batch("x", red), caughtUp(c.beat())}
	k.asks(c.seq, time.Now())
	for _, e := range append(entries, caughtUp(c.batch("y", green))) {
		if feed(t, k, c, newest, e) || !k.beat.IsZero() {
			t.Fatalf("agreed at %d, which was there when the log was asked, or is no beat", e.Seq)
		}
	}
	if feed(t, k, c, newest, c.beat()) {
		t.Error("agreed, with more to come")
	}
	if !feed(t, k, c, newest, caughtUp(c.beat())) || k.beat.IsZero() {
		t.Error("a beat that came since does not count")
	}
	if got, _ := k.table.Lookup(c.key("x")); got != red || k.at != c.at {
		t.Errorf("x is %v at %s", got, k.at)
	}
}

// stateOf is all of a track that can be compared.
func stateOf(k *track) any {
	type state struct {
		at, sure        cache.Position
		seq, epoch      uint64
		live            bool
		asked, beat     time.Time
		pace            pace
		added, subjects int
	}
	return state{k.at, k.sure, k.seq, k.epoch, k.live, k.asked, k.beat, k.pace, k.added, k.table.Len()}
}

// A beat that waited somewhere makes a table no younger than it was when it was made. After a second look at the log's end, all is
// well again.
func TestLateBeatsDoNotRenewTheAge(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	type beat struct{ signed, came, made float64 } // seconds; made 0: it does not count
	for name, c := range map[string]struct {
		asked  float64 // for the log's end
		beats  []beat
		behind bool // the last one
	}{
		"on time":                       {0, []beat{{.5, .6, .6}, {1.5, 1.6, 1.6}, {2.5, 2.6, 2.6}}, false},
		"a little late":                 {0, []beat{{.5, .5, .5}, {1.5, 2.4, 1.5}, {2.5, 2.5, 2.5}}, false},
		"later and later":               {0, []beat{{.5, .5, .5}, {1.5, 2, 1.5}, {2.5, 3.4, 2.5}, {3.5, 4.6, 3.5}}, true},
		"a burst after a stop":          {0, []beat{{.5, .5, .5}, {1.5, 10, 1.5}}, true},
		"the first was the late one":    {0, []beat{{.5, .9, .9}, {1.5, 1.6, 1.6}, {2.5, 2.7, 2.6}}, false},
		"the first came after its time": {0, []beat{{.5, 2.5, 1}, {1.5, 2.6, 2}}, false},
		"the first came long after":     {0, []beat{{.5, 3.1, 0}}, true},
		"a clock set back":              {0, []beat{{.5, .5, .5}, {-3600, 1.5, .5}}, true},
		"a clock set forward":           {0, []beat{{.5, .5, .5}, {3600, 1.5, .5}}, true},
	} {
		ch, k, newest := newChain(t), newTrack(), new(mark)
		feed(t, k, ch, newest, ch.reign())
		k.asks(ch.seq, at(c.asked))
		for i, b := range c.beats {
			ch.time = at(b.signed)
			_, err := k.take(caughtUp(ch.beat()), ch.secret.Public(), newest, at(b.came))
			if err != nil && !errors.Is(err, errBehind) || (err != nil) != (c.behind && i == len(c.beats)-1) {
				t.Errorf("%s: beat %d: %v", name, i, err)
			}
			if off := k.beat.Sub(at(b.made)).Abs(); off > 2*time.Millisecond && !(b.made == 0 && k.beat.IsZero()) {
				t.Errorf("%s: beat %d: made %v after the start, not %vs", name, i, k.beat.Sub(start), b.made)
			}
		}
		if s := k.decide(errBehind); s != (step{}) {
			t.Errorf("what follows is %+v", s)
		}
		k.asks(ch.seq, at(20))
		ch.time = at(20.5)
		if agreed, err := k.take(caughtUp(ch.beat()), ch.secret.Public(), newest, at(20.6)); !agreed || err != nil || !k.beat.Equal(at(20.6)) {
			t.Errorf("%s: after another look: %v, %v", name, agreed, err)
		}
	}
}

// Whatever a record is that does not belong where it stands: it is refused, nothing of it is applied, and what follows from that is
// what the table says.
func TestWhatDoesNotBelongIsRefused(t *testing.T) {
	type then struct{ anew, doubt, drop bool }
	again, stop := then{}, then{}
	for name, c := range map[string]struct {
		wrong func(t *testing.T, c *chain) entry
		err   error
		why   string
		then  then
	}{
		"a gap": {func(_ *testing.T, c *chain) entry { c.batch("lost", red); return c.batch("x", red) },
			issuer.ErrHole, "hole", then{anew: true, drop: true}},
		"a beat after a gap": {func(_ *testing.T, c *chain) entry { c.batch("lost", red); return c.beat() },
			issuer.ErrHole, "hole", then{anew: true, drop: true}},
		"a fork": {func(t *testing.T, c *chain) entry {
			c.at.Hash[0] ^= 1
			return c.batch("x", red)
		}, issuer.ErrFork, "fork", then{anew: true, doubt: true, drop: true}},
		"one twice": {func(_ *testing.T, c *chain) entry {
			e := c.batch("y", green)
			e.Seq++
			return e
		}, issuer.ErrChain, "misplaced", stop},
		"an old beat again":        {func(_ *testing.T, c *chain) entry { e := c.beat(); e.Seq++; return e }, issuer.ErrChain, "misplaced", stop},
		"an old beat in its place": {func(_ *testing.T, c *chain) entry { c.seq--; return c.beat() }, errReplayed, "replayed", stop},
		"a lower epoch":            {func(_ *testing.T, c *chain) entry { c.epoch--; return c.batch("x", red) }, errReplayed, "replayed", stop},
		"another's signature":      {func(t *testing.T, c *chain) entry { return c.forged(t).batch("x", red) }, issuer.ErrSignature, "signature", stop},
		"a forged gap": {func(t *testing.T, c *chain) entry {
			f := c.forged(t)
			f.batch("lost", red)
			return f.batch("x", red)
		}, issuer.ErrSignature, "signature", stop},
		"a forged fork": {func(t *testing.T, c *chain) entry {
			f := c.forged(t)
			f.at.Hash[0] ^= 1
			return f.batch("x", red)
		}, issuer.ErrSignature, "signature", stop},
		"a forged beat": {func(t *testing.T, c *chain) entry { return c.forged(t).beat() }, issuer.ErrSignature, "signature", stop},
		"another issuer's": {func(t *testing.T, c *chain) entry {
			other := c.fork(t)
			other.secret = &issuer.Secret{ID: "demo-b", Seed: c.secret.Seed, Key: c.secret.Key}
			return other.batch("x", red)
		}, issuer.ErrChain, "misplaced", stop},
		"a beat that disagrees": {func(_ *testing.T, c *chain) entry { c.table.Put(cache.Key{Hi: 1}, red); return c.beat() },
			ErrDiverged, "diverged", then{anew: true, doubt: true, drop: true}},
		"a beat of other content": {func(_ *testing.T, c *chain) entry { c.table.Put(c.key("x"), red); return c.beat() },
			ErrDiverged, "diverged", then{anew: true, doubt: true, drop: true}},
		"a flipped bit": {func(_ *testing.T, c *chain) entry {
			e := c.batch("x", red)
			e.Record[len(e.Record)-65] ^= 1
			return e
		}, issuer.ErrSignature, "signature", stop},
		"no record": {func(*testing.T, *chain) entry { return entry{Seq: 5, Record: []byte("nonsense")} },
			errUnreadable, "unreadable", stop},
		"a later version's": {func(_ *testing.T, c *chain) entry {
			e := c.batch("x", red)
			e.Record[2], e.Record[3] = 9, 9
			return e
		}, issuer.ErrVersion, "version", stop},
		"of another kind": {func(_ *testing.T, c *chain) entry { return c.link(9, nil) }, errUnreadable, "unreadable", stop},
		"no batch":        {func(_ *testing.T, c *chain) entry { return c.link(issuer.Batch, []byte{1}) }, errUnreadable, "unreadable", stop},
		"a lost line":     {func(*testing.T, *chain) entry { return entry{} }, ErrSilent, "", again},
	} {
		t.Run(name, func(t *testing.T) {
			ch, k, newest := abreast(t)
			k.seq = k.at.Offset // as though no beats had come since: going back to there is another test's
			k.seq++
			e := c.wrong(t, ch)
			before, beat := stateOf(k), delta.BeatOf(k.table)
			err := c.err
			if e.Record != nil {
				_, err = k.take(caughtUp(e), ch.secret.Public(), newest, time.Now())
			}
			if !errors.Is(err, c.err) {
				t.Errorf("taken: %v", err)
			}
			if stateOf(k) != before || delta.BeatOf(k.table) != beat {
				t.Errorf("changed from %+v to %+v", before, stateOf(k))
			}
			k.seq = k.at.Offset
			if s := k.decide(err); s.why != c.why || (then{s.anew, s.doubt, s.drop}) != c.then || s.back {
				t.Errorf("then %+v", s)
			}
		})
	}
}

// A log that lost its end, or a place where one seems to be missing, may hold other records where beats were: they are looked at before
// anything is given up.
func TestBeatsThatWereLostCostNothing(t *testing.T) {
	c, k, newest := abreast(t)
	for _, err := range []error{issuer.ErrHole, ErrRewound} {
		if s := k.decide(fmt.Errorf("x: %w", err)); s != (step{back: true}) {
			t.Errorf("%v: %+v", err, s)
		}
	}
	k.seq, c.seq = k.at.Offset, c.at.Offset // the beat is gone, and a reign takes its place
	k.asks(c.seq, time.Now())
	if !feed(t, k, c, newest, c.reign(), caughtUp(c.beat())) {
		t.Error("no agreement")
	}
}

func TestRewoundAndHoleNeedAnotherTable(t *testing.T) {
	_, k, _ := abreast(t)
	k.seq = k.at.Offset
	if s := k.decide(issuer.ErrHole); !s.anew || s.floor != k.at.Offset+1 || s.unfloor || s.doubt {
		t.Errorf("a hole: %+v", s)
	}
	for _, err := range []error{ErrRewound, issuer.ErrFork} {
		if s := k.decide(err); !s.anew || !s.unfloor || !s.drop || s.floor != 0 {
			t.Errorf("%v: %+v", err, s)
		}
	}
	for _, err := range []error{&panicError{}, &scrubError{errors.New("x")}} {
		if s := k.decide(fmt.Errorf("x: %w", err)); !s.anew || !s.doubt || s.drop {
			t.Errorf("%v: %+v", err, s)
		}
	}
}

// Far from the log's end a signature is not looked at; the first that is speaks for the chain before it. A table that took what nobody
// signed is given up, and the next one does not take it.
func TestAForgedPast(t *testing.T) {
	c := newChain(t)
	first := c.reign()
	forger := c.forged(t)
	f := forger.batch("x", red)
	for name, next := range map[string]entry{
		"the forger's beat":  forger.fork(t).beat(),
		"the issuer's beat":  c.fork(t).beat(),
		"the issuer's batch": caughtUp(c.fork(t).batch("x", green)),
	} {
		k, newest := newTrack(), new(mark)
		if feed(t, k, c, newest, first, f); k.sure == k.at {
			t.Fatal("sure of what nobody signed")
		}
		next.Seq = k.seq + 1
		_, err := k.take(next, c.secret.Public(), newest, time.Now())
		if s := k.decide(err); !s.anew || !s.strict || s.why != "forged past" {
			t.Errorf("%s: %v, then %+v", name, err, s)
		}
		strict := newTrack()
		strict.strict = true
		feed(t, strict, c, newest, first)
		_, err = strict.take(f, c.secret.Public(), newest, time.Now())
		if s := strict.decide(err); s.anew || s.why != "signature" || strict.table.Len() != 0 {
			t.Errorf("%s, strictly: %v, then %+v", name, err, s)
		}
	}
}

// A whole log that is played again, beats and all, is not taken for now.
func TestAnOldLogPlayedAgain(t *testing.T) {
	c := newChain(t)
	old := []entry{c.reign(), c.batch("x", green), caughtUp(c.beat())}
	k, newest := newTrack(), new(mark)
	k.asks(0, time.Now())
	if !feed(t, k, c, newest, old...) || !feed(t, k, c, newest, caughtUp(c.batch("x", red)), caughtUp(c.beat())) {
		t.Fatal("no agreement")
	}
	again := newTrack() // the log ends before the place to go on from: another table is made
	again.asks(0, time.Now())
	feed(t, again, c, newest, old[:2]...)
	if agreed, err := again.take(old[2], c.secret.Public(), newest, time.Now()); agreed || !errors.Is(err, errReplayed) {
		t.Errorf("an old beat: %v, %v", agreed, err)
	}
}

// An origin that was restored from an older copy is followed all the same, and so is one whose clock was set back.
func TestMarks(t *testing.T) {
	at := mark{3, 10, time.Now()}
	for name, m := range map[string]struct {
		is    mark
		after bool
	}{
		"the same":                    {at, false},
		"an earlier one":              {mark{3, 9, at.time.Add(-time.Second)}, false},
		"one of an earlier reign":     {mark{2, 15, at.time.Add(-time.Second)}, false},
		"a restored origin's":         {mark{2, 9, at.time.Add(time.Second)}, true},
		"one after the clock was set": {mark{3, 11, at.time.Add(-time.Hour)}, true},
		"a new reign's, clock set":    {mark{4, 1, at.time.Add(-time.Hour)}, true},
	} {
		if m.is.after(at) != m.after {
			t.Errorf("%s is after: %v", name, !m.after)
		}
	}
}

// Whatever comes, in whatever order, a table that agreed with a beat at the log's end is the issuer's, and what was refused can be
// gone on from.
func TestHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	agreements, refusals := 0, 0
	for range 150 {
		a, r := history(t, dice)
		agreements += a
		refusals += r
	}
	if agreements < 1000 || refusals < 1000 {
		t.Errorf("%d agreements, %d refusals: the histories are not what they should be", agreements, refusals)
	}
}

// history plays an issuer's log with what an enemy between does to it.
func history(t *testing.T, dice *rand.Rand) (agreements, refusals int) {
	c := newChain(t)
	k, newest := newTrack(), new(mark)
	k.asks(0, time.Now())
	var log []entry // as the issuer wrote it
	strict, floor := false, uint64(0)
	for range 60 {
		log = append(log, c.random(dice))
		for tries := 0; ; tries++ { // until the replica has taken all that the log holds
			e, ok := next(log, k.seq)
			if !ok {
				break
			}
			e.CaughtUp = e.Seq == c.seq || k.live && dice.IntN(2) == 0
			honest := e
			if dice.IntN(3) == 0 && tries < 3 {
				e = c.enemy(t, dice, log, e)
			}
			agreed, err := k.take(e, c.secret.Public(), newest, time.Now())
			if agreed {
				agreements++
				if e.Seq != honest.Seq || string(e.Record) != string(honest.Record) {
					t.Fatalf("agreed with a record that is not the issuer's, %d for %d", e.Seq, honest.Seq)
				}
				if got, want := delta.BeatOf(k.table), beatIn(t, e); got != want {
					t.Fatalf("agreed, but the table is another")
				}
			}
			if err == nil {
				continue
			}
			refusals++
			if tries > 50 {
				t.Fatalf("stuck at %d: %v", k.seq, err)
			}
			s := k.decide(err)
			if s.back {
				k.seq = k.at.Offset
			}
			if s.anew {
				strict, floor = s.strict, max(floor, s.floor)
				k = newTrack()
				k.strict = strict
				k.asks(0, time.Now())
			}
		}
	}
	if got, want := delta.BeatOf(k.table), delta.BeatOf(c.table); got != want {
		t.Fatalf("at the end the table is another")
	}
	return agreements, refusals
}

func next(log []entry, after uint64) (entry, bool) {
	for _, e := range log {
		if e.Seq > after {
			return e, true
		}
	}
	return entry{}, false
}

func beatIn(t *testing.T, e entry) delta.Beat {
	_, body, _, err := issuer.Open(e.Record)
	if err != nil {
		t.Fatal(err)
	}
	b, err := delta.ParseBeat(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *chain) random(dice *rand.Rand) entry {
	switch dice.IntN(10) {
	case 0:
		return c.reign()
	case 1, 2, 3, 4:
		return c.batch(fmt.Sprint(dice.IntN(20)), []cache.Record{red, green, cache.Removed}[dice.IntN(3)])
	}
	return c.beat()
}

// enemy gives another record in e's place.
func (c *chain) enemy(t *testing.T, dice *rand.Rand, log []entry, e entry) entry {
	head, body, _, err := issuer.Open(e.Record)
	if err != nil {
		t.Fatal(err)
	}
	bad := entry{Seq: e.Seq, CaughtUp: e.CaughtUp}
	switch dice.IntN(5) {
	case 0: // an old one, where it stood or here
		bad = log[dice.IntN(len(log))]
		if bad.CaughtUp = e.CaughtUp; dice.IntN(2) == 0 {
			bad.Seq = e.Seq
		}
	case 1: // a flipped bit
		bad.Record = append([]byte(nil), e.Record...)
		bad.Record[dice.IntN(len(bad.Record))] ^= 1 << dice.IntN(8)
	case 2: // what another key signs, with what a forger would like
		f := c.forged(t)
		if head.Kind == issuer.Batch {
			body = delta.AppendBatch(nil, delta.Info{}, []cache.Delta{{Key: c.key("1"), Record: green}})
		}
		bad.Record, _ = issuer.Sign(append(issuer.AppendHead(nil, head), body...), f.secret.Key)
	case 3: // nothing: the next one comes at once
		if after, ok := next(log, e.Seq); ok {
			bad = after
			bad.CaughtUp = e.CaughtUp
		} else {
			bad = e
		}
	default:
		bad.Record = []byte("nonsense")
	}
	return bad
}

// When a signature is looked at: at the log's end, from there on always, and for whatever does not fit.
func TestSignaturesAreLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		live, strict bool
		record       func(f *chain) entry
		refused      bool
	}{
		"a link far from the end":         {false, false, func(f *chain) entry { return f.batch("x", red) }, false},
		"a link, strictly":                {false, true, func(f *chain) entry { return f.batch("x", red) }, true},
		"a link at the end":               {false, false, func(f *chain) entry { return caughtUp(f.batch("x", red)) }, true},
		"a link after that":               {true, false, func(f *chain) entry { return f.batch("x", red) }, true},
		"a beat far from the end":         {false, false, func(f *chain) entry { return f.beat() }, true},
		"another past, far from the end":  {false, false, func(f *chain) entry { f.at.Hash[0] ^= 1; return f.batch("x", red) }, true},
		"a place ahead, far from the end": {false, false, func(f *chain) entry { f.at.Offset++; return f.batch("x", red) }, true},
	} {
		ch, k, newest := newChain(t), newTrack(), new(mark)
		feed(t, k, ch, newest, ch.reign(), ch.beat())
		k.live, k.strict = c.live, c.strict
		_, err := k.take(c.record(ch.forged(t)), ch.secret.Public(), newest, time.Now())
		if errors.Is(err, issuer.ErrSignature) != c.refused || (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordsDoNotGoBack(t *testing.T) {
	c, k, newest := abreast(t)
	c.seq--
	if _, err := k.take(c.batch("x", red), c.secret.Public(), newest, time.Now()); !errors.Is(err, errReplayed) {
		t.Errorf("a record where one was already: %v", err)
	}
}

// A snapshot that was written beside its writer is not what its place says before the batches that were under way have been put.
func TestNothingIsComparedBeforeATableIsExact(t *testing.T) {
	c, newest := newChain(t), new(mark)
	c.reign()
	c.batch("x", green)
	image := c.fork(t).table
	image.Begin(c.at)
	image.End()
	under := c.fork(t) // the batch of which the copy has seen a part
	under.batch("x", red)
	image.Begin(under.at)
	image.Put(c.key("x"), red)
	table := new(cache.Table)
	copyTable(t, table, image)
	k := trackOf(table, "", nil)
	k.asks(0, time.Now())
	if k.at != c.at || table.Exact() {
		t.Fatalf("at %s, exact %v", k.at, table.Exact())
	}
	if feed(t, k, c, newest, caughtUp(c.beat())) {
		t.Error("agreed before it was exact")
	}
	if !feed(t, k, c, newest, c.batch("x", red), caughtUp(c.beat())) {
		t.Error("no agreement once it is exact")
	}
}
