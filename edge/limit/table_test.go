package limit

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

var guarded = Limits{Rate: 10, Burst: 5, Guard: Guard{Forgiven: 1, SlowAfter: 10, SlowTo: 5, LockAfter: 40, LockFor: 20 * time.Second}}

func v4(n int) Key {
	return Address(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
}

// With room for all, each caller of a table is what a caller alone is.
func TestTableAgainstCallersAlone(t *testing.T) {
	rules, alone := New(guarded), map[int]Caller{}
	table := NewTable(1<<14, rules)
	r, now := rand.New(rand.NewPCG(1, 2)), second
	for range 200_000 {
		n := r.IntN(300)
		if _, ok := alone[n]; !ok {
			alone[n] = NewCaller(rules)
		}
		now += int64(r.IntN(int(time.Millisecond)))
		got, want := table.Caller(v4(n), rules, now), alone[n]
		if r.IntN(3) == 0 {
			gw, gd := got.Bad(1, now)
			ww, wd := want.Bad(1, now)
			if gw != ww || gd != wd {
				t.Fatalf("bad: %d, %v, not %d, %v", gw, gd, ww, wd)
			}
			continue
		}
		gw, gd := got.Take(1, now)
		ww, wd := want.Take(1, now)
		if gw != ww || gd != wd {
			t.Fatalf("%d, %v, not %d, %v", gw, gd, ww, wd)
		}
	}
	locked := 0
	for _, c := range alone {
		if c.Locked(now) > 0 {
			locked++
		}
	}
	if got := table.Locked(now); got != locked || locked == 0 || table.Untracked() != 0 {
		t.Errorf("%d are locked out, not %d; %d without room", got, locked, table.Untracked())
	}
}

// A table takes the memory that it says, from its first caller to more than it has places for.
func TestTableIsBounded(t *testing.T) {
	const callers = 1 << 14
	if got := unsafe.Sizeof(set{}); got != 3*64 {
		t.Fatalf("a set is %d bytes, not three cache lines", got)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rules := New(guarded)
	table := NewTable(callers, rules)
	if at := uintptr(unsafe.Pointer(&table.sets[0])); at%64 != 0 {
		t.Errorf("sets lie across cache lines: %#x", at)
	}
	for n := range 4 * callers {
		c := table.Caller(v4(n), rules, second)
		c.Take(1, second)
		c.Bad(1+n%30, second)
		if n%9 == 0 {
			c.Bad(40, second)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grew := int64(after.HeapAlloc) - int64(before.HeapAlloc); grew > 24*callers+(1<<16) {
		t.Errorf("%d bytes for %d callers", grew, callers)
	}
	runtime.KeepAlive(table)
	for callers, sets := range map[int]int{1: 1, 8: 1, 9: 2, 16: 2, 17: 4, 1 << 18: 1 << 15} {
		if got := len(NewTable(callers).sets); got != sets {
			t.Errorf("%d callers: %d sets, not %d", callers, got, sets)
		}
	}
}

// Who is locked out stays so, however many come after him; who is slowed outlives those who did less.
func TestWhoIsForgotten(t *testing.T) {
	rules := New(guarded)
	table := NewTable(64, rules)
	now := second
	table.Caller(v4(1), rules, now).Bad(40, now)
	table.Caller(v4(2), rules, now).Bad(30, now)
	for n := range 20_000 {
		c := table.Caller(v4(1000+n), rules, now)
		c.Take(1, now)
		c.Bad(1, now)
	}
	if why, wait := table.Caller(v4(1), rules, now).Take(1, now); why != LockedOut || wait != 20*time.Second {
		t.Errorf("locked out: %d, %v", why, wait)
	}
	if why, _ := table.Caller(v4(2), rules, now).Bad(1, now); why != Slowed {
		t.Errorf("slowed: %d", why)
	}
	now += 21 * second
	if why, _ := table.Caller(v4(1), rules, now).Take(1, now); why != No {
		t.Errorf("after the lock-out: %d", why)
	}
	if why, _ := table.Caller(v4(1), rules, now).Bad(31, now); why != LockedOut {
		t.Errorf("31 more bad codes after the lock-out: %d", why)
	}
}

// Who was locked out still has something to lose after it: he is where one is who has just been slowed.
func TestWhoWasLockedOutIsNotForgottenAtOnce(t *testing.T) {
	rules := New(guarded)
	table := NewTable(8, rules)
	table.Caller(v4(1), rules, second).Bad(40, second)
	now := 22 * second // a second after its end
	for n := range 1000 {
		table.Caller(v4(100+n), rules, now).Bad(1, now)
	}
	if why, _ := table.Caller(v4(1), rules, now).Bad(1, now); why != Slowed {
		t.Errorf("%d", why)
	}
}

// Newcomers take the places of those who have nothing to lose.
func TestIdleCallersGoFirst(t *testing.T) {
	rules := New(guarded)
	table := NewTable(8, rules)
	for n := range 8 {
		c := table.Caller(v4(n), rules, second)
		c.Take(1, second)
		if n != 5 {
			c.Bad(5, second)
		}
	}
	now := 2 * second // number 5 has a full bucket again
	table.Caller(v4(100), rules, now).Bad(9, now)
	for n := range 8 {
		if n == 5 {
			continue
		}
		if why, _ := table.Caller(v4(n), rules, now).Bad(6, now); why != Slowed {
			t.Errorf("caller %d was forgotten", n)
		}
	}
}

// Where all are locked out a newcomer goes free, and is counted; their time over, he is kept.
func TestATableFullOfLockedOut(t *testing.T) {
	rules := New(guarded)
	table := NewTable(8, rules)
	for n := range 8 {
		table.Caller(v4(n), rules, second).Bad(40, second)
	}
	for range 100 {
		if c := table.Caller(v4(100), rules, second); c.Limited() {
			t.Fatal("a newcomer took a place")
		}
	}
	if table.Untracked() != 100 || table.Locked(second) != 8 {
		t.Errorf("%d without room, %d locked out", table.Untracked(), table.Locked(second))
	}
	if now := 22 * second; !table.Caller(v4(100), rules, now).Limited() || table.Locked(now) != 0 {
		t.Error("no place after the lock-outs ended")
	}
}

// Many at once, in a table that is far too small: nobody is refused for what another did, but for a scan or two at the same moment.
func TestTableAtOnce(t *testing.T) {
	rules := New(Limits{Rate: 1, Burst: 1000, Guard: Guard{Forgiven: 1, SlowAfter: 10_000, SlowTo: 5, LockAfter: 20_000, LockFor: time.Second}})
	table := NewTable(256, rules)
	var wg sync.WaitGroup
	var refused, got atomic.Int64
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			for i := range 50_000 {
				c := table.Caller(v4(1000+r.IntN(5000)), rules, second)
				if why, _ := c.Take(1, second); why != No {
					refused.Add(1)
				}
				c.Bad(1, second)
				if i%50 == 0 { // one that has much to lose, and so is kept
					if why, _ := table.Caller(v4(7), rules, second).Take(1, second); why == No {
						got.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() > 0 {
		t.Errorf("%d refused, who scanned some 40 times each of 1000", refused.Load())
	}
	if got.Load() < 1000 || got.Load() > 2000 {
		t.Errorf("the one with a burst of 1000 scanned %d times", got.Load())
	}
}

// Who brings a newcomer in while another does waits for that, and finds him.
func TestNewcomersComeInOneByOne(t *testing.T) {
	rules := New(guarded)
	table := NewTable(8, rules)
	door, in := &table.entering[0], make(chan Caller, 2)
	door.Lock()
	for range 2 {
		go func() { in <- table.Caller(v4(1), rules, second) }()
	}
	select {
	case <-in:
		t.Fatal("one came in by a closed door")
	case <-time.After(50 * time.Millisecond):
	}
	door.Unlock()
	if one, two := <-in, <-in; one != two {
		t.Error("one caller became two")
	}
}

// All that bring in the same newcomer at once find the same one.
func TestOneNewcomerAtOnce(t *testing.T) {
	rules := New(Limits{Rate: 1, Burst: 10})
	table := NewTable(1<<10, rules)
	for n := range 500 {
		var got atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					if why, _ := table.Caller(v4(n), rules, second).Take(1, second); why == No {
						got.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if got.Load() != 10 {
			t.Fatalf("caller %d: %d scans, not 10", n, got.Load())
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	rules := New(guarded)
	table := NewTable(1<<10, rules)
	ranges, err := NewRanges(rules, Range{netip.MustParsePrefix("10.0.0.0/8"), nil})
	if err != nil {
		t.Fatal(err)
	}
	n, name := 0, []byte("demo-a")
	if got := testing.AllocsPerRun(1000, func() {
		n++
		a := netip.AddrFrom4([4]byte{1, 2, byte(n), byte(n >> 8)})
		c := table.Caller(Address(a), ranges.Rules(a), second)
		c.Take(1, second)
		c.Bad(1, second)
		table.Caller(table.Name(Holder, name, name), rules, second).Take(1, second)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkTake(b *testing.B) {
	c, now := NewCaller(New(Limits{Rate: 1e6, Burst: 100, Guard: guarded.Guard})), second
	for b.Loop() {
		now += 1000
		c.Take(1, now)
	}
}

func BenchmarkRefused(b *testing.B) {
	c := NewCaller(New(guarded))
	for b.Loop() {
		c.Take(1, second)
	}
}

func BenchmarkNoLimits(b *testing.B) {
	var c Caller
	for b.Loop() {
		c.Take(1, second)
	}
}

// An address known to a table of the usual size, among as many as it holds.
func BenchmarkAddress(b *testing.B) {
	rules := New(Limits{Rate: 1e6, Burst: 100, Guard: guarded.Guard})
	table := NewTable(1<<18, rules)
	ranges, _ := NewRanges(rules, Range{netip.MustParsePrefix("127.0.0.0/8"), nil}, Range{netip.MustParsePrefix("::1/128"), nil})
	n, now := uint32(0), second
	for b.Loop() {
		n, now = n*1664525+1013904223, now+1000
		a := netip.AddrFrom4([4]byte{1, byte(n >> 31), byte(n >> 23), byte(n >> 15)})
		table.Caller(Address(a), ranges.Rules(a), now).Take(1, now)
	}
}

// The same few addresses, as in a quiet hour.
func BenchmarkFewAddresses(b *testing.B) {
	rules := New(Limits{Rate: 1e6, Burst: 100, Guard: guarded.Guard})
	table := NewTable(1<<18, rules)
	ranges, _ := NewRanges(rules, Range{netip.MustParsePrefix("127.0.0.0/8"), nil}, Range{netip.MustParsePrefix("::1/128"), nil})
	n, now := byte(0), second
	for b.Loop() {
		n, now = n+1, now+1000
		a := netip.AddrFrom4([4]byte{1, 2, 3, n})
		table.Caller(Address(a), ranges.Rules(a), now).Take(1, now)
	}
}

// Each address is a new one, as in a flood.
func BenchmarkNewcomer(b *testing.B) {
	rules := New(guarded)
	table := NewTable(1<<18, rules)
	n := 0
	for b.Loop() {
		n++
		c := table.Caller(v4(n), rules, second)
		c.Take(1, second)
		c.Bad(1, second)
	}
}
