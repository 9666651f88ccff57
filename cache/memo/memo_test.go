package memo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/goleak"
)

const mib = 1 << 20

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMemo(t testing.TB) *Memo {
	m := New(1)
	t.Cleanup(m.Reset)
	return m
}

// model is a memo beside what it must be: what was last put under each key, and the counters as the test counts.
type model struct {
	*testing.T
	memo                         *Memo
	fits                         bool // whether the rings have room for all
	put                          map[string]entry
	hits, misses, expired, fresh uint64
}

type entry struct {
	value   string
	expires int64
}

func (m *model) get(key string, now int64) bool {
	m.Helper()
	got, ok := m.memo.Get([]byte("before"), []byte(key), now)
	e, in := m.put[key]
	switch {
	case ok && (!in || now >= e.expires || string(got) != "before"+e.value):
		m.Fatalf("%q at %d is %q; last put, if %v: %q until %d", key, now, got, in, e.value, e.expires)
	case ok:
		m.hits++
		return true
	case string(got) != "before":
		m.Fatalf("a miss returned %q", got)
	case m.fits && in && now < e.expires:
		m.Fatalf("%q is missing at %d, though there is room", key, now)
	case in:
		m.expired++ // or evicted, where not all fits
	}
	m.misses++
	return false
}

// A miss is always allowed, a wrong or an expired value never. That a memo which always misses does not pass: where all fits
// nothing may be missing, and where it does not the counters must account for each loss.
func TestMemoIsItsModel(t *testing.T) {
	for _, c := range []struct {
		steps, keys, size int
		fits              bool
	}{{100, 4, 10, true}, {1000, 50, 300, true}, {30_000, 3000, 1000, true}, {60_000, 50_000, 4000, false}} {
		t.Run(fmt.Sprintf("steps=%d/keys=%d/size=%d", c.steps, c.keys, c.size), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(c.steps), 11))
			m := &model{T: t, memo: newMemo(t), fits: c.fits, put: map[string]entry{}}
			noise, room, clock := make([]byte, 2*c.size), make([]byte, c.size), int64(0)
			for i := range noise {
				noise[i] = byte(rnd.Uint32())
			}
			for range c.steps {
				key := fmt.Sprintf("key %d", rnd.IntN(c.keys))
				if clock += rnd.Int64N(3); rnd.IntN(3) == 0 {
					m.get(key, clock)
					continue
				}
				if !m.get(key, math.MinInt64) { // not there, not even expired
					m.fresh++
				}
				value := room[:rnd.IntN(c.size)] // overwritten by the next, so the memo must have copied it
				copy(value, noise[rnd.IntN(c.size):])
				expires := clock + rnd.Int64N(int64(c.steps)) - 5
				m.memo.Put([]byte(key), value, expires)
				m.put[key] = entry{string(value), expires}
			}
			m.checkStats()
		})
	}
}

func (m *model) checkStats() {
	var held uint64
	for key := range m.put {
		if m.get(key, math.MinInt64) {
			held++
		}
	}
	s := m.memo.Stats()
	if s.Hits != m.hits || s.Misses != m.misses || s.Damaged != 0 || s.Refused != 0 {
		m.Errorf("%+v; counted %d hits, %d misses", s, m.hits, m.misses)
	}
	if s.Evicted+s.Entries != m.fresh || s.Entries < held || s.Bytes > s.MaxBytes || s.MaxBytes != 32*mib {
		m.Errorf("%+v; counted %d put afresh, %d held", s, m.fresh, held)
	}
	if m.fits && (s.Expired != m.expired || s.Evicted != 0 || held != uint64(len(m.put))) {
		m.Errorf("%+v with room for all; counted %d expired, %d held of %d", s, m.expired, held, len(m.put))
	}
	if !m.fits && (s.Evicted == 0 || s.Expired == 0 || s.Hits == 0) {
		m.Errorf("%+v: the history shows no evictions", s)
	}
}

func TestEndIsTheFirstMomentWithoutTheValue(t *testing.T) {
	m := newMemo(t)
	for _, expires := range []int64{math.MinInt64, -1, 0, 1, 1_800_000_000e9, math.MaxInt64} {
		m.Put([]byte("key"), []byte("value"), expires)
		if _, ok := m.Get(nil, []byte("key"), expires); ok {
			t.Errorf("there at %d, its end", expires)
		}
		if expires > math.MinInt64 {
			if _, ok := m.Get(nil, []byte("key"), expires-1); !ok {
				t.Errorf("not there before its end, %d", expires)
			}
		}
	}
}

// collide returns two keys with one xxhash64. Its first lane takes in 8 bytes of each 32 by v = rotl(v + in*p2, 31) * p1,
// so another choice of the first 8 is made up for in the second.
func collide(a, b uint64) (x, y []byte) {
	const p1, p2 uint64 = 11400714785074694791, 14029467366897019727
	inverse := p2 // of p2 modulo 2^64, by Newton's iteration
	for range 6 {
		inverse *= 2 - p2*inverse
	}
	lane := func(in uint64) uint64 { v := p1; v += p2; return bits.RotateLeft64(v+in*p2, 31) * p1 }
	x, y = make([]byte, 64), make([]byte, 64)
	binary.LittleEndian.PutUint64(x, a)
	binary.LittleEndian.PutUint64(y, b)
	binary.LittleEndian.PutUint64(y[32:], (lane(a)-lane(b))*inverse)
	return x, y
}

