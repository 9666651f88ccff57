package limit

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	rest, ten, one, six := New(Limits{Rate: 1, Burst: 1}), New(Limits{Rate: 10, Burst: 1}), New(Limits{Rate: 2, Burst: 1}), New(Limits{Rate: 6, Burst: 1})
	r, err := NewRanges(rest,
		Range{netip.MustParsePrefix("10.0.0.0/8"), ten}, Range{netip.MustParsePrefix("10.1.2.3/32"), one}, Range{netip.MustParsePrefix("10.1.0.0/16"), nil},
		Range{netip.MustParsePrefix("2001:db8::/32"), six}, Range{netip.MustParsePrefix("255.255.255.255/32"), one})
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]*Rules{
		"9.255.255.255": rest, "10.0.0.0": ten, "10.0.255.255": ten, "10.1.0.0": nil, "10.1.2.2": nil, "10.1.2.3": one, "10.1.2.4": nil,
		"10.1.255.255": nil, "10.2.0.0": ten, "10.255.255.255": ten, "11.0.0.0": rest, "0.0.0.0": rest, "255.255.255.254": rest, "255.255.255.255": one,
		"::": rest, "::ffff:10.1.2.3": one, "2001:db8::1": six, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": six, "2001:db9::": rest, "fe80::1%eth0": rest,
	} {
		if got := r.Rules(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %+v, not %+v", a, got, want)
		}
	}
	for _, bad := range [][]string{{"10.0.0.0/8", "10.9.0.0/8"}, {"::ffff:10.0.0.0/104"}} {
		var ranges []Range
		for _, p := range bad {
			ranges = append(ranges, Range{netip.MustParsePrefix(p), ten})
		}
		if _, err := NewRanges(rest, ranges...); err == nil || !strings.Contains(err.Error(), "range") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := NewRanges(rest, Range{}); err == nil {
		t.Error("a range that is none")
	}
	whole, err := NewRanges(rest, Range{netip.MustParsePrefix("0.0.0.0/0"), ten})
	if err != nil || whole.Rules(netip.MustParseAddr("1.2.3.4")) != ten || whole.Rules(netip.MustParseAddr("::1")) != rest {
		t.Errorf("all of IPv4: %v", err)
	}
}

// The longest prefix wins, as one would look for it.
func TestRangesAgainstTheLongestPrefix(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		addr := func() netip.Addr { // of few, so that ranges lie in and beside each other
			if r.IntN(2) == 0 {
				return netip.AddrFrom4([4]byte{byte(r.IntN(2)) * 255, byte(r.IntN(3)), byte(r.IntN(2)) * 255, byte(r.IntN(4))})
			}
			return netip.AddrFrom16([16]byte{byte(r.IntN(2)) * 255, byte(r.IntN(3)), 15: byte(r.IntN(4))})
		}
		rest, given := New(Limits{Rate: 1, Burst: 1}), map[netip.Prefix]*Rules{}
		var ranges []Range
		for range r.IntN(12) {
			a := addr()
			p, _ := a.Prefix(r.IntN(a.BitLen() + 1))
			if _, twice := given[p]; !twice {
				given[p] = New(Limits{Rate: float64(2 + len(given)), Burst: 1})
				ranges = append(ranges, Range{p, given[p]})
			}
		}
		all, err := NewRanges(rest, ranges...)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			a, want, bits := addr(), rest, -1
			for p, rules := range given {
				if p.Contains(a) && p.Bits() > bits {
					want, bits = rules, p.Bits()
				}
			}
			if got := all.Rules(a); got != want {
				t.Fatalf("seed %d, %v of %v: %+v, not %+v", seed, a, ranges, got, want)
			}
		}
	}
}

// One subscriber is one caller: an IPv4 address, however written, or 64 bits of an IPv6 one.
func TestAddress(t *testing.T) {
	key := func(a string) Key { return Address(netip.MustParseAddr(a)) }
	for _, same := range [][2]string{{"1.2.3.4", "::ffff:1.2.3.4"}, {"2001:db8::1", "2001:db8::ffff:0:0:2"}, {"fe80::1%a", "fe80::2%b"}} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("%v are two", same)
		}
	}
	for _, other := range [][2]string{{"1.2.3.4", "1.2.3.5"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"0.0.0.1", "::1"}, {"0.0.0.0", "::"}} {
		if key(other[0]) == key(other[1]) {
			t.Errorf("%v are one", other)
		}
	}
	table := NewTable(8)
	if again := table.Name(Holder, []byte("ab"), []byte("c")); again != table.Name(Holder, []byte("ab"), []byte("c")) || again == table.Name(Holder, []byte("a"), []byte("bc")) {
		t.Error("names are mixed up")
	}
}
