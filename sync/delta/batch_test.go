package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cache"
)

func someDeltas(n int) []cache.Delta {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	out := make([]cache.Delta, n)
	for i := range out {
		out[i] = cache.Delta{Key: cache.Key{Hi: rnd.Uint64(), Lo: rnd.Uint64()}, Record: cache.Record(rnd.Uint32())}
	}
	return out
}

func TestBatchComesBack(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		want := someDeltas(n)
		info := Info{Pusher: "push", Note: "why, 为什么", Key: "key-1", Approver: "chief"}
		wire := AppendBatch([]byte("before"), info, want)
		b, err := ParseBatch(wire[len("before"):])
		if size := len(wire) - len("before"); size != BatchSize(info, n) {
			t.Errorf("%d deltas: %d bytes, BatchSize says %d", n, size, BatchSize(info, n))
		}
		if err != nil || b.Info != info || b.Len() != n || b.Sum() != sha256.Sum256(appendDeltas(nil, want)) {
			t.Fatalf("%d deltas: %+v, %v", n, b, err)
		}
		for i := range n {
			if b.At(i) != want[i] {
				t.Fatalf("delta %d is %v, want %v", i, b.At(i), want[i])
			}
		}
	}
	long, err := ParseBatch(AppendBatch(nil, Info{Pusher: strings.Repeat("x", 3000)}, someDeltas(1)))
	if err != nil || len(long.Pusher) != maxField || long.Len() != 1 {
		t.Errorf("a long name: %d bytes, %v", len(long.Pusher), err)
	}
}

func TestBatchGolden(t *testing.T) {
	wire := AppendBatch(nil, Info{Pusher: "push", Note: "n"}, []cache.Delta{{Key: cache.Key{Hi: 0x0102030405060708, Lo: 0x1112131415161718}, Record: 0xc3ffffff}})
	const want = "0b00" + "010400" + "70757368" + "020100" + "6e" + "01000000" + "0807060504030201" + "1817161514131211" + "ffffffc3"
	if got := hex.EncodeToString(wire); got != want {
		t.Errorf("the form of a batch has changed; give the record a new version\n got %s\nwant %s", got, want)
	}
}

func TestBatchCutShort(t *testing.T) {
	wire := AppendBatch(nil, Info{Pusher: "push", Key: "k"}, someDeltas(3))
	for n := range wire {
		if _, err := ParseBatch(wire[:n]); err == nil {
			t.Errorf("the first %d bytes pass", n)
		}
	}
	// A later version may add fields and what follows the deltas; this one passes over both.
	later := append([]byte{wire[0] + 5, wire[1], 99, 2, 0, 'h', 'i'}, wire[2:]...)
	if b, err := ParseBatch(append(later, "more"...)); err != nil || b.Len() != 3 || b.Key != "k" {
		t.Errorf("a later version's batch: %+v, %v", b.Info, err)
	}
}

func FuzzParseBatch(f *testing.F) {
	f.Add(AppendBatch(nil, Info{Pusher: "push", Key: "k"}, someDeltas(2)))
	f.Add([]byte{3, 0, 1, 9, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		b, err := ParseBatch(wire)
		if err != nil {
			return
		}
		deltas := make([]cache.Delta, b.Len())
		for i := range deltas {
			deltas[i] = b.At(i)
		}
		again, err := ParseBatch(AppendBatch(nil, b.Info, deltas))
		if err != nil || len(wire) < 4000 && again.Info != b.Info || !bytes.Equal(again.deltas, b.deltas) {
			t.Errorf("%x became %+v, %v", wire, again, err)
		}
	})
}

func TestBeatSpeaksOfItsTable(t *testing.T) {
	var table cache.Table
	batch, err := ParseBatch(AppendBatch(nil, Info{}, someDeltas(100)))
	if err != nil {
		t.Fatal(err)
	}
	batch.Apply(&table, cache.Position{Offset: 7})
	beat, err := ParseBeat(AppendBeat(nil, BeatOf(&table)))
	if err != nil || beat.Count != 100 || beat.Digest != table.Digest() || beat.Shards != table.Digests() {
		t.Errorf("%+v, %v; the table has %d with %s", beat, err, table.Len(), table.Digest())
	}
	batch.Apply(&table, cache.Position{Offset: 7})
	if BeatOf(&table) != beat || table.Position().Offset != 7 {
		t.Error("applying a batch twice changed the table")
	}
	table.Put(cache.Key{Hi: 93 << 57}, 5)
	if differ := BeatOf(&table).Differ(beat); len(differ) != 1 || differ[0] != 93 {
		t.Errorf("they differ in shards %v, not in 93", differ)
	}
	for _, n := range []int{0, 18, beatSize - 1, beatSize} { // zeros have no shards
		if _, err := ParseBeat(make([]byte, n)); err == nil {
			t.Errorf("%d bytes pass as a beat", n)
		}
	}
}

// The golden file is a beat of version 2; a release must go on reading it.
func TestBeatGolden(t *testing.T) {
	beat := Beat{Count: 3, Digest: 0x0102030405060708}
	beat.Shards[0], beat.Shards[127] = 0x1112131415161718, 0x2122232425262728
	golden, err := os.ReadFile(filepath.Join("testdata", "beat-v2.hex"))
	if err != nil {
		t.Fatal(err)
	}
	wire := AppendBeat(nil, beat)
	if got := hex.EncodeToString(wire); got != string(bytes.TrimSpace(golden)) {
		t.Errorf("the form of a beat has changed; give the record a new version\n got %s\nwant %s", got, golden)
	}
	if later, err := ParseBeat(append(wire, "more"...)); err != nil || later != beat {
		t.Errorf("a later version's beat: %v", err)
	}
}
