package origin

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

var testTime = time.UnixMilli(1_790_000_000_000)

// batchAt is a batch of one delta with a key, stored at an offset.
func batchAt(offset uint64, key string, at time.Time) link {
	body := delta.AppendBatch(nil, delta.Info{Key: key}, []cache.Delta{{Key: cache.Key{Hi: offset}}})
	batch, err := delta.ParseBatch(body)
	if err != nil {
		panic(err)
	}
	head := issuer.Head{Kind: issuer.Batch, Epoch: 1, Time: at}
	return link{at: cache.Position{Offset: offset}, head: head, batch: batch, sum: batch.Sum()}
}

func TestKeysAreKeptForADay(t *testing.T) {
	for name, c := range map[string]struct {
		later []time.Duration // when the pushes come that follow the first, by the clock
		known bool
	}{
		"a day later":                         {[]time.Duration{24 * time.Hour}, true},
		"25 hours later":                      {[]time.Duration{25 * time.Hour}, true},
		"26 hours later":                      {[]time.Duration{26 * time.Hour}, false},
		"the clock goes an hour forward":      {[]time.Duration{time.Hour, 24*time.Hour + time.Hour}, true},
		"the clock goes an hour back":         {[]time.Duration{-time.Hour, 23 * time.Hour}, true},
		"back, and then a day":                {[]time.Duration{-time.Hour, 24 * time.Hour}, true},
		"back for good, and a day by it":      {[]time.Duration{-40 * time.Hour, -15 * time.Hour}, true},
		"far forward, for one push, and back": {[]time.Duration{30 * time.Hour, time.Hour}, false},
	} {
		var p past
		p.learn(batchAt(5, "first", testTime))
		for i, d := range c.later {
			p.learn(batchAt(uint64(6+i), fmt.Sprint("later", i), testTime.Add(d)))
		}
		if k, known := p.find("first"); known != c.known || known && k.offset != 5 {
			t.Errorf("%s: known %v, at %d", name, known, k.offset)
		}
		if _, known := p.find(fmt.Sprint("later", len(c.later)-1)); !known {
			t.Errorf("%s: the last push is not known", name)
		}
	}
}

// A key from a clock that was set back is kept for a day of the time that was seen before it.
func TestAKeyOfAClockThatWasSetBack(t *testing.T) {
	var p past
	p.learn(batchAt(1, "", testTime))
	p.learn(batchAt(2, "back", testTime.Add(-20*time.Hour)))
	p.learn(batchAt(3, "then", testTime.Add(-19*time.Hour)))
	p.expire(testTime.Add(20 * time.Hour))
	if _, known := p.find("back"); !known {
		t.Error("forgotten after 20 hours")
	}
	if err := new(past).restore(p.state()); err != nil {
		t.Error(err)
	}
	p.expire(testTime.Add(26 * time.Hour))
	if n := p.len(); n != 0 {
		t.Errorf("%d keys are left after 26 hours", n)
	}
}

func TestTheNewestKeysAreKept(t *testing.T) {
	var p past
	for i := range uint64(keysKept + 3) {
		p.append(known{id: keyID(binary.LittleEndian.AppendUint64(make([]byte, 8), i)), offset: i + 1, count: 1})
	}
	if len(p.list) != keysKept || len(p.index) != keysKept || p.list[0].offset != 4 {
		t.Errorf("%d keys, %d in the index, the first at %d", len(p.list), len(p.index), p.list[0].offset)
	}
	if k := p.list[p.index[p.list[77].id]-p.first]; k.offset != 81 {
		t.Errorf("the index leads to %d", k.offset)
	}
}

// A key that was forgotten may be used again; when the old push is read again from the log it must not take the new one's place.
func TestAKeyMayBeUsedAgainOnceForgotten(t *testing.T) {
	var p past
	p.learn(batchAt(1, "k", testTime))
	p.learn(batchAt(2, "k", testTime.Add(30*time.Hour)))
	p.learn(batchAt(1, "k", testTime)) // replayed behind what a snapshot knew
	if k, known := p.find("k"); !known || k.offset != 2 || p.len() != 1 {
		t.Errorf("known %v at %d, of %d", known, k.offset, p.len())
	}
}

// The clock was far ahead when pushes came of which none was stored, and a key was used again. The log does not tell of that time: a
// start that reads it learns the key twice, and what it then says must be what the next start can read.
func TestAKeyTwiceInTheLog(t *testing.T) {
	var p, replayed, r past
	p.learn(batchAt(1, "k", testTime))
	p.expire(testTime.Add(30 * time.Hour))
	if _, known := p.find("k"); known {
		t.Fatal("the key is known still")
	}
	for _, l := range []link{batchAt(1, "k", testTime), batchAt(2, "k", testTime.Add(time.Second)), batchAt(3, "l", testTime.Add(time.Minute))} {
		replayed.learn(l)
	}
	if err := r.restore(replayed.state()); err != nil {
		t.Fatal(err)
	}
	if k, known := r.find("k"); !known || k.offset != 2 {
		t.Errorf("known %v at %d", known, k.offset)
	}
	r.expire(testTime.Add(25*time.Hour + 500*time.Millisecond)) // the first of the two is forgotten, and no other
	if k, known := r.find("k"); !known || k.offset != 2 || r.len() != 2 {
		t.Errorf("known %v at %d, of %d", known, k.offset, r.len())
	}
}

