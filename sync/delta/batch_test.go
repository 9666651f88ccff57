package delta

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cache"
)

func someDeltas(n int) []Delta {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	out := make([]Delta, n)
	for i := range out {
		out[i] = Delta{cache.Key{Hi: rnd.Uint64(), Lo: rnd.Uint64()}, cache.Record(rnd.Uint32())}
	}
	return out
}

func TestBatchComesBack(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		want := someDeltas(n)
		wire := AppendBatch([]byte("before"), "push", want)
		b, err := ParseBatch(wire[len("before"):])
		if size := len(wire) - len("before"); size != BatchSize("push", n) {
			t.Errorf("%d deltas: %d bytes, BatchSize says %d", n, size, BatchSize("push", n))
		}
		if err != nil || b.Pusher != "push" || b.Len() != n {
			t.Fatalf("%d deltas: %+v, %v", n, b, err)
		}
		for i := range n {
			if b.At(i) != want[i] {
				t.Fatalf("delta %d is %v, want %v", i, b.At(i), want[i])
			}
		}
	}
	long, err := ParseBatch(AppendBatch(nil, strings.Repeat("x", 300), someDeltas(1)))
	if err != nil || len(long.Pusher) != 255 {
		t.Errorf("a long name: %d bytes, %v", len(long.Pusher), err)
	}
}

func TestBatchGolden(t *testing.T) {
	wire := AppendBatch(nil, "push", []Delta{{cache.Key{Hi: 0x0102030405060708, Lo: 0x1112131415161718}, 0xc3ffffff}})
	const want = "0470757368" + "01000000" + "0807060504030201" + "1817161514131211" + "ffffffc3"
	if got := hex.EncodeToString(wire); got != want {
		t.Errorf("the form of a batch has changed; give the record a new version\n got %s\nwant %s", got, want)
	}
}

func TestBatchCutShort(t *testing.T) {
	wire := AppendBatch(nil, "push", someDeltas(3))
	for n := range wire {
		if _, err := ParseBatch(wire[:n]); err == nil {
			t.Errorf("the first %d bytes pass", n)
		}
	}
	if _, err := ParseBatch(append(wire, 0)); err == nil {
		t.Error("a byte too many passes")
	}
}

func FuzzParseBatch(f *testing.F) {
	f.Add(AppendBatch(nil, "push", someDeltas(2)))
	f.Add([]byte{0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		b, err := ParseBatch(wire)
		if err != nil {
			return
		}
		deltas := make([]Delta, b.Len())
		for i := range deltas {
			deltas[i] = b.At(i)
		}
		if again := AppendBatch(nil, b.Pusher, deltas); !bytes.Equal(again, wire) {
			t.Errorf("%x became %x", wire, again)
		}
	})
}

func TestBeatSpeaksOfItsTable(t *testing.T) {
	var table cache.Table
	batch, err := ParseBatch(AppendBatch(nil, "", someDeltas(100)))
	if err != nil {
		t.Fatal(err)
	}
	batch.Apply(&table)
	beat, err := ParseBeat(AppendBeat(nil, BeatOf(&table)))
	if err != nil || beat.Count != 100 || beat.Digest != table.Digest() {
		t.Errorf("%+v, %v; the table has %d with %s", beat, err, table.Len(), table.Digest())
	}
	batch.Apply(&table)
	if BeatOf(&table) != beat {
		t.Error("applying a batch twice changed the table")
	}
	for _, n := range []int{0, 15, 17} {
		if _, err := ParseBeat(make([]byte, n)); err == nil {
			t.Errorf("%d bytes pass as a beat", n)
		}
	}
}
