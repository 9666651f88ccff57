package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// attempt is a push and what it was told.
type attempt struct {
	key, body, ifMatch string
	status             int
	receipt            scanedge.Receipt
	etag               string
}

// TestPushesAgainstAModel sends random pushes from many hands at once, with keys that meet again, If-Match and appends that fail, and
// starts the origin again and again. The log is then read back: what was told must follow from it.
func TestPushesAgainstAModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	var all []attempt
	for round := range 4 {
		o := open(t, dir, "demo-a")
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		w := o.writers["demo-a"]
		stopWriter(o)
		stop := runFailing(w, r.Uint64())
		var mu sync.Mutex
		var wg sync.WaitGroup
		for hand := range 24 {
			hands := rand.New(rand.NewPCG(r.Uint64(), uint64(hand)))
			wg.Go(func() {
				for range 8 {
					s := randomPush(hands, round, w.offset.Load())
					s.send(o)
					mu.Lock()
					all = append(all, s)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		stop()
		checkAgainstLog(t, w, all)
		o.Close()
	}
	o := open(t, dir, "demo-a")
	checkAgainstLog(t, o.writers["demo-a"], all)
	replayed := 0
	for i := range all { // every receipt is given again
		if s := all[i]; s.key != "" && s.status == http.StatusOK {
			again := s
			again.send(o)
			replayed++
			if again.status != http.StatusOK || again.receipt != s.receipt || again.etag != s.etag {
				t.Errorf("key %s: %d %+v, was told %+v", s.key, again.status, again.receipt, s.receipt)
			}
		}
	}
	t.Logf("%d pushes, %d replayed", len(all), replayed)
}

// runFailing runs a writer whose appends fail now and then, of what was stored and of what was not.
func runFailing(w *writer, seed uint64) (stop func()) {
	r := rand.New(rand.NewPCG(seed, 0)) // used by the writer alone
	broken := errors.New("broken on purpose")
	w.stopped, w.broken = make(chan struct{}), func(error) {}
	w.append = func(ctx context.Context, after uint64, records [][]byte) error {
		switch r.IntN(8) {
		case 0:
			return broken
		case 1:
			return errors.Join(broken, w.log.AppendGroup(ctx, after, records))
		}
		return w.log.AppendGroup(ctx, after, records)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// randomPush sets up to three subjects. Keys are few, so that they meet, in a round and in later ones; most pushes of a key are the
// same.
func randomPush(r *rand.Rand, round int, offset uint64) attempt {
	var s attempt
	content := r
	if r.IntN(4) > 0 {
		key := max(0, round-r.IntN(2))*60 + r.IntN(60)
		s.key = fmt.Sprint("key-", key)
		content = rand.New(rand.NewPCG(uint64(key), uint64(max(0, r.IntN(8)-6))))
	}
	s.body = "subject,status,remove\n"
	for range 1 + content.IntN(3) {
		subject := fmt.Sprint("s", content.IntN(50))
		if content.IntN(5) == 0 {
			s.body += subject + ",,true\n"
		} else {
			s.body += subject + "," + []string{"green", "yellow", "red"}[content.IntN(3)] + ",\n"
		}
	}
	if r.IntN(4) == 0 {
		s.ifMatch = fmt.Sprint(offset)
	}
	return s
}

func (s *attempt) send(o *Origin) {
	header := []string{}
	if s.key != "" {
		header = append(header, "Idempotency-Key", s.key)
	}
	if s.ifMatch != "" {
		header = append(header, "If-Match", s.ifMatch)
	}
	rec := post(o, "demo-a", strings.NewReader(s.body), header...)
	s.status, s.etag = rec.Code, rec.Header().Get("ETag")
	if rec.Code == http.StatusOK {
		_ = json.Unmarshal(rec.Body.Bytes(), &s.receipt)
	}
}

// stored is a batch as the log holds it.
type stored struct {
	delta.Batch
	before uint64 // offset of the batch before it
}

// checkAgainstLog holds what pushes were told, and the table, to what the log holds.
func checkAgainstLog(t *testing.T, w *writer, all []attempt) {
	t.Helper()
	batches, byKey, model := map[uint64]stored{}, map[string]uint64{}, map[cache.Key]cache.Record{}
	last := uint64(0)
	_, err := w.log.Replay(t.Context(), 0, func(e deltalog.Entry) error {
		head, body, _, err := issuer.Open(e.Record)
		if err != nil || head.Kind != issuer.Batch {
			return err
		}
		b, err := delta.ParseBatch(body)
		if err != nil {
			return err
		}
		batches[e.Seq], last = stored{b, last}, e.Seq
		if before, twice := byKey[b.Key]; twice && b.Key != "" {
			t.Errorf("key %s has batches at %d and %d", b.Key, before, e.Seq)
		}
		byKey[b.Key] = e.Seq
		for i := range b.Len() {
			if d := b.At(i); d.Record == cache.Removed {
				delete(model, d.Key)
			} else {
				model[d.Key] = d.Record
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checkTable(t, w, model)
	acked, batchOf := map[string]bool{}, map[uint64]string{}
	for _, s := range all {
		acked[s.key] = acked[s.key] || s.status == http.StatusOK
	}
	for _, s := range all {
		checkTold(t, w, s, batches, byKey)
		if s.status == http.StatusOK && s.key == "" {
			if other, taken := batchOf[s.receipt.Offset]; taken {
				t.Errorf("offset %d was told to two pushes: %q and %q", s.receipt.Offset, other, s.body)
			}
			batchOf[s.receipt.Offset] = s.body
		}
		if at, is := byKey[s.key]; s.key != "" && is != acked[s.key] {
			t.Errorf("key %s: acknowledged %v, in the log %v at %d", s.key, acked[s.key], is, at)
		}
	}
	for at, b := range batches {
		if b.Key == "" && batchOf[at] == "" {
			t.Errorf("the batch at %d was acknowledged to nobody", at)
		}
	}
}

func checkTold(t *testing.T, w *writer, s attempt, batches map[uint64]stored, byKey map[string]uint64) {
	t.Helper()
	pushed, err := delta.ParseBatch(delta.AppendBatch(nil, delta.Info{}, deltasOf(t, w, s.body)))
	if err != nil {
		t.Fatal(err)
	}
	sum := pushed.Sum()
	b, there := batches[s.receipt.Offset]
	switch s.status {
	case http.StatusOK:
		if !there || b.Key != s.key || b.Sum() != sum || b.Len() != s.receipt.Count || s.etag != fmt.Sprintf(`"%d"`, s.receipt.Offset) {
			t.Errorf("%+v: the log has %v there, key %q", s, there, b.Key)
		}
		if s.ifMatch != "" && s.key == "" && s.ifMatch != strconv.FormatUint(b.before, 10) {
			t.Errorf("%+v went behind %d", s, b.before)
		}
	case http.StatusUnprocessableEntity:
		if first := batches[byKey[s.key]]; first.Key != s.key || first.Sum() == sum {
			t.Errorf("%+v was refused for another push that is not there", s)
		}
	case http.StatusPreconditionFailed:
		if s.ifMatch == "" {
			t.Errorf("%+v was refused by an If-Match that it did not have", s)
		}
	case http.StatusServiceUnavailable:
	default:
		t.Errorf("%+v", s)
	}
}

func deltasOf(t *testing.T, w *writer, body string) []cache.Delta {
	t.Helper()
	deltas, problem := readDeltas(w, strings.NewReader(body), http.Header{}, anyNumber)
	if problem != nil {
		t.Fatal(problem)
	}
	return deltas
}

func checkTable(t *testing.T, w *writer, model map[cache.Key]cache.Record) {
	t.Helper()
	if n := w.table.Len(); n != len(model) {
		t.Errorf("%d subjects, %d by the log", n, len(model))
	}
	for key, want := range model {
		if got, ok := w.table.Lookup(key); !ok || got != want {
			t.Errorf("%v is %v, by the log %v", key, got, want)
		}
	}
}