// What is said of the pushes once a snapshot was begun knows all that are before its place.
func TestASnapshotKnowsThePushesBeforeItsPlace(t *testing.T) {
	var w writer
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range uint64(20_000) {
			w.apply(batchAt(i+1, "", testTime))
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		place := w.table.Position()
		var p past
		if err := p.restore(w.past.state()); err != nil || p.last < place.Offset {
			t.Fatalf("a snapshot begun at %d, with the pushes up to %d: %v", place.Offset, p.last, err)
		}
	}
}

// examplePast has a reign, batches without a key and some with one.
func examplePast() *past {
	p := new(past)
	p.learn(link{at: cache.Position{Offset: 1}, head: issuer.Head{Kind: issuer.Reign, Epoch: 7, Time: testTime}})
	for i := range uint64(5) {
		p.learn(batchAt(10+i, fmt.Sprint("key", i), testTime.Add(time.Duration(i)*time.Second)))
	}
	p.learn(batchAt(20, "", testTime))
	return p
}

func TestPastComesBack(t *testing.T) {
	p := examplePast()
	var r past
	if err := r.restore(p.state()); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) {
		if k, known := r.find(fmt.Sprint("key", i)); !known || k.offset != 10+i || k.count != 1 {
			t.Errorf("key %d: known %v at %d", i, known, k.offset)
		}
	}
	if r.epoch != 7 || r.last != 20 || r.clock != p.clock || !bytes.Equal(r.state(), p.state()) {
		t.Errorf("epoch %d, last %d, clock %d of %d", r.epoch, r.last, r.clock, p.clock)
	}
	if err := r.restore(new(past).state()); err != nil || r.len() != 0 || r.last != 0 {
		t.Errorf("an empty past: %v, %d keys", err, r.len())
	}
}

// sealed is a state with its checksum made right.
func sealed(b []byte) []byte {
	body := b[:len(b)-pastChecksum]
	return binary.LittleEndian.AppendUint64(bytes.Clone(body), xxhash.Sum64(body))
}

func TestRestoreRefusals(t *testing.T) {
	good := examplePast().state()
	change := func(at int, to byte) []byte { b := bytes.Clone(good); b[at] = to; return sealed(b) }
	first, second := pastHead, pastHead+knownSize
	for name, c := range map[string]struct {
		state []byte
		want  string
	}{
		"nothing":                 {nil, "version"},
		"another version":         {change(0, 2), "version"},
		"an offset that falls":    {change(second+32, 3), "offset 3 after 10"},
		"an offset past the last": {change(first+33, 1), "of 20"},
		"a time that falls":       {change(second+47, 0x80), "time"},
		"a time to come":          {change(first+45, 0xff), "time"},
		"no deltas":               {change(first+48, 0), "no deltas"},
		"too many keys":           {change(25, 6), "for 6 keys"},
		"keys without end":        {change(28, 0xff), "keys"},
	} {
		p := examplePast()
		if err := p.restore(c.state); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(p.state(), good) {
			t.Errorf("%s: it changed what was known", name)
		}
	}
	for i := range len(good) * 8 {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		if new(past).restore(b) == nil {
			t.Errorf("bit %d of byte %d may flip", i%8, i/8)
		}
	}
	for n := range good {
		if new(past).restore(good[:n]) == nil {
			t.Errorf("the first %d bytes pass", n)
		}
	}
}

// FuzzRestore gives states a right checksum, so that what is behind it is tried too. What passes must come back as it was.
func FuzzRestore(f *testing.F) {
	f.Add(examplePast().state())
	f.Add(new(past).state())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < pastChecksum {
			return
		}
		b = sealed(b)
		var p past
		if p.restore(b) == nil && !bytes.Equal(p.state(), b) {
			t.Errorf("%x became %x", b, p.state())
		}
	})
}

// BenchmarkKeys says what the most keys that are kept cost.
func BenchmarkKeys(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var p past
		for i := range uint64(keysKept * 5 / 4) {
			p.learn(batchAt(i+1, fmt.Sprint("key", i), testTime))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(p.len()), "bytes/key")
		b.ReportMetric(float64(len(p.state()))/float64(p.len()), "state-bytes/key")
	}
}

// The golden file is a state of version 1; a release must go on reading it, or its origin forgets which pushes were before.
func TestStateGolden(t *testing.T) {
	var p past
	p.learn(batchAt(5, "first", testTime))
	p.learn(batchAt(9, "second", testTime.Add(time.Second)))
	golden, err := os.ReadFile(filepath.Join("testdata", "state-v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(p.state()); got != string(bytes.TrimSpace(golden)) {
		t.Errorf("the form of a state has changed; give it a new version\n got %s\nwant %s", got, golden)
	}
}