func TestKeysWithOneHashDisplaceButNeverAnswerForEachOther(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range uint64(100) {
		m := newMemo(t)
		x, y := collide(rnd.Uint64(), rnd.Uint64())
		if bytes.Equal(x, y) || xxhash.Sum64(x) != xxhash.Sum64(y) {
			t.Fatalf("%x and %x do not collide", x, y)
		}
		m.Put(x, []byte("of x"), 2)
		if v, ok := m.Get(nil, y, 1); ok {
			t.Fatalf("y, never put, is %q", v)
		}
		m.Put(y, []byte("of y"), 2)
		if v, ok := m.Get(nil, x, 1); ok {
			t.Fatalf("x, displaced, is %q", v)
		}
		if v, ok := m.Get(nil, y, 1); !ok || string(v) != "of y" {
			t.Fatalf("y is %q, %v", v, ok)
		}
		if s := m.Stats(); s.Evicted != 1 || s.Entries != 1 || s.Damaged != 0 || i == 0 && s.Misses != 2 {
			t.Fatalf("%+v", s)
		}
		m.Reset()
	}
}

func TestSizes(t *testing.T) {
	m := newMemo(t)
	for _, keyLen := range []int{0, 1, 1000, MaxEntry} {
		key, value := bytes.Repeat([]byte("k"), keyLen), bytes.Repeat([]byte("v"), MaxEntry-keyLen)
		for _, v := range [][]byte{nil, value} {
			m.Put(key, v, 1)
			if got, ok := m.Get(nil, key, 0); !ok || !bytes.Equal(got, v) {
				t.Errorf("key of %d bytes: %d bytes, %v; put %d", keyLen, len(got), ok, len(v))
			}
		}
		// What is refused takes the outdated value with it.
		m.Put(key, append(value, 'v'), 1)
		if got, ok := m.Get(nil, key, 0); ok {
			t.Errorf("key of %d bytes: %d bytes outlive a refused Put", keyLen, len(got))
		}
	}
	if s := m.Stats(); s.Refused != 4 || s.Evicted != 4 || s.Entries != 0 {
		t.Errorf("%+v after 4 refused", s)
	}
}

func TestSwitchedOff(t *testing.T) {
	for _, bytes := range []int{0, -1} {
		m := New(bytes)
		m.Put([]byte("key"), []byte("value"), 1)
		if got, ok := m.Get([]byte("before"), []byte("key"), 0); ok || string(got) != "before" {
			t.Errorf("%d bytes: %q, %v", bytes, got, ok)
		}
		m.Reset()
		if m != nil || m.Stats() != (Stats{}) {
			t.Errorf("%d bytes: %v, %+v", bytes, m, m.Stats())
		}
	}
}

func TestResetForgetsAndGoesOn(t *testing.T) {
	m := newMemo(t)
	for round := range 3 {
		m.Put([]byte("key"), []byte{byte(round)}, 1)
		if got, ok := m.Get(nil, []byte("key"), 0); !ok || got[0] != byte(round) {
			t.Errorf("round %d: %v, %v", round, got, ok)
		}
		if s := m.Stats(); s.Hits != 1 || s.Entries != 1 || s.Bytes == 0 {
			t.Errorf("round %d: %+v", round, s)
		}
		m.Reset()
		if s := m.Stats(); s != (Stats{MaxBytes: 32 * mib}) {
			t.Errorf("round %d: %+v after a reset", round, s)
		}
		if _, ok := m.Get(nil, []byte("key"), 0); ok {
			t.Errorf("round %d: there after a reset", round)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	m := newMemo(t)
	key, value, other := []byte("key"), make([]byte, 256), []byte("other")
	buf := make([]byte, 0, len(value)+Overhead)
	m.Put(key, value, 10)
	for _, c := range []struct {
		what string
		do   func() bool
	}{
		{"hit", func() bool { v, ok := m.Get(buf, key, 9); return ok && len(v) == len(value) }},
		{"miss", func() bool { _, ok := m.Get(buf, other, 9); return !ok }},
		{"expired", func() bool { _, ok := m.Get(buf, key, 10); return !ok }},
		{"put", func() bool { m.Put(key, value, 10); return true }},
		{"stats", func() bool { return m.Stats().Entries == 1 }},
	} {
		as := true
		if n := testing.AllocsPerRun(1000, func() { as = as && c.do() }); n != 0 || !as {
			t.Errorf("%s: %v allocations, did as it says: %v", c.what, n, as)
		}
	}
}

func Example() {
	m := New(32 << 20)
	defer m.Reset()
	verified := func(code []byte, now int64) string {
		if v, ok := m.Get(nil, code, now); ok {
			return string(v) + ", remembered"
		}
		verdict := "valid" // a signature would be checked here
		m.Put(code, []byte(verdict), now+60e9)
		return verdict
	}
	code := []byte("a signed code")
	fmt.Println(verified(code, 0))
	fmt.Println(verified(code, 59e9))
	fmt.Println(verified(code, 60e9))
	// Output:
	// valid
	// valid, remembered
	// valid
}
